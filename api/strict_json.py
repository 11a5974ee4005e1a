"""JSON with one meaning: bounded, UTF-8, no key twice, no NaN, not deep; and objects checked member by member."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from vault.errors import Refused

MAX_DEPTH = 16
_OPENERS, _CLOSERS = frozenset(b"[{"), frozenset(b"]}")
_QUOTE, _BACKSLASH = 0x22, 0x5C
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

Model = TypeVar("Model", bound=BaseModel)


def collect(chunks: Iterable[bytes], limit: int) -> bytes:
    """Put a bounded body together, refusing at the first octet too many. Raises Refused(JSON_TOO_LARGE)."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Refused("JSON_TOO_LARGE", limit=limit)
        parts.append(chunk)
    return b"".join(parts)


def parse(data: bytes) -> Any:
    """Read JSON (RFC 8259) strictly.

    Raises:
        Refused: ENCODING_INVALID (not UTF-8, or half a surrogate pair), JSON_DUPLICATE_KEY, JSON_INVALID (syntax,
            NaN or Infinity, or deeper than 16).
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("ENCODING_INVALID") from None
    # What has not so many of these octets, within texts or not, is not so deep.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise Refused("JSON_INVALID", f"nested deeper than {MAX_DEPTH}")
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:  # only so can half of a pair get into what was UTF-8
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("ENCODING_INVALID", "half of a surrogate pair") from None
    except (ValueError, RecursionError):
        raise Refused("JSON_INVALID") from None
    return value


def parse_as(model: type[Model], data: bytes) -> Model:
    """Read JSON and check it against a model; unknown members are refused.

    Raises:
        Refused: what `parse` raises; BODY_INVALID when it is no object; FIELD_INVALID naming the member.
    """
    value = parse(data)
    if not isinstance(value, dict):
        raise Refused("BODY_INVALID", "a JSON object is expected")
    return checked(model, value)


def checked(model: type[Model], value: dict[str, Any]) -> Model:
    """Check an object against a model. Raises Refused(FIELD_INVALID) naming the first bad member."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused("FIELD_INVALID", first["msg"], field=field) from None


def from_base64url(text: str, limit: int, field: str) -> bytes:
    """Decode a base64url header (RFC 4648 section 5, padding optional).

    Raises:
        Refused: JSON_TOO_LARGE; FIELD_INVALID naming `field`.
    """
    if len(text) > (limit + 2) // 3 * 4:
        raise Refused("JSON_TOO_LARGE", limit=limit)
    bare = text.rstrip("=")
    if not _BASE64URL.fullmatch(bare) or len(bare) % 4 == 1:
        raise Refused("FIELD_INVALID", "base64url of a JSON object", field=field)
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


def _depth(data: bytes) -> int:
    """Count nesting before parsing, so that the parser's own stack is never in question."""
    depth = deepest = 0
    in_string = escaped = False
    for octet in data:
        if in_string:
            if escaped:
                escaped = False
            elif octet == _BACKSLASH:
                escaped = True
            elif octet == _QUOTE:
                in_string = False
        elif octet == _QUOTE:
            in_string = True
        elif octet in _OPENERS:
            depth += 1
            deepest = max(deepest, depth)
        elif octet in _CLOSERS:
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refused("JSON_DUPLICATE_KEY")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
