"""Forms that pages send."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
_MAX_WHOLE = 65_536
_MAX_VALUES = 256


@dataclass(frozen=True, slots=True)
class Fields:
    """What a form of the document space says.

    Attributes:
        values: by name, in the order sent.
    """

    values: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str:
        """Return the value of a field, "" when it is missing. Raises Refused(FIELD_INVALID): it stands twice."""
        found = self.values.get(name, ())
        if len(found) > 1:
            raise Refused("FIELD_INVALID", "the field stands more than once", field=name)
        return found[0] if found else ""

    def text(self, name: str) -> str:
        """Return what somebody wrote in a field, composed, on one line: entries of the ledger have no others."""
        return " ".join(unicodedata.normalize("NFC", self.one(name)).split())

    def every(self, name: str) -> tuple[str, ...]:
        """Return the values of a field that may have several."""
        return self.values.get(name, ())

    def kept(self) -> dict[str, str]:
        """Return each field's first value, for a form that is shown again."""
        return {name: values[0] for name, values in self.values.items()}


def whole_form(request: Request) -> Fields:
    """Read a form whose fields may have several values. Raises Refused(BODY_INVALID, ENCODING_INVALID)."""
    values: dict[str, tuple[str, ...]] = {}
    for name, value in _pairs(request, _MAX_WHOLE, _MAX_VALUES):
        values[name] = (*values.get(name, ()), value)
    return Fields(values)


def small_form(request: Request) -> dict[str, str]:
    """Read a form without files. Raises Refused(BODY_INVALID, ENCODING_INVALID)."""
    return dict(_pairs(request, _MAX_FORM, _MAX_FIELDS))


def _pairs(request: Request, longest: int, most: int) -> list[tuple[str, str]]:
    if media_type(request.headers.get("Content-Type")) != "application/x-www-form-urlencoded":
        raise Refused("UNSUPPORTED_MEDIA_TYPE")
    data = collect(body_chunks(request), longest)
    try:
        return parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most)
    except UnicodeDecodeError:
        raise Refused("ENCODING_INVALID") from None
    except ValueError:
        raise Refused("BODY_INVALID") from None


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
