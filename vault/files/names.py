"""File names: what may stand in a container, on any system, and before anyone's eyes without deceiving."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from vault.errors import Refused

MAX_NAME_OCTETS = 180

# Names Windows gives to devices, whatever the extension (the superscript digits count there too).
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])", re.IGNORECASE)
_RESERVED = frozenset('<>:"|?*%')
_NO_NAME = _RESERVED | frozenset("/\\")
# General categories: control, surrogate, format (hides or reorders text), private use, unassigned, separators.
_PROBLEMS = {
    "Cc": "control",
    "Cf": "invisible",
    "Cn": "unassigned",
    "Co": "unassigned",
    "Cs": "surrogate",
    "Zl": "control",
    "Zp": "control",
}
# Letters that NFKD does not take apart, as people write them without accents.
_PLAIN = str.maketrans(
    {
        "œ": "oe",
        "Œ": "OE",
        "æ": "ae",
        "Æ": "AE",
        "ß": "ss",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "’": "'",
        "‘": "'",
        "“": "'",
        "”": "'",
        "«": "'",
        "»": "'",
        "–": "-",
        "—": "-",
    }
)


def _refuse(problem: str, character: str = "") -> Refused:
    """Build the refusal; only the code point of the character is told, never the name."""
    point = f"U+{ord(character):04X}" if character else ""
    return Refused("NAME_INVALID", f"{problem} {point}".strip(), problem=problem, character=point)


def _character_problem(character: str) -> str | None:
    """Name what is wrong with one character, or None."""
    if problem := _PROBLEMS.get(unicodedata.category(character)):
        return problem
    if character in "/\\":
        return "path"
    return "reserved" if character in _RESERVED else None


def clean_file_name(raw: str) -> str:
    """Return the name in Unicode NFC, or refuse it; nothing is silently replaced.

    Args:
        raw: the name as the client gave it.

    Returns:
        A name of at most 180 UTF-8 octets, without control, bidirectional, path, percent or reserved
        characters, so that it is one and the same in a zip, a URI, a header and on every file system.

    Raises:
        Refused: NAME_INVALID with `problem` (empty, too_long, control, surrogate, invisible, unassigned, path,
            reserved, dot, space, device) and `character` (its code point, or empty).
    """
    if len(raw) > 4 * MAX_NAME_OCTETS:
        raise _refuse("too_long")
    name = unicodedata.normalize("NFC", raw)
    # What can be printed has none of the categories that are problems.
    if not name.isprintable() or not _NO_NAME.isdisjoint(name):
        for character in name:
            problem = _character_problem(character)
            if problem is not None:
                raise _refuse(problem, character)
    if not name.strip():
        raise _refuse("empty")
    if name.startswith(".") or name.endswith("."):
        raise _refuse("dot")
    if name != name.strip():
        raise _refuse("space")
    if len(name.encode()) > MAX_NAME_OCTETS:
        raise _refuse("too_long")
    if _DEVICE.fullmatch(name.split(".", 1)[0].rstrip()):
        raise _refuse("device")
    return name


def ascii_fallback(name: str) -> str:
    """Return a readable ASCII form: accents dropped, ligatures opened, anything else an underscore."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_PLAIN))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in bare)


def content_disposition(name: str) -> str:
    """Write a `Content-Disposition: attachment` value that survives accents (RFC 6266, RFC 8187).

    Args:
        name: a name `clean_file_name` accepted.

    Returns:
        ASCII text: `filename` for every agent, and `filename*` with the exact name where they differ.
    """
    plain = ascii_fallback(name)
    value = f'attachment; filename="{plain}"'
    if plain == name:
        return value
    return f"{value}; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
