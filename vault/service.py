"""The running safe: what pages, REST API and command line use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select

from signing.base import KeyPurpose
from storage.errors import ObjectMissing
from timestamping.authority import EmbeddedAuthority
from timestamping.base import TimestampAuthority
from vault.batches.desk import Batches
from vault.batches.report import BatchReports
from vault.composition.notices import Notifying
from vault.composition.parts import Parts
from vault.composition.people import People
from vault.db import models
from vault.documents.lifecycle import Lifecycle
from vault.documents.reading import Reading
from vault.issuing import Issuing
from vault.ledger.anchoring import Anchoring
from vault.ledger.anchors import stored_sizes
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher, Receipts
from vault.ledger.tiles import CHECKPOINT_PATH
from vault.ledger.witnessing import Witnessing
from vault.ledger.writer import LedgerWriter
from vault.maintenance.catching_up import sites_health
from vault.maintenance.healing import Healer
from vault.maintenance.scrub_rounds import ScrubRounds
from vault.observability.expiry import Ending, endings, note_of
from vault.observability.health import Ask, Health, Readiness, probe
from vault.observability.ledger_figures import LedgerFigures, ledger_figures
from vault.observability.task_health import own_tasks, workers_tasks
from vault.observability.timestamp_health import timestamp_health
from vault.people.personas import Personas
from vault.scanning.queue import ScanQueue
from vault.sealing.dating import Dating
from vault.sealing.ledger_rotation import KeyRotation
from vault.settings import Settings
from vault.submissions import Submissions
from vault.tasks.book import read_book
from vault.tasks.runner import TaskRunner
from vault.verification.uploads import Verifying

# Without these requests are answered, and what waits for them follows by itself.
_OPTIONAL = frozenset({"timestamps", "anchor-timestamps", "tasks", "stores", "scrub", "tokens"})


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


@dataclass
class Vault:
    """The running safe."""

    settings: Settings
    issuing: Issuing
    batches: Batches
    batch_reports: BatchReports
    submissions: Submissions
    reading: Reading
    lifecycle: Lifecycle
    verifying: Verifying
    personas: Personas
    authority: EmbeddedAuthority | None
    dated: Dating
    tasks: TaskRunner
    scrubs: ScrubRounds
    healer: Healer
    scans: ScanQueue | None
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
    _readiness: Readiness = field(init=False)

    def __post_init__(self) -> None:
        self._readiness = Readiness(self.parts.clock)

    @property
    def trust(self) -> Trust:
        """What verifiers need today."""
        policy = self._policy()
        vkeys = [key.vkey for key in policy.logs]
        return Trust(self.parts.pki.roots_pem(), vkeys, policy.text(), policy.vkeys_text())

    def health(self) -> Mapping[str, Health]:
        """Tell for each part whether it works; one that does not answer in time does not."""
        asked: dict[str, Ask] = {
            "database": lambda: probe(self._ask_database),
            "storage": lambda: probe(self._ask_storage),
            "ledger": lambda: probe(self._ask_ledger),
            "witnesses": self._witnesses,
            "timestamps": lambda: self._timestamps(self.dated.authority),
            "keys": self._keys,
            "scanner": self._scanner,
            "tasks": self._background,
        }
        if self.dated.anchor_authority is not self.dated.authority:
            asked["anchor-timestamps"] = lambda: self._timestamps(self.dated.anchor_authority)
        if any(each.source == "token" for each in self.parts.pki.overview()):
            asked["tokens"] = lambda: probe(self.parts.pki.ask_tokens, needed=False)
        if (sites := self.parts.sites) is not None:
            asked["stores"] = lambda: sites_health(sites)
        if self.scrubs.tasks:
            asked["scrub"] = self.scrubs.health
        return self._readiness.ask(asked, optional=_OPTIONAL)

    def certificates(self) -> Sequence[Ending]:
        """Return when the first certificate of each kind ends, soonest first."""
        return endings(self.parts.pki, self.parts.clock.now())

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

    def _ask_storage(self) -> str:
        # A store elsewhere says what it is like without being there: only what is read tells that it answers.
        with suppress(ObjectMissing):
            self.parts.log.get(CHECKPOINT_PATH)
        return self.parts.objects.durability().note

    def _keys(self) -> Health:
        found = self.certificates()
        unused = {KeyPurpose.TIMESTAMP.value} if self.authority is None else set()
        return Health(not any(each.is_down for each in found if each.what not in unused), note_of(found))

    def _timestamps(self, authority: TimestampAuthority) -> Health:
        tolerance = timedelta(seconds=self.settings.tsa_tolerance)
        return timestamp_health(authority, self.parts.clock.now(), tolerance)

    def _background(self) -> Health:
        if self.settings.tasks == "inside":
            return own_tasks(self.tasks.tasks, self.tasks.states())
        return workers_tasks(self.tasks.tasks, read_book(self.parts.database), self.parts.clock.now())

    def _scanner(self) -> Health:
        if self.scans is None:
            return Health(True, "none: files are not looked at")
        found = probe(self._ask_scanner)
        # While files wait for it, the service goes on without it.
        needed = self.settings.scan_when_down == "refuse"
        return Health(found.ok and self.scans.is_up, found.note, needed)

    def _ask_scanner(self) -> str:
        return self.scans.figures().note if self.scans is not None else ""

    def _witnesses(self) -> Health:
        if self.witnessing is None:
            return Health(True, "none: the ledger rests on the operator's keys alone")
        state = self.witnessing.state()
        return Health(state.ok, state.note)

    def _ask_ledger(self) -> str:
        failure = self.publisher.failure or self.publisher.behind
        if failure is not None:
            raise failure
        size = self.receipts.published_size()
        return f"published up to entry {size - 1}" if size else "nothing published yet"
