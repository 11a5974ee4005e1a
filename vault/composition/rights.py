"""The rights of holders over what is kept about them: a copy of everything, and notes on what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vault.authorization.giving import Giving
from vault.composition.journal import JournalDesk
from vault.composition.logins import LoginServices
from vault.composition.parts import Parts
from vault.documents.bundles import Bundles
from vault.ledger.policy import Policy
from vault.matters.services import Means
from vault.records.objects import Shelf
from vault.rights.everything import DocumentMembers
from vault.rights.everything_else import RecordMembers
from vault.rights.exports import Rights
from vault.rights.notes import Notes
from vault.sealing.papers import Papers


@dataclass(frozen=True, slots=True)
class RightsDesk:
    """The services of rights.

    Attributes:
        exports: everything about a holder in one archive.
        notes: rectification.
    """

    exports: Rights
    notes: Notes


def open_rights_desk(
    parts: Parts,
    means: Means,
    journal: JournalDesk,
    papers: Papers,
    login: LoginServices,
    shelf: Shelf,
    bundles: Bundles,
    policy: Callable[[], Policy],
) -> RightsDesk:
    """Put the services of rights together."""

    def trust() -> Mapping[str, bytes]:
        current = policy()
        return {
            "roots.pem": parts.pki.roots_pem(),
            "ledger.vkeys": current.vkeys_text().encode(),
            "ledger.policy": current.text().encode(),
        }

    giving = Giving(unscanned=parts.settings.gives_unscanned)
    database, keyring, rows = parts.database, parts.keyring, means.matters.rows
    documents = DocumentMembers(database, keyring, shelf, bundles, giving)
    records = RecordMembers(database, keyring, rows, journal.lines, papers, login.sessions)
    exports = Rights(means, journal.access, login.assurance, documents, records, trust, parts.guard)
    return RightsDesk(exports, Notes(means, journal.lines))
