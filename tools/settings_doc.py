#!/usr/bin/env python3
"""Writes docs/settings.md from vault/settings.py: `.venv/bin/python tools/settings_doc.py`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from vault.settings import Settings

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

_HEAD = """# Settings

Made from `vault/settings.py` by `tools/settings_doc.py`; do not edit by hand.

Every setting is an environment variable. No other module reads the environment, and `vault/bootstrap.py` alone turns
settings into backends. The option `--data` of the command line goes before `PROBANS_DATA`.

| variable | default | meaning |
|---|---|---|
"""

_TAIL = """
Refused at start, with the variable to change (`SETTINGS_REFUSED`): in production, no key cabinet, keys inside the data
folder, an address without TLS, development identities, a tolerance of timestamps over 60 s, a secret for traces that
would travel in clear, and an S3 store that is reached without TLS or has no fresh proof ([storage](storage.md));
anywhere, settings that contradict each other, or of which one lacks the other.

Refused with codes of their own: keys that are missing (`KEYS_MISSING`), and a cabinet with which nothing dates
(`KEYS_UNUSABLE`, [keys](keys.md)); in production also development certificates (`KEYS_UNUSABLE`), and a PostgreSQL
server whose commits do not wait for a standby (`DATABASE_UNSUPPORTED`, [database](database.md)).
"""


def document() -> str:
    """Return the whole page."""
    # What Settings inherits comes last.
    names = sorted(Settings.model_fields, key=lambda name: name not in Settings.__annotations__)
    rows = (_row(name, Settings.model_fields[name]) for name in names)
    return _HEAD + "".join(rows) + _TAIL


def _row(name: str, field: FieldInfo) -> str:
    variable = f"{Settings.model_config['env_prefix']}{name}".upper()
    default = "empty" if field.default in (None, "") else f"`{field.default}`"
    meaning = field.description or ""
    if get_origin(field.annotation) is Literal:
        choices = (f"`{choice}`" if choice else "empty" for choice in get_args(field.annotation))
        meaning += f" One of {', '.join(choices)}."
    return f"| `{variable}` | {default} | {meaning.replace('|', chr(92) + '|')} |\n"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # `--help` writes nothing
    TARGET.write_text(document(), encoding="utf-8")
    print(TARGET)
