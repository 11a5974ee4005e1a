"""The running safe: what pages, REST API and command line use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import select

from timestamping.authority import EmbeddedAuthority
from vault.db import models
from vault.figures import LedgerFigures, ledger_figures
from vault.healing import Healer
from vault.issuing import Issuing
from vault.ledger.anchoring import Anchoring
from vault.ledger.anchors import stored_sizes
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher, Receipts
from vault.ledger.witnessing import Witnessing
from vault.ledger.writer import LedgerWriter
from vault.lifecycle import Lifecycle
from vault.notifying import Notifying
from vault.parts import Parts
from vault.people import People
from vault.personas import Personas
from vault.reading import Reading
from vault.rotation import KeyRotation
from vault.settings import Settings
from vault.submissions import Submissions
from vault.verifying import Verifying


@dataclass(frozen=True, slots=True)
class Trust:
    """What a verifier needs besides the file; written out by the demo for auditors.

    Attributes:
        roots_pem: certificate roots of seals and timestamps.
        vkeys: the log's verifier keys, those that sign now first.
        policy: the log's policy in c2sp.org/tlog-policy form.
        vkeys_text: the same keys as a file, one a line, with how far those that were replaced signed.
    """

    roots_pem: bytes
    vkeys: Sequence[str]
    policy: str
    vkeys_text: str


@dataclass(frozen=True, slots=True)
class Health:
    """State of one part.

    Attributes:
        ok: whether it works.
        note: one sentence for operators.
    """

    ok: bool
    note: str


@dataclass
class Vault:
    """The running safe."""

    settings: Settings
    issuing: Issuing
    submissions: Submissions
    reading: Reading
    lifecycle: Lifecycle
    verifying: Verifying
    personas: Personas
    authority: EmbeddedAuthority | None
    healer: Healer
    anchoring: Anchoring
    publisher: Publisher
    witnessing: Witnessing | None
    receipts: Receipts
    rotation: KeyRotation
    writer: LedgerWriter
    people: People
    notifying: Notifying
    parts: Parts
    _policy: Callable[[], Policy]
    _running: ExitStack

    @property
    def trust(self) -> Trust:
        """What verifiers need today."""
        policy = self._policy()
        vkeys = [key.vkey for key in policy.logs]
        return Trust(self.parts.pki.roots_pem(), vkeys, policy.text(), policy.vkeys_text())

    def health(self) -> Mapping[str, Health]:
        """Tell for each part whether it works."""
        return {
            "database": _probe(self._ask_database),
            "storage": _probe(lambda: self.parts.objects.durability().note),
            "ledger": _probe(self._ask_ledger),
            "witnesses": self._witnesses(),
        }

    def figures(self) -> LedgerFigures:
        """Return what monitoring asks about the ledger. Raises Unavailable, LedgerError."""
        return ledger_figures(self.parts.database, self._policy(), self.parts.clock)

    def log_file(self, path: str) -> bytes:
        """Return a published file of any generation of the ledger. Raises storage.errors.ObjectMissing.

        Args:
            path: under the root of the first; files of generation n lie at `n/`.
        """
        return self.parts.root_log.get(path)

    def anchor_sizes(self, place: str) -> list[int]:
        """Return the sizes of the anchors of any generation of the ledger, in order.

        Those that are published with it count: the database knows those of the newest generation alone.

        Args:
            place: "" for the first generation, `n/` for generation n.

        Raises:
            storage.errors.ObjectMissing: there is no such generation.
        """
        if place:
            self.parts.root_log.get(f"{place}checkpoint")
        return stored_sizes(self.parts.root_log, place)

    def close(self) -> None:
        """Stop background work, finish what was promised, close the backends."""
        self._running.close()

    def _ask_database(self) -> str:
        with self.parts.database.reading() as connection:
            size = connection.scalar(select(models.ledger_head.c.size))
        return f"{size} entries"

    def _witnesses(self) -> Health:
        if self.witnessing is None:
            return Health(True, "none: the ledger rests on the operator's keys alone")
        state = self.witnessing.state()
        return Health(state.ok, state.note)

    def _ask_ledger(self) -> str:
        if self.publisher.failure is not None:
            raise self.publisher.failure
        size = self.receipts.published_size()
        return f"published up to entry {size - 1}" if size else "nothing published yet"


def _probe(ask: Callable[[], str]) -> Health:
    try:
        return Health(True, ask())
    except Exception as error:  # whatever is wrong with a part is what readiness must tell
        return Health(False, str(getattr(error, "code", "INTERNAL")))
