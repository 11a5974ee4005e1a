"""Puts the service together from its backends."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from signing.revocation import RevocationSource
from timestamping.base import TimestampAuthority
from vault.authorization.giving import Giving
from vault.authorization.purposes import Purposes
from vault.authorization.rates import Limits, Lockout, Rate
from vault.authorization.ties import Ties
from vault.batches.desk import Batches, BatchLimits
from vault.batches.report import BatchReports
from vault.composition.first_start import make_people, open_first_entry
from vault.composition.journal import JournalDesk, open_journal_desk
from vault.composition.logins import open_login_services
from vault.composition.notices import Channels, open_notifying
from vault.composition.parts import Parts
from vault.composition.people import People
from vault.composition.requests import open_tell_once
from vault.composition.rights import open_rights_desk
from vault.composition.safes import open_safe_services
from vault.composition.scanning import open_scan_queue
from vault.composition.sharing import open_sharing
from vault.composition.witnesses import counting, with_keys, witness_policy
from vault.db.repositories import Documents, Safes
from vault.documents.bundles import Bundles
from vault.documents.lifecycle import Lifecycle
from vault.documents.reading import Reading
from vault.documents.searching import Search
from vault.inspection import InspectionLimits
from vault.issuing import Issuing
from vault.journal import Journal
from vault.ledger.anchoring import Anchoring
from vault.ledger.anchors import Anchors
from vault.ledger.policy import Policy
from vault.ledger.pruning import CheckpointPruning
from vault.ledger.publisher import Publisher, Receipts
from vault.ledger.witnessing import Witnessing, WitnessingConfig
from vault.ledger.writer import LedgerWriter, WriterConfig
from vault.maintenance.catching_up import catch_up_tasks
from vault.maintenance.healing import Healer
from vault.maintenance.scrub_rounds import open_scrubs
from vault.matters.attributes import Attributes, load_attributes
from vault.matters.cases import Cases
from vault.matters.requisitions import Requisitions
from vault.matters.services import Means
from vault.matters.steps import Matters
from vault.people import personas
from vault.people.administrations import Names
from vault.people.system_registry import follow_records
from vault.people.systems import Systems
from vault.pipeline import Pipeline, PipelineConfig
from vault.records.idempotency import Idempotency
from vault.records.objects import Shelf
from vault.recovery.restore_guard import RestoreGuard
from vault.recovery.tidying import sweep_dead_records
from vault.sealing.dating import Dating
from vault.sealing.desk import SealingDesk
from vault.sealing.ledger_rotation import KeyRotation
from vault.sealing.papers import Papers
from vault.sealing.sealers import KeySealers
from vault.service import Vault
from vault.submissions import Submissions
from vault.tasks.loop import TaskLoop
from vault.tasks.runner import TaskRunner
from vault.verification.uploads import open_verifying


def assemble(
    parts: Parts, dated: Dating, channels: Channels, running: ExitStack, *, background: bool
) -> Vault:
    """Start the service on opened backends.

    Args:
        parts: the backends.
        dated: what dates.
        channels: the ways by which notices leave.
        running: closes, in reverse order, what is started here.
        background: False leaves the tasks to explicit calls, or to whoever runs `Vault.tasks`.

    Raises:
        SettingsRefused, LedgerError: as `vault.bootstrap.open_vault`.
    """
    settings, clock = parts.settings, parts.clock
    documents, safes = Documents(parts.keyring), Safes(parts.keyring)
    attributes = load_attributes(settings.attributes)
    shelf = Shelf(parts.objects, parts.keyring)
    desk = desk_of(parts, dated.authority, dated.revocation)
    publisher = Publisher(
        parts.database, parts.log, parts.ledger_keys, clock, interval=settings.publish_interval
    )
    writer = LedgerWriter(
        parts.database,
        parts.records.add,
        clock,
        WriterConfig(time_limit_s=settings.ledger_timeout),
    )
    guard = RestoreGuard(parts.log, parts.records)

    def committed(size: int) -> None:
        guard.committed(size)
        publisher.wake(size)

    writer.on_commit = committed
    parts.database.guard = guard.check
    open_first_entry(parts)
    sweep_dead_records(parts.database, parts.records)
    policy = witness_policy(settings.witness_policy, settings.origin, parts.trusted)
    witnessing = _witnessing(parts, publisher, policy) if policy.witnesses else None
    if witnessing is not None:
        running.callback(witnessing.close)
        # Before the first publication: whether the database was set back is for the witnesses to say.
        witnessing.start()
        writer.admit = witnessing.admit
        publisher.hold = witnessing.holds
    publisher.start()
    running.callback(publisher.close)
    # What the writer still commits while it closes is published before the publisher goes.
    running.callback(publisher.publish_last)
    writer.start()
    running.callback(writer.close)
    receipts = Receipts(parts.database, publisher)
    idempotency = Idempotency(parts.keyring, parts.guard)
    matters = Matters(parts.database, parts.keyring, writer, idempotency, clock)
    ties = Ties(matters.rows, clock)
    purposes = Purposes(parts.database, parts.records, clock)
    journal = Journal(
        parts.database, parts.keyring, writer, ties, clock, timedelta(minutes=settings.access_window_minutes)
    )
    pipeline = Pipeline(
        PipelineConfig(
            spool=settings.spool_folder,
            max_upload_bytes=settings.max_upload_bytes,
            inspection=InspectionLimits(max_pages=settings.max_pages),
            retention=timedelta(days=settings.retention_days),
        ),
        parts.database,
        parts.keyring,
        shelf,
        desk,
        writer,
        idempotency,
        clock,
        parts.antivirus,
    )
    batches = _batches(
        parts, safes, ties, Issuing(parts.database, safes, pipeline, attributes, ties), idempotency
    )
    healer = Healer(parts.database, documents, pipeline, parts.guard, settings.heal_interval)
    notifying = open_notifying(parts, channels)
    anchoring = Anchoring(
        parts.database,
        parts.log,
        dated.anchor_authority,
        dated.anchor_verifier,
        dated.anchor_revocation,
        lambda: parts.policy,
        clock,
        timedelta(minutes=settings.anchor_interval_minutes),
    )
    bundles = Bundles(
        parts.database,
        documents,
        shelf,
        receipts,
        Anchors(parts.database, parts.log),
        desk,
        settings.spool_folder,
        settings.origin,
    )
    means = Means(parts.database, parts.keyring, matters, writer, ties, clock)
    lines = open_journal_desk(parts, means, journal, receipts, purposes, desk)
    services = _people(parts, means, desk, attributes, lines, journal, shelf, bundles, policy)
    lifecycle = Lifecycle(parts.database, documents, writer, idempotency, journal, parts.records, clock)
    lifecycle.forget_destroyed()
    scans = open_scan_queue(parts, shelf)
    scrubs = open_scrubs(parts)
    tasks = TaskRunner(
        [
            healer.task,
            anchoring.task,
            *notifying.tasks,
            services.tell_once.sweeper.task,
            *scrubs.tasks,
            batches.task,
            CheckpointPruning(parts.database, clock).task,
            *(() if scans is None else (scans.task,)),
            *catch_up_tasks(parts.database, parts.sites, lifecycle.finish_destructions),
        ],
        clock,
    )
    if background and settings.tasks == "inside":
        running.enter_context(TaskLoop(tasks))
    return Vault(
        settings=settings,
        issuing=batches.issuing,
        batches=batches,
        batch_reports=BatchReports(batches, desk, settings.spool_folder, clock),
        submissions=Submissions(parts.database, safes, pipeline, ties),
        reading=Reading(
            means,
            shelf,
            journal,
            purposes,
            bundles,
            receipts,
            Search(means, parts.replica),
            Giving(unscanned=settings.gives_unscanned),
            receipt_wait_max=settings.receipt_wait_max,
        ),
        lifecycle=lifecycle,
        verifying=open_verifying(
            settings,
            parts.pki.roots(),
            [*dated.roots],
            lambda: with_keys(counting(policy), parts.trusted),
            running,
        ),
        personas=make_people(parts, safes),
        authority=dated.embedded,
        dated=dated,
        tasks=tasks,
        scrubs=scrubs,
        healer=healer,
        scans=scans,
        anchoring=anchoring,
        publisher=publisher,
        witnessing=witnessing,
        receipts=receipts,
        rotation=KeyRotation(parts.database, parts.ledger_keys, writer, publisher, clock),
        writer=writer,
        people=services,
        notifying=notifying,
        parts=parts,
        _policy=lambda: with_keys(policy, parts.trusted),
        _running=running,
    )


def _batches(parts: Parts, safes: Safes, ties: Ties, issuing: Issuing, idempotency: Idempotency) -> Batches:
    settings = parts.settings
    limits = BatchLimits(
        lines=settings.batch_lines,
        manifest_bytes=settings.batch_manifest_bytes,
        part_bytes=settings.batch_part_bytes,
        parts_at_once=settings.batch_parts_at_once,
        threads=settings.batch_threads,
        group=settings.batch_group,
        days=settings.batch_days,
        least_days=settings.retention_days,
    )
    return Batches(
        parts.database,
        parts.keyring,
        safes,
        ties,
        issuing,
        idempotency,
        parts.clock,
        settings.spool_folder,
        limits,
    )


def _people(
    parts: Parts,
    means: Means,
    desk: SealingDesk,
    attributes: Attributes,
    journal: JournalDesk,
    reads: Journal,
    shelf: Shelf,
    bundles: Bundles,
    policy: Policy,
) -> People:
    settings, database, keyring, clock = parts.settings, parts.database, parts.keyring, parts.clock
    follow_records(database, parts.records)
    papers, login = Papers(parts.objects, desk), open_login_services(parts)
    own = open_safe_services(parts, means, login.assurance)
    lock = timedelta(minutes=settings.lockout_minutes)
    lockout = Lockout(database, keyring, clock, settings.lockout_failures, lock)
    sharing = open_sharing(parts, means, reads, bundles, lockout, login.assurance)
    tell_once = open_tell_once(parts, attributes, journal.purposes, means, papers, login.assurance)
    tell_once.sweeper.add(sharing.openings.record_refusals)
    tell_once.sweeper.add(own.closures.close_due)
    return People(
        matters=means.matters,
        ties=means.ties,
        cases=Cases(means),
        requisitions=Requisitions(means, papers),
        labels=own.labels,
        mandates=own.mandates,
        closures=own.closures,
        safes=own.safes,
        papers=papers,
        journal=journal,
        rights=open_rights_desk(
            parts,
            means,
            journal,
            papers,
            login,
            shelf,
            bundles,
            lambda: with_keys(policy, parts.trusted),
        ),
        tell_once=tell_once,
        sharing=sharing,
        systems=Systems(database, keyring, clock),
        limits=Limits(
            keyring, {kind: Rate.per_minute(count) for kind, count in settings.rates_per_minute.items()}
        ),
        lockout=lockout,
        login=login,
    )


def _witnessing(parts: Parts, publisher: Publisher, policy: Policy) -> Witnessing:
    settings = parts.settings
    config = WitnessingConfig(too_few=settings.witness_wait, timeout=settings.witness_timeout)
    return Witnessing(parts.database, parts.log, publisher, policy, parts.clock, config)


def desk_of(parts: Parts, authority: TimestampAuthority, revocation: RevocationSource) -> SealingDesk:
    """Return what seals with the keys at hand."""
    settings = parts.settings
    sealers = KeySealers(
        parts.pki, Names(parts.database, personas.ADMINISTRATIONS), algorithm=settings.seal_algorithm
    )
    tolerance = timedelta(seconds=settings.tsa_tolerance)
    return SealingDesk(sealers, authority, revocation, parts.clock, tolerance)
