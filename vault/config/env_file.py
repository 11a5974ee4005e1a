"""Settings written down in a file, in the form that systemd and containers take their environment from."""

from __future__ import annotations

import re
from pathlib import Path

from vault.errors import SettingsRefused

PREFIX = "PROBANS_"
_MOST = 1 << 20
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"(['\"])(.*)\1")


def read_settings_file(path: Path) -> dict[str, str]:
    """Return the settings in a file by their names in lower case, without the prefix.

    A line is empty, a comment behind `#`, or `PROBANS_NAME=value`, after `export ` if it is also a shell's. A pair of
    quotes around the whole value is taken off; nothing in it is replaced.

    Args:
        path: UTF-8, one mebibyte at most.

    Raises:
        SettingsRefused: it cannot be read, or a line is none of these, or names a setting for the second time.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise _refused(path, str(error)) from error
    if len(data) > _MOST:
        raise _refused(path, "it is too large")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or not match[1].startswith(PREFIX):
            # The line may hold a password: it is not shown.
            raise _refused(path, f"line {number} is not {PREFIX}NAME=value")
        name = match[1].removeprefix(PREFIX).lower()
        if name in found:
            raise _refused(path, f"line {number} names {match[1]} once more")
        quoted = _QUOTED.fullmatch(match[2].strip())
        found[name] = quoted[2] if quoted else match[2].strip()
    return found


def _refused(path: Path, why: str) -> SettingsRefused:
    return SettingsRefused("SETTINGS_REFUSED", f"The settings in {path.name} cannot be used: {why}.")
