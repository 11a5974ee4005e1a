"""Whether the content of a document may be given to somebody: the one place that decides it."""

from __future__ import annotations

from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Kind
from vault.domain.states import Reception, Scan, Sealing
from vault.errors import Conflict


class Giving:
    """Decides for every way by which content leaves: originals, bundles, copies, shares, answers, exports.

    Access is decided elsewhere (`vault.authorization.ties`); this says whether the content is fit to leave.
    """

    def __init__(self, *, unscanned: bool) -> None:
        """Take the policy.

        Args:
            unscanned: whether what no antivirus looked at may be given to others.
        """
        self._unscanned = unscanned

    def refusal(self, document: Document, reader: Actor | None = None) -> str:
        """Return why the content may not be given, or "".

        Steps:
            1. It was received and sealed: else NOT_PUBLISHED.
            2. What an antivirus calls infected is given to nobody, whoever brought it: DOCUMENT_INFECTED.
            3. What waits for an antivirus is given to nobody but to who brought it: SCAN_PENDING.

        Args:
            document: the document.
            reader: who gets it; None: others than who brought it.
        """
        # 1
        if document.reception is not Reception.RECEIVED or document.sealing is not Sealing.SEALED:
            return "NOT_PUBLISHED"
        # 2
        if document.scan is Scan.INFECTED:
            return "DOCUMENT_INFECTED"
        # 3
        known = document.scan is Scan.CLEAN or (document.scan is Scan.UNSCANNED and self._unscanned)
        if known or (reader is not None and brought_by(reader, document)):
            return ""
        return "SCAN_PENDING"

    def demand(self, document: Document, reader: Actor | None = None) -> None:
        """Ask as `refusal` does. Raises Conflict: NOT_PUBLISHED, DOCUMENT_INFECTED, SCAN_PENDING."""
        if code := self.refusal(document, reader):
            raise Conflict(code, document=document.id)


def brought_by(reader: Actor, document: Document) -> bool:
    """Tell whether somebody brought a document into the safe: they have the file already."""
    private = document.private
    if private is None:
        return False
    if document.kind is Kind.ATTACHMENT and not private.mandate:
        # A holder may be known by several identifiers.
        return reader.role is Role.HOLDER and reader.safe_id == document.safe_id
    submitters = {Role.MANDATARY} if document.kind is Kind.ATTACHMENT else {Role.AGENT, Role.SYSTEM}
    return reader.role in submitters and reader.id == private.actor
