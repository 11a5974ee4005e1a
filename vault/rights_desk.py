"""The rights of holders over what is kept about them: a copy of everything, and notes on what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vault.bundles import Bundles
from vault.everything import DocumentMembers
from vault.everything_else import RecordMembers
from vault.giving import Giving
from vault.journal_desk import JournalDesk
from vault.ledger.policy import Policy
from vault.ledger.writer import LedgerWriter
from vault.login_services import LoginServices
from vault.matters import Matters
from vault.notes import Notes
from vault.objects import Shelf
from vault.papers import Papers
from vault.parts import Parts
from vault.rights import Rights
from vault.ties import Ties


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
    writer: LedgerWriter,
    matters: Matters,
    ties: Ties,
    journal: JournalDesk,
    papers: Papers,
    login: LoginServices,
    shelf: Shelf,
    bundles: Bundles,
    policy: Callable[[], Policy],
) -> RightsDesk:
    """Put the services of rights together."""
    settings, database, keyring, clock = parts.settings, parts.database, parts.keyring, parts.clock

    def trust() -> Mapping[str, bytes]:
        current = policy()
        return {
            "roots.pem": parts.pki.roots_pem(),
            "ledger.vkeys": current.vkeys_text().encode(),
            "ledger.policy": current.text().encode(),
        }

    giving = Giving(unscanned=settings.gives_unscanned)
    documents = DocumentMembers(database, keyring, shelf, bundles, giving)
    records = RecordMembers(database, keyring, matters.rows, journal.lines, papers, login.sessions)
    exports = Rights(
        database,
        keyring,
        writer,
        matters,
        ties,
        journal.access,
        login.assurance,
        documents,
        records,
        trust,
        parts.guard,
        clock,
    )
    return RightsDesk(exports, Notes(database, keyring, matters, ties, journal.lines, clock))
