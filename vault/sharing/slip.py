"""The slip a holder prints and hands over: address, code, QR code. The second secret is never on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import segno

from vault.authorization.purposes import OWN_PURPOSES
from vault.documents.sealed_reports import FOLDER
from vault.documents.typesetting import render
from vault.documents.watermarks import shown
from vault.domain.matters import Matter
from vault.sharing.codes import grouped, read_code

_TEMPLATE = "share-slip"
_PAGE = "/partage"


def page_address(origin: str) -> str:
    """Return the address of the page where codes are typed."""
    return f"{origin}{_PAGE}"


def typeset_slip(share: Matter, code: str, origin: str, at: datetime) -> bytes:
    """Typeset a slip.

    Args:
        share: the share.
        code: its code, as it was typed.
        origin: of the service's public address, such as `https://coffre.example`.
        at: time of the slip, UTC.

    Returns:
        A PDF (PDF/A-2a, PDF/UA-1); the QR code holds the address with the code behind `#`, which browsers do not send.

    Raises:
        vault.errors.VaultError: see `vault.documents.typesetting.render`.
    """
    said: Any = share.private
    plain = read_code(code)
    address = page_address(origin)
    ends_at = share.ends_at or at
    symbol = segno.make_qr(f"{address}#{plain}", error="m")
    data = {
        "address": address,
        "code": grouped(plain),
        "recipient": shown(said["recipient"]),
        "purpose": shown(said["words"] or OWN_PURPOSES.get(said["purpose"], (said["purpose"],))[0]),
        "ends_at": {"fr": f"{ends_at:%d/%m/%Y %H:%M} UTC", "en": f"{ends_at:%Y-%m-%d %H:%M} UTC"},
        "views": said["views"],
        "qr": ["".join("1" if dark else "0" for dark in row) for row in symbol.matrix],
    }
    return render(_TEMPLATE, data, at=at, folder=FOLDER)
