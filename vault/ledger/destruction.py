"""The opening of a destruction, derived from K_status so that it needs no record to be recognised.

Whoever holds K_status and the document's identity (a bundle, an older copy of the database) can recompute the
commitment of `document.destroyed` and knows the event from the public ledger alone. For that its parties and
context are empty and its three salts are HMAC-SHA256(K_status, "probans/destruction/v1/" ‖ part name).
"""

from __future__ import annotations

import hmac

from vault.ledger.events import Event
from vault.ledger.opening import PARTS, Opening

_LABEL = "probans/destruction/v1/"


def destruction_opening(status_key: bytes, document_id: str, sha256: str) -> Opening:
    """Return the one opening that a destruction has.

    Args:
        status_key: K_status, 32 octets.
        document_id: the document.
        sha256: hex digest of the first entry about it: of the octets as they were received when its seal came
            later, else of its original.
    """
    document, parties, context = (
        hmac.digest(status_key, (_LABEL + part).encode(), "sha256") for part in PARTS
    )
    return Opening(
        document={"event": Event.DESTROYED.value, "document_id": document_id, "sha256": sha256},
        parties={"holder": "", "actor": "", "mandate": ""},
        context={"purpose": "", "case": "", "consent": "", "title": "", "file_name": ""},
        salts=(document, parties, context),
    )


def is_destruction(status_key: bytes, document_id: str, sha256: str, commitment: bytes) -> bool:
    """Tell whether a commitment is that of the destruction of this document."""
    expected = destruction_opening(status_key, document_id, sha256).commitment()
    return hmac.compare_digest(expected, commitment)
