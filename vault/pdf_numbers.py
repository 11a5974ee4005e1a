"""Object numbers beyond what a file of its size can have: qpdf takes such objects for absent, other readers do not.

qpdf grants each object three octets of the file and leaves out, without a word, what has a number beyond that. What it
leaves out no inspection sees, until a seal has made the file longer. So nothing may lead there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from vault.errors import Refused

_OCTETS_EACH = 3
_REACH = 200
_GAP = rb"(?:[\x00\t\n\x0c\r ]|%[^\r\n]*[\r\n])+"
# Every number that could be meant: what looks like a comment may be a string's, and hide the beginning of none.
_MEANT = re.compile(rb"(?<![0-9])(?=([0-9]+)" + _GAP + rb"[0-9]+" + _GAP + rb"\Z)")


def largest_number(size: int) -> int:
    """Return the largest object number that qpdf believes of a file of so many octets."""
    return size // _OCTETS_EACH


def refuse_far_references(text: bytes, largest: int, spend: Callable[[], None]) -> None:
    """Refuse text that refers to an object with a larger number (ISO 32000-1, 7.3.10), however it is spaced.

    Args:
        text: octets of a file, or of an inflated object stream.
        largest: see `largest_number`.
        spend: called for each place that is looked at closely; may raise.

    Raises:
        Refused: PDF_DAMAGED.
    """
    for match in _suspects(len(str(largest))).finditer(text):
        spend()
        before = text[max(0, match.start() - _REACH) : match.start()]
        if any(int(found[1]) > largest for found in _MEANT.finditer(before)):
            raise Refused(
                "PDF_DAMAGED", "a reference to an object that the file cannot have", problem="numbers"
            )


@lru_cache(maxsize=16)
def _suspects(digits: int) -> re.Pattern[bytes]:
    """Match the R of references, but for those of the usual spacing whose numbers have fewer digits."""
    white = rb"[\x00\t\n\x0c\r ]"
    usual = b"".join(rb"(?<![^0-9][0-9]{%d}%b[0-9]%bR)" % (count, white, white) for count in range(1, digits))
    return re.compile(rb"R(?=[\x00\t\n\x0c\r ()<>\[\]{}/%%]|\Z)(?<=%bR)%b" % (white, usual))
