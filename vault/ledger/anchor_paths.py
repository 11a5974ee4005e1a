"""Where anchors lie in a published ledger; loads nothing else, for whoever only lists them."""

from __future__ import annotations

import re

FOLDER = "anchor/"
ANCHOR_LIST = "anchors"
_TOKEN_PATH = re.compile(rf"{FOLDER}([1-9][0-9]{{0,18}})\.tst")


def anchor_path(size: int) -> str:
    """Return where the anchor of a checkpoint lies; its token lies beside it, with `.tst`."""
    return f"{FOLDER}{size}"


def anchor_size(path: str) -> int | None:
    """Return which checkpoint's anchor a token's path belongs to, None for any other path."""
    match = _TOKEN_PATH.fullmatch(path)
    return None if match is None else int(match[1])
