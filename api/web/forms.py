"""Forms that pages send."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

from fastapi import Request

from api.multipart import OVERHEAD, Multipart, Part, boundary_of
from api.streams import body_chunks
from api.strict_json import collect
from api.uploads import content_length, file_of, media_type
from vault.errors import Refused
from vault.settings import Settings

_MAX_FIELD = 1024
_MAX_FORM = 8192
_MAX_FIELDS = 8


def small_form(request: Request) -> dict[str, str]:
    """Read a form without files. Raises Refused(BODY_INVALID, ENCODING_INVALID)."""
    if media_type(request.headers.get("Content-Type")) != "application/x-www-form-urlencoded":
        raise Refused("UNSUPPORTED_MEDIA_TYPE")
    data = collect(body_chunks(request), _MAX_FORM)
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise Refused("ENCODING_INVALID") from None
    except ValueError:
        raise Refused("BODY_INVALID") from None
    return dict(pairs)


def file_form(request: Request, settings: Settings) -> tuple[dict[str, str], Part, Iterator[bytes]]:
    """Read the fields before the file of a multipart form, and start on the file.

    Returns:
        The fields, the file part's headers, and its octets.

    Raises:
        Refused: TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, BODY_INVALID, ENCODING_INVALID.
    """
    content_type = request.headers.get("Content-Type", "")
    if media_type(content_type) != "multipart/form-data":
        raise Refused("UNSUPPORTED_MEDIA_TYPE")
    length = content_length(request)
    if length is not None and length > settings.max_upload_bytes + OVERHEAD:
        raise Refused("TOO_LARGE", limit=settings.max_upload_bytes)
    form = Multipart(body_chunks(request), boundary_of(content_type))
    fields: dict[str, str] = {}
    while (part := form.next_part()) is not None:
        if part.file_name is not None:
            return fields, part, file_of(form)
        if len(fields) >= _MAX_FIELDS:
            break
        try:
            fields[part.name] = collect(form.data(), _MAX_FIELD).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("ENCODING_INVALID") from None
    raise Refused("EMPTY_FILE")
