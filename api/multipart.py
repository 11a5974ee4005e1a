"""Multipart forms (RFC 7578) read as a stream: no part is ever gathered in memory or spooled in clear.

`python_multipart`'s parser finds the boundaries; here its events become parts that are pulled one after the
other. Memory is one chunk of the body and one part's headers.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vault.errors import Refused

MAX_HEADERS = 8
MAX_HEADER_OCTETS = 4096
# Delimiters, headers and the small parts around the file.
OVERHEAD = 256 * 1024
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_QUOTED = r'"((?:[^"\\\r\n]|\\.)*)"'
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*([A-Za-z0-9!#$&+.^_`|~*-]+)=(?:{_QUOTED}|([^\s";]+))')
_HEADERS, _DATA, _END = range(3)
RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Part:
    """The headers of one part.

    Attributes:
        name: name of the form field.
        file_name: as the client gave it, not checked; None for a plain field.
        content_type: media type as declared, or None.
        headers: all of them, lower-case names.
    """

    name: str
    file_name: str | None
    content_type: str | None
    headers: dict[str, str] = field(default_factory=dict)


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a multipart/form-data Content-Type. Raises Refused(BODY_INVALID)."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise Refused("BODY_INVALID", "the multipart boundary is missing or malformed")
    return boundary


class Multipart:
    """The parts of one body, in their order: call `next_part`, then consume `data` to its end."""

    def __init__(self, chunks: Iterator[bytes], boundary: bytes) -> None:
        self._chunks = chunks
        self._events: deque[tuple[int, bytes, RawHeaders]] = deque()
        self._headers: RawHeaders = []
        self._name, self._value = bytearray(), bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_begin,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": lambda: self._events.append((_HEADERS, b"", self._headers)),
                "on_part_data": lambda data, start, end: self._events.append((_DATA, data[start:end], [])),
                "on_part_end": lambda: self._events.append((_END, b"", [])),
                "on_end": self._on_end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_OCTETS,
        )

    def next_part(self) -> Part | None:
        """Return the next part, or None after the last.

        Raises:
            Refused: BODY_INVALID when the body is not a well-formed form; ENCODING_INVALID.
        """
        while (event := self._next_event()) is not None:
            if event[0] == _HEADERS:
                return _part(event[2])
        return None

    def data(self) -> Iterator[bytes]:
        """Yield the octets of the part that `next_part` returned. Raises Refused(BODY_INVALID)."""
        while (event := self._next_event()) is not None and event[0] != _END:
            yield event[1]

    def finish(self) -> None:
        """Demand that nothing but the end follows. Raises Refused(BODY_INVALID)."""
        if self.next_part() is not None:
            raise Refused("BODY_INVALID", "no part may follow the file")

    def _next_event(self) -> tuple[int, bytes, RawHeaders] | None:
        while not self._events:
            chunk = next(self._chunks, None)
            if chunk is None:
                if not self._ended:
                    raise Refused("BODY_INVALID", "the form ends before its last boundary")
                return None
            try:
                self._parser.write(chunk)
            except (FormParserError, ValueError):
                raise Refused("BODY_INVALID", "not a well-formed multipart form") from None
        return self._events.popleft()

    def _on_begin(self) -> None:
        self._headers = []

    def _on_header_end(self) -> None:
        self._headers.append((bytes(self._name), bytes(self._value)))
        self._name.clear()
        self._value.clear()

    def _on_end(self) -> None:
        self._ended = True


def _part(raw: RawHeaders) -> Part:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        try:
            name, value = raw_name.decode("ascii").lower(), raw_value.decode("utf-8").strip(" \t")
        except UnicodeDecodeError:
            raise Refused("ENCODING_INVALID") from None
        if name in headers:
            raise Refused("BODY_INVALID", f"a part has two {name} headers")
        headers[name] = value
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    if encoding not in {"7bit", "8bit", "binary"}:
        raise Refused("BODY_INVALID", "content is sent as it is, without transfer encoding")
    name, file_name = _disposition(headers.get("content-disposition", ""))
    return Part(name, file_name, headers.get("content-type"), headers)


def _disposition(value: str) -> tuple[str, str | None]:
    """Read `form-data; name="…"; filename="…"`; browsers write quotes and line ends in percent form."""
    kind, _, _ = value.partition(";")
    rest = value[len(kind) :]
    found: dict[str, str] = {}
    position = 0
    while position < len(rest) and (match := _PARAMETER.match(rest, position)):
        position = match.end()
        key = match[1].lower()
        if key in found:
            raise Refused("BODY_INVALID", f"a part has two {key} parameters")
        found[key] = match[3] if match[2] is None else _unquoted(match[2])
    if kind.strip().lower() != "form-data" or rest[position:].strip() or "name" not in found:
        raise Refused("BODY_INVALID", "a part without a readable Content-Disposition")
    return found["name"], found.get("filename")


def _unquoted(text: str) -> str:
    if "%" not in text and "\\" not in text:
        return text
    # Only what browsers escape: a name that holds another percent sign is refused later, not reinterpreted.
    text = re.sub(
        r"%(22|0D|0A)", lambda match: unquote_to_bytes(match[0]).decode(), text, flags=re.IGNORECASE
    )
    return re.sub(r'\\(["\\])', r"\1", text)
