"""Words for people: for each stable code, what happened and what to do, in French first, and the HTTP status.

The words stand in `vault.message_*`. Texts are format strings over the params of the error; a missing param shows
as an ellipsis rather than as a failure, since an error message must never fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vault.messages.batches import BATCHES
from vault.messages.cases import CASES
from vault.messages.entries import NAME_PROBLEMS, Entry
from vault.messages.files import FILES
from vault.messages.http import HTTP
from vault.messages.journal import JOURNAL
from vault.messages.keys import KEYS
from vault.messages.logins import LOGINS
from vault.messages.moves import MOVES
from vault.messages.notices import NOTICES
from vault.messages.people import PEOPLE
from vault.messages.requests import REQUESTS
from vault.messages.rights import RIGHTS
from vault.messages.shares import SHARES

CATALOGUE: dict[str, Entry] = {
    **FILES,
    **REQUESTS,
    **PEOPLE,
    **LOGINS,
    **NOTICES,
    **HTTP,
    **CASES,
    **SHARES,
    **JOURNAL,
    **KEYS,
    **RIGHTS,
    **MOVES,
    **BATCHES,
}
UNKNOWN_CODE = "OPERATOR_NEEDED"
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Message:
    """What a person reads.

    Attributes:
        title: what happened.
        action: what to do.
        status: the HTTP status of the answer.
    """

    title: str
    action: str
    status: int


class _Shown(dict[str, object]):
    """Params made readable; an absent one shows as an ellipsis."""

    def __missing__(self, key: str) -> str:
        return "…"


def message(code: str, /, lang: str = "fr", **params: object) -> Message:
    """Return the words for a code.

    Args:
        code: a stable code; an unknown one gets the words of INTERNAL.
        lang: `fr` or `en`; anything else is French.
        params: the error's params.

    Returns:
        Title and action in that language, and the status.
    """
    entry = CATALOGUE.get(code, CATALOGUE[UNKNOWN_CODE])
    english = lang == "en"
    shown = _shown(code, params, english=english)
    title, action = (entry.title_en, entry.action_en) if english else (entry.title_fr, entry.action_fr)
    return Message(title.format_map(shown), action.format_map(shown), entry.status)


def status(code: str) -> int:
    """Return the HTTP status of a code (500 for an unknown one)."""
    return CATALOGUE.get(code, CATALOGUE[UNKNOWN_CODE]).status


def readable_size(octets: int, *, english: bool) -> str:
    """Write a size in decimal units, such as `20 Mo` (a no-break space before the unit)."""
    units = ("B", "kB", "MB", "GB", "TB") if english else ("o", "ko", "Mo", "Go", "To")
    value, unit = float(octets), 0
    while value >= 1000 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    number = f"{value:.1f}".removesuffix(".0")
    return f"{number if english else number.replace('.', ',')}\u00a0{units[unit]}"


def _shown(code: str, params: Mapping[str, object], *, english: bool) -> _Shown:
    """Make params readable: sizes in units, name problems in words, everything bounded in length."""
    shown = _Shown()
    for key, value in params.items():
        if key in {"limit", "expected", "received"} and isinstance(value, int):
            shown[key] = value
            shown[f"{key}_size"] = readable_size(value, english=english)
        else:
            shown[key] = str(value)[:_MAX_SHOWN]
    problem = NAME_PROBLEMS.get(str(params.get("problem"))) if code == "NAME_INVALID" else None
    if problem is not None:
        point = str(params.get("character") or "")
        shown["problem"] = problem[1 if english else 0] + (f" ({point})" if point else "")
    return shown
