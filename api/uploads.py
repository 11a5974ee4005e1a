"""A file and what is said of it, taken from a request without reading the file.

Two ways in, so that metadata never stands in an address: the raw octets as body with the description in the
header `Probans-Document`, or a form whose part `document` comes before the part `file`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from api.deps import DOCUMENT_HEADER, single_header
from api.digests import digest_checked
from api.multipart import OVERHEAD, Multipart, boundary_of
from api.streams import body_chunks
from api.strict_json import collect, from_base64url, parse
from vault.domain.transfer import Transfer
from vault.errors import Refused
from vault.intake import DeclaredDigest, parse_digest_headers
from vault.settings import Settings

_FORM = "multipart/form-data"
# What clients send when nobody told them a type: says nothing about the file.
_NO_TYPE = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in.

    Attributes:
        document: the description, a JSON object not yet checked; {} when none was asked for.
        file_name: name given by the form, or None.
        declared_type: declared media type, or None.
        length: octets announced, or None.
        digest: declared digests of the file, or None.
        chunks: the file's octets; to be consumed in the upload's thread.
    """

    document: dict[str, Any]
    file_name: str | None
    declared_type: str | None
    length: int | None
    digest: DeclaredDigest | None
    chunks: Iterator[bytes]

    def octets(self) -> Iterator[bytes]:
        """Yield the file's octets, the declared digests checked at their end, for use without the pipeline."""
        return digest_checked(self.chunks, self.digest)

    def transfer(self, key: str) -> Transfer:
        """Return what accompanies the write."""
        return Transfer(key, self.length, self.digest)


def open_upload(request: Request, settings: Settings, *, described: bool) -> Upload:
    """Start reading an upload; runs in the upload's thread.

    Args:
        request: its body must not have been read.
        settings: limits.
        described: whether a description must come with the file.

    Raises:
        Refused: TOO_LARGE by Content-Length; UNSUPPORTED_MEDIA_TYPE for a content coding; and what stands in
            `api.multipart`, `api.strict_json` and `vault.intake.parse_digest_headers`.
    """
    length = content_length(request)
    is_form = media_type(single_header(request, "Content-Type")) == _FORM
    room = OVERHEAD if is_form else 0
    if length is not None and length > settings.max_upload_bytes + room:
        raise Refused("TOO_LARGE", limit=settings.max_upload_bytes)
    if (single_header(request, "Content-Encoding") or "identity").lower() != "identity":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "the file is taken as it is, without content coding")
    digest = declared_digest(request)
    if is_form:
        return _form_upload(request, settings, digest, described=described)
    return Upload(
        document=_header_document(request, settings) if described else {},
        file_name=None,
        declared_type=_declared(single_header(request, "Content-Type")),
        length=length,
        digest=digest,
        chunks=body_chunks(request),
    )


def read_small_body(request: Request, limit: int) -> bytes:
    """Return a bounded body, its declared digest checked. Raises Refused(JSON_TOO_LARGE, DIGEST_MISMATCH)."""
    length = content_length(request)
    if length is not None and length > limit:
        raise Refused("JSON_TOO_LARGE", limit=limit)
    if (single_header(request, "Content-Encoding") or "identity").lower() != "identity":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "no content coding")
    return collect(digest_checked(body_chunks(request), declared_digest(request)), limit)


def content_length(request: Request) -> int | None:
    """Return the announced length, or None. Raises Refused(FIELD_INVALID)."""
    text = single_header(request, "Content-Length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused("FIELD_INVALID", "not a number of octets", field="Content-Length")
    return int(text)


def declared_digest(request: Request) -> DeclaredDigest | None:
    """Return the digests declared for the body (RFC 9530). Raises Refused(DIGEST_MALFORMED)."""
    return parse_digest_headers(
        ", ".join(request.headers.getlist("Repr-Digest")) or None,
        ", ".join(request.headers.getlist("Content-Digest")) or None,
    )


def media_type(content_type: str | None) -> str:
    """Return the bare media type, lower case, or ""."""
    return (content_type or "").partition(";")[0].strip().lower()


def _declared(content_type: str | None) -> str | None:
    return None if media_type(content_type) in _NO_TYPE else content_type or None


def _header_document(request: Request, settings: Settings) -> dict[str, Any]:
    header = single_header(request, DOCUMENT_HEADER)
    if header is None:
        raise Refused("BODY_INVALID", f"the header {DOCUMENT_HEADER} is missing")
    return _object(from_base64url(header, settings.max_json_bytes, DOCUMENT_HEADER))


def _form_upload(
    request: Request, settings: Settings, digest: DeclaredDigest | None, *, described: bool
) -> Upload:
    boundary = boundary_of(single_header(request, "Content-Type") or "")
    # Digests in the request's own headers speak of the whole form, not of the file in it.
    form = Multipart(digest_checked(body_chunks(request), digest), boundary)
    document: dict[str, Any] = {}
    if described:
        part = form.next_part()
        if part is None or part.name != "document":
            raise Refused("BODY_INVALID", "the part document comes first")
        document = _object(collect(form.data(), settings.max_json_bytes))
    part = form.next_part()
    if part is None or part.name != "file":
        raise Refused("BODY_INVALID", "the part file is missing")
    return Upload(
        document=document,
        file_name=part.file_name,
        declared_type=_declared(part.content_type),
        length=None,
        digest=parse_digest_headers(part.headers.get("repr-digest"), part.headers.get("content-digest")),
        chunks=file_of(form),
    )


def file_of(form: Multipart) -> Iterator[bytes]:
    """Yield the file, then make sure that the form ends as it should before the file counts as received."""
    yield from form.data()
    form.finish()


def _object(data: bytes) -> dict[str, Any]:
    value = parse(data)
    if not isinstance(value, dict):
        raise Refused("BODY_INVALID", "a JSON object is expected")
    return value
