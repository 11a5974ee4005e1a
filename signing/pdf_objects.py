"""PDF values as plain Python ones, read from qpdf's canonical text of an object and never from the file.

qpdf resolves, decrypts and repairs; what it writes back has one spelling for each value (names normalised, keys
sorted, strings escaped), so two values are the same exactly when these are equal, references included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import pikepdf


class Ref(NamedTuple):
    """An object's number and generation."""

    number: int
    generation: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream: its dictionary and which object it is; the data stay in the file."""

    ref: Ref
    dictionary: dict[bytes, Value]


# Atoms are their text: b"/Name", b"12", b"1.5", b"true", b"null", b"(string)" or b"<hexadecimal>".
Value: TypeAlias = "bytes | Ref | list[Value] | dict[bytes, Value] | Stream"

STREAM = b"stream "
_TOKEN = re.compile(
    rb"\s*(?:(<<|>>|\[|\])|(\d+) (\d+) R(?![^\s\[\]<>()/])|(/[^\s\[\]<>()/]*)"
    rb"|(<[0-9a-fA-F]*>|\([^()\\]*(?:\\.[^()\\]*)*\))|([^\s\[\]<>()/]+))",
    re.DOTALL,
)
_REAL = re.compile(rb"-?\d*\.\d*")


def parse(text: bytes) -> Value:
    """Read one value from qpdf's canonical text.

    Raises:
        ValueError: the text is no PDF value.
    """
    result: list[Value] = []
    stack: list[list[Value]] = [result]
    position, end = 0, len(text)
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            if text[position:].strip():
                raise ValueError("not a PDF value")
            break
        position = found.end()
        kind = found.lastindex
        if kind == 1:
            _nest(stack, found[1])
        elif kind == 3:
            stack[-1].append(Ref(int(found[2]), int(found[3])))
        elif kind == 6 and _REAL.fullmatch(found[6]):
            stack[-1].append(_number(found[6]))
        else:
            stack[-1].append(found[kind or 0])
    if len(stack) != 1 or len(result) != 1:
        raise ValueError("not one PDF value")
    return result[0]


def _nest(stack: list[list[Value]], bracket: bytes) -> None:
    if bracket in {b"<<", b"["}:
        stack.append([])
        return
    if len(stack) == 1:
        raise ValueError("a bracket closes nothing")
    inner = stack.pop()
    if bracket == b"]":
        stack[-1].append(inner)
        return
    if len(inner) % 2:
        raise ValueError("a dictionary with a key and no value")
    entries: dict[bytes, Value] = {}
    for key, value in zip(inner[::2], inner[1::2], strict=True):
        if not isinstance(key, bytes) or not key.startswith(b"/"):
            raise ValueError("a dictionary key that is no name")
        if value != b"null":
            entries[key] = value
    stack[-1].append(entries)


def _number(text: bytes) -> bytes:
    """Spell a real as the integer it equals, else without zeros at its end."""
    text = text.rstrip(b"0").rstrip(b".")
    return b"0" if text in {b"", b"-", b"-0"} else text


def references(value: Value) -> Iterator[tuple[bytes, bytes, Ref]]:
    """Yield each reference inside a value: the keys on the way to it joined, the last of them, the target."""
    stack: list[tuple[bytes, bytes, Value]] = [(b"", b"", value)]
    while stack:
        path, near, item = stack.pop()
        if isinstance(item, Ref):
            yield path, near, item
        elif isinstance(item, list):
            stack.extend((path, near, element) for element in item)
        elif isinstance(item, Stream):
            stack.append((path, near, item.dictionary))
        elif isinstance(item, dict):
            stack.extend((path + key, key, element) for key, element in item.items())


def integer(value: Value | None, default: int = 0) -> int:
    """Return an integer, the default where the value is none."""
    if isinstance(value, bytes) and re.fullmatch(rb"-?\d{1,15}", value):
        return int(value)
    return default


def is_string(value: Value | None) -> bool:
    """Whether a value is a string."""
    return isinstance(value, bytes) and value[:1] in {b"(", b"<"}


def text_of(value: Value | None) -> str:
    """Decode a text string; "" where the value is none."""
    if not isinstance(value, bytes) or not is_string(value):
        return ""
    return str(pikepdf.Object.parse(value))


def same_text(one: Value | None, other: Value | None) -> bool:
    """Whether two values are the same up to the encoding of the text strings in them."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_text, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_text(one[key], other[key]) for key in one)
    return one == other or (is_string(one) and is_string(other) and text_of(one) == text_of(other))


def rectangle(value: Value | None) -> tuple[float, float, float, float] | None:
    """Return left, bottom, right and top of a rectangle, in its own units; None where the value is none."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = []
    for item in value:
        if not isinstance(item, bytes) or not re.fullmatch(rb"-?\d{1,15}(\.\d+)?|-?\.\d+", item):
            return None
        numbers.append(float(item))
    left, right = sorted(numbers[::2])
    bottom, top = sorted(numbers[1::2])
    return left, bottom, right, top
