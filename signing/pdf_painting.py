"""What the content stream of an appearance paints, as its operators tell (ISO 32000-1, annex A); nothing is drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_REGULAR = rb"[^\x00\t\n\x0c\r ()<>\[\]{}/%"
# Some viewers end a number where letters begin; so does this.
_TOKEN = re.compile(rb"%%[^\r\n]*|(\()|<<|(<)|/%b]*|([-+.\d]+)|(%b\d.+-]+)|\S" % (_REGULAR, _REGULAR))
_IN_STRING = re.compile(rb"\\.|[()]", re.DOTALL)
_AREAS = frozenset({b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*", b"Do", b"sh", b"BI", b"ID", b"EI"})
_TEXT = frozenset({b"Tj", b"TJ", b"'", b'"'})
_LINES = frozenset({b"S", b"s"})
_BY_NAME = frozenset({b"Do", b"sh", b"gs"})
# Operands of those that set a colour to fill and to draw lines with; of the others no colour can be told.
_FILL_COLOURS = {b"g": 1, b"rg": 3, b"k": 4}
_LINE_COLOURS = {b"G": 1, b"RG": 3, b"K": 4}
_OTHER_COLOURS = frozenset({b"cs", b"sc", b"scn"}), frozenset({b"CS", b"SC", b"SCN"})
_LIGHT = 0.8


class Operation(NamedTuple):
    """An operator and the numbers before it."""

    operator: bytes
    numbers: tuple[float | None, ...]
    text: bytes


def operations(data: bytes) -> list[Operation]:
    """Read a content stream; strings and comments hold no operators.

    Args:
        data: inflated.
    """
    found: list[Operation] = []
    numbers: list[float | None] = []
    position, start = 0, 0
    # Behind the last of them no string in hexadecimal ends, so none is looked for once more from each "<".
    last = data.rfind(b">")
    while (token := _TOKEN.search(data, position)) is not None:
        position = token.end()
        if token[1] is not None:
            position = _end_of_string(data, position)
        elif token[2] is not None:
            if position <= last:
                position = data.find(b">", position) + 1
        elif token[3] is not None:
            numbers.append(_number(token[3]))
        elif token[4] is not None:
            found.append(Operation(token[4], tuple(numbers), b" ".join(data[start:position].split())))
            numbers, start = [], position
    return found


def _end_of_string(data: bytes, position: int) -> int:
    depth = 1
    for token in _IN_STRING.finditer(data, position):
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return len(data)


def _number(text: bytes) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def covers(painted: Sequence[Operation]) -> bool:
    """Whether areas are filled, or images, forms or shadings painted."""
    return any(item.operator in _AREAS for item in painted)


def draws(painted: Sequence[Operation]) -> bool:
    """Whether anything is painted at all."""
    return any(item.operator in _AREAS | _TEXT | _LINES for item in painted)


def hides(painted: Sequence[Operation], stretch: float, widest: float) -> bool:
    """Whether there is more than thin lines that can be seen on paper.

    Args:
        painted: what is painted.
        stretch: by how much it is enlarged.
        widest: line that is thin, in points.
    """
    widths: list[float | None] = [1.0]
    for item in painted:
        if item.operator in _AREAS | _TEXT | {b"gs", b"cm"} or _is_light(item, lines=True):
            return True
        if item.operator == b"w":
            widths.append(item.numbers[-1] if item.numbers else None)
    return any(width is None or not 0 <= width * stretch <= widest for width in widths)


def covers_more(before: Sequence[Operation], after: Sequence[Operation]) -> bool:
    """Whether something new may cover what lies below: areas, or letters as light as paper.

    What both begin with, as a background does, is not new.
    """
    last = 0
    for index, item in enumerate(after, 1):
        light = _is_light(item, lines=False) or _is_light(item, lines=True)
        if light or item.operator in _AREAS or item.operator == b"gs":
            last = index
    same = [item.text for item in before[:last]] == [item.text for item in after[:last]]
    return last > 0 and (not same or any(item.operator in _BY_NAME for item in after[:last]))


def _is_light(item: Operation, *, lines: bool) -> bool:
    if item.operator in _OTHER_COLOURS[lines]:
        return True
    wanted = (_LINE_COLOURS if lines else _FILL_COLOURS).get(item.operator)
    if wanted is None:
        return False
    numbers = [number for number in item.numbers[-wanted:] if number is not None]
    return len(numbers) < wanted or brightness(numbers) > _LIGHT


def brightness(colour: Sequence[float]) -> float:
    """Return how light a colour of 1, 3 or 4 components is, from 0 to 1."""
    return 1 - max(colour[:3]) - colour[3] if len(colour) == 4 else min(colour)
