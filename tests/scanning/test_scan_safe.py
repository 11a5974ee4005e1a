"""A safe with an antivirus: what comes in, what waits, what is found later, and who is given what meanwhile."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.scanning.conftest import hidden_in_pdf, scan_settings
from tests.scanning.test_clamd import until
from tests.services.clamd import EICAR, HARMLESS, LATER, Daemon
from tests.services.database import Copy, lose
from timestamping.errors import AuthorityUnavailable
from vault.audit.contents import audit_safe
from vault.bootstrap import open_parts, open_vault
from vault.core import faults
from vault.db import models
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument, Outcome
from vault.domain.states import Scan
from vault.domain.transfer import Transfer
from vault.errors import Conflict, Refused, SettingsRefused, Unavailable, VaultError
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.needs("clamd")
on_each_database = pytest.mark.usefixtures("each_database")
Opened = Callable[..., Vault]
NOWHERE = "127.0.0.1:1"


def camille(vault: Vault) -> Actor:
    return vault.personas.named("camille").actor


def registrar(vault: Vault) -> Actor:
    return vault.personas.named("agent-etat-civil").actor


def issue(vault: Vault, key: str, content: bytes = b"un acte") -> Outcome:
    new = NewDocument("camille", "Acte", "acte.txt")
    return vault.issuing.issue(registrar(vault), "mairie-specimen", new, iter((content,)), Transfer(key))


def deposit(vault: Vault, key: str, content: bytes = b"une piece") -> Outcome:
    new = NewDocument("camille", "Pièce", "piece.bin")
    return vault.submissions.deposit(camille(vault), new, iter((content,)), Transfer(key))


def read(vault: Vault, actor: Actor, document_id: str) -> bytes | str:
    """Return the original, or the code of why it is not given; bundle and description say the same."""
    view = vault.reading.describe(actor, document_id, "audit")
    codes = []
    for give in (vault.reading.original, vault.reading.bundle):
        try:
            octets = b"".join(give(actor, document_id, "audit").read(0, None))
        except Conflict as error:
            codes.append(error.code)
        else:
            codes.append(octets)
            break
    assert view.published is isinstance(codes[0], bytes)
    if isinstance(codes[0], str):
        assert codes == [view.withheld] * 2
    return codes[0]


def scan_of(vault: Vault, document_id: str) -> tuple[str, str]:
    """Return verdict and reason, the same in both rows, and in the audit's eyes."""
    with vault.parts.database.reading() as connection:
        documents, scans = models.documents, models.document_scans
        scan = connection.scalar(select(documents.c.scan).where(documents.c.id == document_id))
        row = connection.execute(select(scans).where(scans.c.document_id == document_id)).first()
    if row is None:
        return str(scan), ""
    assert row.verdict == scan
    return row.verdict, row.reason


def topics(vault: Vault, document_id: str) -> list[str]:
    table = models.outbox
    with vault.parts.database.reading() as connection:
        query = select(table.c.topic).where(table.c.payload.contains(document_id)).order_by(table.c.id)
        return list(connection.scalars(query))


def audit(vault: Vault) -> None:
    parts = vault.parts
    report = audit_safe(parts.database, parts.keyring, parts.objects, parts.records)
    assert report.problems == []


def look(vault: Vault) -> int:
    """Run the queue until nothing is due."""
    assert vault.scans is not None
    done = 0
    while more := vault.scans.scan_waiting():
        done += more
    return done


def counted(vault: Vault) -> int:
    with vault.parts.database.reading() as connection:
        return len(connection.execute(select(models.documents.c.id)).all())


def test_clean_files_come_in_and_infected_ones_do_not(opened: Opened, clamd_daemon: Daemon) -> None:
    vault = opened(clamd_daemon.address)
    act, piece = issue(vault, "a").document_id, deposit(vault, "p").document_id
    for document in (act, piece):
        assert scan_of(vault, document) == ("clean", "")
        assert topics(vault, document) == ["document.published"]
    assert read(vault, camille(vault), act) == b"un acte"
    for content in (b"x" + EICAR, hidden_in_pdf(HARMLESS)):
        with pytest.raises(Refused) as caught:
            deposit(vault, "v", content)
        assert (caught.value.code, "Probans.Test" in str(caught.value.params["found"])) == (
            "SCAN_INFECTED",
            True,
        )
    with pytest.raises(Refused, match="SCAN_INFECTED"):
        issue(vault, "v", b"x" + EICAR)
    assert counted(vault) == 2
    # A refusal consumes no key.
    assert deposit(vault, "v", b"another").status_code == 201
    assert look(vault) == 0
    audit(vault)


@on_each_database
def test_while_it_is_down_files_wait_and_nobody_else_gets_them(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    daemon.stop()
    act, piece = issue(vault, "a").document_id, deposit(vault, "p").document_id
    for document in (act, piece):
        assert scan_of(vault, document) == ("pending", "engine-down")
        assert topics(vault, document) == ["document.received"]
    # Who brought it has it already.
    assert read(vault, camille(vault), piece) == b"une piece"
    assert read(vault, registrar(vault), act) == b"un acte"
    assert read(vault, camille(vault), act) == "SCAN_PENDING"
    view = vault.reading.describe(camille(vault), piece, "")
    assert (view.document.scan_reason, view.published, view.shareable) == ("engine-down", True, False)
    assert vault.scans is not None
    assert vault.scans.scan_waiting() == 0
    note = vault.health()["scanner"]
    assert "2 waiting" in note.note
    assert "SCANNER_DOWN" in note.note
    daemon.start()
    assert look(vault) == 2
    for document, last in ((act, "document.published"), (piece, "document.published")):
        assert scan_of(vault, document) == ("clean", "")
        assert topics(vault, document) == ["document.received", last]
    assert read(vault, camille(vault), act) == b"un acte"
    assert vault.health()["scanner"].ok
    audit(vault)


def test_where_files_without_verdict_are_refused(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address, scan_when_down="refuse")
    with pytest.raises(Refused, match="size limit") as limited:
        deposit(vault, "k", b"x" * (9 << 20))
    assert (limited.value.code, limited.value.params["reason"]) == ("SCAN_IMPOSSIBLE", "too-large")
    daemon.stop()
    with pytest.raises(Unavailable) as caught:
        deposit(vault, "k")
    assert caught.value.code == "SCANNER_DOWN"
    assert counted(vault) == 0
    assert not vault.health()["scanner"].ok
    daemon.start()
    until(lambda: is_taken(vault))


def is_taken(vault: Vault) -> bool:
    try:
        return deposit(vault, "k").status_code == 201
    except Unavailable:
        return False


def test_where_they_are_given_out_all_the_same(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address, scan_when_down="allow")
    daemon.stop()
    act = issue(vault, "a").document_id
    assert scan_of(vault, act) == ("unscanned", "engine-down")
    assert topics(vault, act) == ["document.published"]
    assert read(vault, camille(vault), act) == b"un acte"
    daemon.start()
    assert look(vault) == 1
    assert scan_of(vault, act) == ("clean", "")
    assert topics(vault, act) == ["document.published"]


def test_what_cannot_be_judged_waits_with_its_reason(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    large = deposit(vault, "l", b"x" * (9 << 20)).document_id
    small = deposit(vault, "s").document_id
    assert scan_of(vault, large) == ("pending", "too-large")
    assert read(vault, camille(vault), small) == b"une piece"
    assert look(vault) == 0, "the same engine is not asked again at once"
    daemon.stop()
    daemon.options = ["AlertExceedsMax yes", "StreamMaxLength 20M"]
    daemon.sign(2, {"Eicar": EICAR})
    daemon.start()
    assert look(vault) == 2
    assert scan_of(vault, large) == ("clean", "")


@on_each_database
def test_new_signatures_find_what_older_ones_did_not(
    opened: Opened, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    vault = opened(daemon.address)
    act, piece = issue(vault, "a", b"1" + LATER).document_id, deposit(vault, "p", b"2" + LATER).document_id
    other = deposit(vault, "o").document_id
    assert {scan_of(vault, each)[0] for each in (act, piece, other)} == {"clean"}
    assert look(vault) == 0
    resigned(vault, daemon, 2, {"Eicar": EICAR, "Later": LATER})
    allowance(vault)
    with caplog.at_level(logging.ERROR, "probans.antivirus"):
        assert look(vault) == 3
    alarms = [each for each in caplog.records if each.message == "infected document"]
    assert {each.administration for each in alarms} == {"mairie-specimen", ""}
    assert sorted(each.document for each in alarms) == sorted((act, piece))
    for document in (act, piece):
        assert scan_of(vault, document) == ("infected", "")
        assert topics(vault, document)[-1] == "scan.infected"
        for actor in (camille(vault), registrar(vault)):
            if actor is camille(vault) or document == act:
                assert read(vault, actor, document) == "DOCUMENT_INFECTED"
        view = vault.reading.describe(camille(vault), document, "")
        assert (view.document.scan_found, view.shareable) == ("Probans.Test.Later.UNOFFICIAL", False)
    assert scan_of(vault, other) == ("clean", "")
    assert "2 infected" in vault.health()["scanner"].note
    assert look(vault) == 0
    audit(vault)
    # It was a mistake of theirs.
    resigned(vault, daemon, 3, {"Eicar": EICAR})
    allowance(vault)
    assert look(vault) == 3
    assert topics(vault, act)[-1] == "scan.cleared"
    assert read(vault, camille(vault), act) == b"1" + LATER
    audit(vault)


def resigned(vault: Vault, daemon: Daemon, version: int, signatures: dict[str, bytes]) -> None:
    """Give the engine signatures and wait until it has them."""
    daemon.sign(version, signatures)
    daemon.reload()
    antivirus = vault.parts.antivirus
    assert antivirus is not None
    until(lambda: f"/{version}/" in antivirus.engine(anew=True))


def allowance(vault: Vault) -> None:
    """Let a minute of the rate pass."""
    assert vault.scans is not None
    vault.scans._counted_at -= 60


def test_the_rate_of_second_looks_is_kept(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address, rescan_per_minute=3)
    for number in range(8):
        deposit(vault, f"d{number}")
    resigned(vault, daemon, 2, {"Eicar": EICAR})
    assert look(vault) == 0
    for most in (3, 3, 2, 0):
        allowance(vault)
        assert look(vault) == most
    # What waits for its first verdict waits for nobody.
    daemon.stop()
    pieces = [deposit(vault, f"p{number}").document_id for number in range(20)]
    daemon.start()
    assert look(vault) == 20
    assert {scan_of(vault, each)[0] for each in pieces} == {"clean"}


@on_each_database
def test_what_came_before_the_antivirus_is_looked_at(tmp_path: Path, daemon: Daemon) -> None:
    plain = Settings(data=tmp_path / "data", publish_interval=0.05)
    vault = open_vault(plain, background=False)
    act, bad = issue(vault, "a").document_id, issue(vault, "b", b"3" + HARMLESS).document_id
    assert vault.scans is None
    assert scan_of(vault, act) == ("unscanned", "")
    assert read(vault, camille(vault), act) == b"un acte"
    assert vault.health()["scanner"].ok
    audit(vault)
    vault.close()
    vault = open_vault(scan_settings(tmp_path, daemon.address), background=False)
    try:
        assert read(vault, camille(vault), act) == "SCAN_PENDING"
        assert look(vault) == 2
        assert read(vault, camille(vault), act) == b"un acte"
        assert read(vault, camille(vault), bad) == "DOCUMENT_INFECTED"
        assert look(vault) == 0
        audit(vault)
    finally:
        vault.close()


def test_a_seal_and_a_verdict_may_come_in_any_order(
    opened: Opened, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = opened(daemon.address)
    daemon.stop()
    with monkeypatch.context() as broken:
        broken.setattr(vault.authority, "token", _no_token)
        first, second = issue(vault, "1").document_id, issue(vault, "2", b"autre").document_id
    daemon.start()
    assert read(vault, camille(vault), first) == "NOT_PUBLISHED"
    assert look(vault) == 2
    assert topics(vault, first) == ["document.received"]
    assert vault.healer.heal() == 2
    for document in (first, second):
        assert topics(vault, document) == ["document.received", "document.published"]
    daemon.stop()
    with monkeypatch.context() as broken:
        broken.setattr(vault.authority, "token", _no_token)
        third = issue(vault, "3", b"encore").document_id
    assert vault.healer.heal() == 1
    assert topics(vault, third) == ["document.received"]
    assert read(vault, camille(vault), third) == "SCAN_PENDING"
    daemon.start()
    assert look(vault) == 1
    assert topics(vault, third) == ["document.received", "document.published"]
    audit(vault)


def _no_token(_: bytes) -> object:
    raise AuthorityUnavailable("down")


def test_the_whole_safe_leaves_without_what_may_not(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    infected = deposit(vault, "i", LATER).document_id
    resigned(vault, daemon, 2, {"Eicar": EICAR, "Later": LATER})
    allowance(vault)
    assert look(vault) == 1
    daemon.stop()
    act, own = issue(vault, "a").document_id, deposit(vault, "o").document_id
    rights = vault.people.rights.exports
    holder = replace(camille(vault), authenticated_at=datetime.now(UTC))
    export = rights.ask(holder, holder.safe_id or "", "e").document_id
    archive = zipfile.ZipFile(io.BytesIO(b"".join(rights.archive(holder, export).chunks)))
    said = {
        each: json.loads(archive.read(next(n for n in archive.namelist() if f"{each}/document.json" in n)))
        for each in (infected, act, own)
    }
    assert {each: (s["content"], s["scan"]) for each, s in said.items()} == {
        infected: ("infected", "infected"),
        act: ("waiting-for-the-antivirus", "pending"),
        own: ("here", "pending"),
    }
    inside = [name for name in archive.namelist() if "/original/" in name or name.endswith(".asice")]
    assert all(own in name for name in inside)
    assert len(inside) == 2


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@on_each_database
@pytest.mark.parametrize("point", ["scan.looked", "scan.recorded", "scan.settled"])
def test_a_round_that_is_cut_short_is_done_again(opened: Opened, daemon: Daemon, point: str) -> None:
    vault = opened(daemon.address)
    daemon.stop()
    act, bad = issue(vault, "a").document_id, deposit(vault, "b", HARMLESS).document_id
    daemon.start()

    def die(name: str) -> None:
        if name == point:
            raise Killed

    assert vault.scans is not None
    faults.install(die)
    try:
        with pytest.raises(Killed):
            vault.scans.scan_waiting()
    finally:
        faults.install(None)
    before = scan_of(vault, act)
    audit(vault)
    settled = point == "scan.settled"
    assert before[0] == ("clean" if settled else "pending")
    assert look(vault) == (0 if settled else 2)
    assert (scan_of(vault, act)[0], scan_of(vault, bad)[0]) == ("clean", "infected")
    assert topics(vault, act) == ["document.received", "document.published"]
    assert topics(vault, bad) == ["document.received", "scan.infected"]
    audit(vault)


@pytest.fixture
def told(tmp_path: Path, daemon: Daemon) -> tuple[Settings, dict[str, tuple[str, str]], Copy]:
    """A closed safe: its settings, its documents' verdicts, and a copy of before most of them."""
    settings = scan_settings(tmp_path, daemon.address, retention_days=0)
    vault = open_vault(settings, background=False)
    stays = issue(vault, "s").document_id
    turns = deposit(vault, "t", LATER).document_id
    vault.publisher.publish()
    vault.close()
    copy = Copy(settings.database_address, tmp_path)
    vault = open_vault(settings, background=False)
    daemon.stop()
    waited, waits = issue(vault, "w").document_id, None
    gone = deposit(vault, "g", b"a detruire").document_id
    daemon.sign(2, {"Eicar": EICAR, "Later": LATER})
    daemon.start()
    allowance(vault)
    assert look(vault) == 4
    daemon.stop()
    waits = issue(vault, "x", b"attend").document_id
    vault.lifecycle.destroy(vault.personas.named("exploitant").actor, gone)
    audit(vault)
    verdicts = {each: scan_of(vault, each) for each in (stays, turns, waited, waits, gone)}
    assert [each[0] for each in verdicts.values()] == ["clean", "infected", "clean", "pending", "clean"]
    vault.publisher.publish()
    vault.close()
    return settings, verdicts, copy


@on_each_database
@pytest.mark.parametrize("older", [False, True])
def test_a_lost_database_knows_every_verdict_again(
    told: tuple[Settings, dict[str, tuple[str, str]], Copy], older: bool
) -> None:
    settings, verdicts, copy = told
    if older:
        copy.put_back()
    else:
        lose(settings.database_address)
    for _ in range(2):  # repeating it is harmless
        parts = open_parts(settings)
        report = parts.recovery().run(parts.clock)
        parts.close()
        assert report.findings == []
    vault = open_vault(settings, background=False)
    try:
        assert {each: scan_of(vault, each)[0] for each in verdicts} == {e: v[0] for e, v in verdicts.items()}
        gone = list(verdicts)[-1]
        with vault.parts.database.reading() as connection:
            scans = models.document_scans.c
            assert connection.scalar(select(scans.verdict).where(scans.document_id == gone)) is None
        audit(vault)
    finally:
        vault.close()


def test_the_audit_finds_a_verdict_that_was_changed_by_hand(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    document = deposit(vault, "d").document_id
    parts = vault.parts
    with parts.database.writing() as connection:
        table = models.document_scans
        connection.execute(table.update().values(verdict="infected"))
    report = audit_safe(parts.database, parts.keyring, parts.objects, parts.records)
    assert [(problem.code, document in problem.where) for problem in report.problems] == [
        ("ROW_MISMATCH", True)
    ]


def test_only_one_process_looks(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    daemon.stop()
    issue(vault, "a")
    daemon.start()
    with vault.parts.database.leading("scan") as leader:
        assert leader
        assert vault.scans is not None
        assert vault.scans.scan_waiting() == 0
    assert look(vault) == 1


def test_a_hanging_engine_holds_nobody_up_for_long(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address, scanner_connect_timeout=0.5, scanner_timeout=0.5)
    deposit(vault, "first")
    daemon.pause()
    try:
        began = time.monotonic()
        ids = [deposit(vault, f"d{number}").document_id for number in range(4)]
        assert time.monotonic() - began < 5
        assert {scan_of(vault, each) for each in ids} == {("pending", "engine-down")}
    finally:
        daemon.resume()
    assert look(vault) == 4


def test_one_that_cannot_be_read_does_not_hold_up_the_others(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    daemon.stop()
    damaged, sound = deposit(vault, "a").document_id, deposit(vault, "b", b"autre").document_id
    daemon.start()
    with vault.parts.database.writing() as connection:
        table = models.objects
        connection.execute(table.update().where(table.c.document_id == damaged).values(address="0" * 64))
    assert look(vault) == 2
    assert scan_of(vault, damaged) == ("pending", "unreadable")
    assert scan_of(vault, sound) == ("clean", "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"scanner": "clamd"},
        {"scanner_address": NOWHERE},
        {"scanner": "clamd", "scanner_address": "nowhere"},
        {
            "scanner": "clamd",
            "scanner_address": NOWHERE,
            "scan_when_down": "allow",
            "unscanned_allowed": False,
        },
    ],
)
def test_settings_that_contradict_each_other(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsRefused):
        open_parts(Settings(data=tmp_path / "data", **wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({}, True),
        ({"unscanned_allowed": False}, False),
        ({"scanner": "clamd", "scanner_address": NOWHERE}, False),
        ({"scanner": "clamd", "scanner_address": NOWHERE, "unscanned_allowed": True}, True),
        ({"scanner": "clamd", "scanner_address": NOWHERE, "scan_when_down": "allow"}, True),
    ],
)
def test_who_gives_unscanned_files(said: dict[str, object], given: bool) -> None:
    assert Settings(**said).check().gives_unscanned is given  # type: ignore[arg-type]


def test_verdicts_move_by_the_table(opened: Opened, clamd_daemon: Daemon) -> None:
    from vault.scanning.rows import move_scan

    assert move_scan(Scan.PENDING, Scan.CLEAN) is Scan.CLEAN
    for before, after in (
        (Scan.CLEAN, Scan.PENDING),
        (Scan.INFECTED, Scan.UNSCANNED),
        (Scan.CLEAN, Scan.UNSCANNED),
    ):
        with pytest.raises(VaultError, match="STATE_CONFLICT"):
            move_scan(before, after)


def test_few_among_many_are_found_page_by_page(
    tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.scanning.rows._PAGE", 3)
    monkeypatch.setattr("vault.scanning.rows._PAGES", 2)
    settings = scan_settings(tmp_path, daemon.address)
    without = Settings(data=settings.data, publish_interval=0.05)
    documents: list[str] = []
    for turn, how_many in ((without, 1), (settings, 14), (without, 2), (settings, 1)):
        vault = open_vault(turn, background=False)
        documents += [deposit(vault, f"{len(documents)}-{n}").document_id for n in range(how_many)]
        vault.close()
    vault = open_vault(settings, background=False)
    try:
        assert vault.scans is not None
        passes = [vault.scans.scan_waiting() for _ in range(8)]
        assert sum(passes) == 3
        assert {scan_of(vault, each)[0] for each in documents} == {"clean"}
        audit(vault)
        # The walk is over for an hour.
        with monkeypatch.context() as over:
            over.setattr("vault.scanning.queue.unseen", None)
            assert vault.scans.scan_waiting() == 0
    finally:
        vault.close()


def test_under_load_nothing_infected_is_ever_clean(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address, scanner_connect_timeout=0.5, scanner_timeout=0.5)
    taken: list[tuple[str, bool]] = []
    wrong: list[str] = []

    def send(worker: int) -> None:
        for number in range(6):
            bad = (worker + number) % 3 == 0
            content = b"%d-%d " % (worker, number) + (HARMLESS if bad else b"harmless")
            try:
                taken.append((deposit(vault, f"{worker}-{number}", content).document_id, bad))
            except Refused as error:
                if not (bad and error.code == "SCAN_INFECTED"):
                    wrong.append(error.code)

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(32)]
    for thread in threads:
        thread.start()
    for disturb in (daemon.pause, daemon.resume, daemon.stop, daemon.start):
        disturb()
        time.sleep(0.4)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not any(bad and scan_of(vault, each)[0] == "clean" for each, bad in taken)
    look(vault)
    assert {(scan_of(vault, each)[0], bad) for each, bad in taken} <= {("clean", False), ("infected", True)}
    assert sum(not bad for _, bad in taken) == 128
    audit(vault)
