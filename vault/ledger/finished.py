"""Which published files are finished once they are written: a store may lock those."""

from __future__ import annotations

import re

from vault.ledger.anchor_paths import FOLDER as ANCHORS
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.handover import FOLDER as HANDOVERS
from vault.ledger.retirement import PATH as RETIRED
from vault.ledger.tiles import Tile

_GENERATION = re.compile(r"[1-9][0-9]?/")


def is_finished(path: str) -> bool:
    """Tell whether a file of the published ledger, of any generation, is never replaced or removed.

    Full tiles and entry bundles, anchors, handovers and the notice of an end are; partial tiles and the checkpoint
    are not.
    """
    match = _GENERATION.match(path)
    if match is not None:
        path = path[match.end() :]
    if path == RETIRED or path.startswith((ANCHORS, HANDOVERS)):
        return True
    try:
        return Tile.parse(path).full
    except LedgerProofRefused:
        return False
