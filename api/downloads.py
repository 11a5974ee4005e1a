"""Files on their way out: whole or in part, streamed, never shown as a page of this service."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from itertools import chain

import anyio
import anyio.to_thread
from fastapi import Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.errors import problem_of, problem_response
from api.ranges import Unsatisfiable, is_not_modified, range_applies, wanted_span
from api.security import DOWNLOAD_CSP
from vault.documents.reading import Download
from vault.files.names import content_disposition


class LeavingResponse(StreamingResponse):
    """Octets that hold something while they leave; closed whether they leave to the end or the client goes away."""

    def __init__(self, chunks: Generator[bytes, None, None], headers: Mapping[str, str]) -> None:
        """Keep the octets.

        Args:
            chunks: the octets.
            headers: of the answer.
        """
        super().__init__(chunks, headers=headers)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then close."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._chunks.close)


def file_headers(media_type: str, name: str) -> dict[str, str]:
    """Return the headers of a file that is kept, and never shown as a page of this service.

    Args:
        media_type: of the file.
        name: of the file, for people.
    """
    return {
        "Content-Type": media_type,
        "Content-Disposition": content_disposition(name),
        "Content-Security-Policy": DOWNLOAD_CSP,
    }


def download_response(request: Request, download: Download) -> Response:
    """Answer GET or HEAD for a file (RFC 9110: conditions, then range).

    The first octets are read before the status is sent, so that a damaged or missing object is an error and not
    a broken 200.

    Raises:
        VaultError: the store's own errors.
    """
    headers = {
        **file_headers(download.media_type, download.name),
        "ETag": download.etag,
        "Accept-Ranges": "bytes",
    }
    if is_not_modified(_all(request, "If-None-Match"), download.etag):
        return Response(status_code=304, headers=headers)
    span = None
    if request.method == "GET" and range_applies(request.headers.get("If-Range"), download.etag):
        try:
            span = wanted_span(_all(request, "Range"), download.size)
        except Unsatisfiable as error:
            answer = problem_response(request, problem_of(error))
            answer.headers["Content-Range"] = f"bytes */{download.size}"
            return answer
    length = span.length if span else download.size
    headers["Content-Length"] = str(length)
    if span:
        headers["Content-Range"] = span.content_range(download.size)
    if request.method == "HEAD":
        return Response(headers=headers)
    chunks = download.read(span.start if span else 0, length if span else None)
    return StreamingResponse(_begun(chunks), status_code=206 if span else 200, headers=headers)


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    return chain((first,), chunks) if first else chunks


def _all(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None
