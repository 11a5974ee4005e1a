"""Threads and processes against each other, a clock that is set back, parts that fail: what must hold, holds."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from signing.errors import KeyUnusable, PdfRefused
from storage.errors import ObjectDamaged, ObjectMissing, StorageUnavailable
from timestamping.errors import AuthorityMisconfigured, AuthorityUnavailable
from vault.bootstrap import open_vault
from vault.db import models
from vault.domain.actors import ANONYMOUS, Actor, Role
from vault.domain.documents import NewDocument, Outcome
from vault.domain.states import Sealing, Status
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Refused, Unavailable, VaultError
from vault.ids import new_id
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.usefixtures("each_database")


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    settings = Settings(data=tmp_path / "data", retention_days=0, publish_interval=0.02, ledger_timeout=5)
    opened = open_vault(settings, background=False)
    yield opened
    opened.close()


def issue(
    vault: Vault, key: str, content: bytes = b"un acte", holder: str = "camille", **more: str
) -> Outcome:
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument(holder, "Acte", "acte.txt", **more)
    return vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer(key))


def deposit(vault: Vault, key: str, content: bytes = b"piece") -> Outcome:
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "Pièce", "p.txt")
    return vault.submissions.deposit(holder, new, iter((content,)), Transfer(key))


def status_of(vault: Vault, document_id: str) -> tuple[Status, Sealing]:
    table = models.documents
    with vault.parts.database.reading() as connection:
        row = connection.execute(select(table).where(table.c.id == document_id)).mappings().one()
    return Status(row["status"]), Sealing(row["sealing"])


def count(vault: Vault, table: str) -> int:
    with vault.parts.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(models.metadata.tables[table])) or 0


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run works in threads that start together; return results or errors."""
    barrier = threading.Barrier(len(works))
    results: list[object] = [None] * len(works)

    def run(place: int, work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[place] = work()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def down(imprint: bytes) -> object:
    raise AuthorityUnavailable("down")


# Supersession


def test_of_two_acts_that_replace_one_at_once_only_one_is_issued(vault: Vault) -> None:
    old = issue(vault, "old")
    results = at_once(
        *(
            lambda key=key: issue(vault, key, key.encode(), supersedes=old.document_id)
            for key in ("x", "y", "z")
        )
    )
    issued = [result for result in results if isinstance(result, Outcome)]
    refused = [result for result in results if isinstance(result, Conflict)]
    assert (len(issued), len(refused)) == (1, 2)
    assert {error.code for error in refused} == {"STATE_CONFLICT"}
    assert count(vault, "documents") == 2


def test_revoking_and_replacing_at_once_leaves_one_order_of_events(vault: Vault) -> None:
    agent = vault.personas.named("agent-etat-civil").actor
    for turn in range(5):
        old = issue(vault, f"old{turn}", b"%d" % turn).document_id
        results = at_once(
            lambda old=old, turn=turn: vault.lifecycle.revoke(agent, old, "error", Transfer(f"r{turn}")),
            lambda old=old, turn=turn: issue(vault, f"n{turn}", b"n%d" % turn, supersedes=old),
        )
        # Revoked first: it can no more be replaced. Replaced first: it can still be revoked.
        assert isinstance(results[0], Outcome)
        assert isinstance(results[1], Outcome | Conflict)
        assert status_of(vault, old)[0] is Status.REVOKED


def test_two_revocations_with_one_key_are_one(vault: Vault) -> None:
    agent = vault.personas.named("agent-etat-civil").actor
    act = issue(vault, "a").document_id
    results = at_once(*(lambda: vault.lifecycle.revoke(agent, act, "error", Transfer("r")) for _ in range(4)))
    for result in results:
        assert isinstance(result, Outcome) or (isinstance(result, Conflict) and result.code == "TWIN_RUNNING")
    assert len({result.seq for result in results if isinstance(result, Outcome)}) == 1


@pytest.mark.parametrize("waits", [False, True])
def test_an_act_replaces_only_acts_of_its_holder_and_administration(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    other = issue(vault, "other", holder="dominique")
    attachment = deposit(vault, "d")
    stored = len(list(vault.parts.objects.addresses()))
    if waits:
        monkeypatch.setattr(vault.authority, "token", down)
    for key, old, code in (
        ("k1", other.document_id, "FIELD_INVALID"),
        ("k2", attachment.document_id, "NOT_FOUND"),
        ("k3", new_id("doc"), "NOT_FOUND"),
    ):
        with pytest.raises(VaultError) as caught:
            issue(vault, key, supersedes=old)
        assert caught.value.code == code
    assert len(list(vault.parts.objects.addresses())) == stored  # a refusal stores nothing
    assert status_of(vault, other.document_id)[0] is Status.VALID


def test_while_the_authority_is_down_a_second_replacement_is_refused_not_promised(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = issue(vault, "old")
    with monkeypatch.context() as patched:
        patched.setattr(vault.authority, "token", down)
        first = issue(vault, "x", b"x", supersedes=old.document_id)
        assert first.status_code == 202
        with pytest.raises(Conflict, match="waits"):
            issue(vault, "y", b"y", supersedes=old.document_id)
    with pytest.raises(Conflict):  # nor once the authority is back, before the first is healed
        issue(vault, "z", b"z", supersedes=old.document_id)
    assert vault.healer.heal() == 1
    assert status_of(vault, old.document_id)[0] is Status.SUPERSEDED
    assert status_of(vault, first.document_id) == (Status.VALID, Sealing.SEALED)


@pytest.mark.parametrize("end", ["revoked", "destroyed"])
def test_a_promised_act_gets_its_seal_although_the_old_one_ended_meanwhile(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    old = issue(vault, "old").document_id
    with monkeypatch.context() as patched:
        patched.setattr(vault.authority, "token", down)
        waiting = issue(vault, "x", b"x", supersedes=old)
    if end == "revoked":
        agent = vault.personas.named("agent-etat-civil").actor
        vault.lifecycle.revoke(agent, old, "error", Transfer("r"))
    else:
        vault.lifecycle.destroy(vault.personas.named("exploitant").actor, old)
    assert vault.healer.heal() == 1
    assert status_of(vault, waiting.document_id) == (Status.VALID, Sealing.SEALED)
    assert status_of(vault, old)[0].value == end


def test_a_chain_of_replacements_received_without_timestamp_heals_in_order(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(vault.authority, "token", down)
        first = issue(vault, "1", b"1").document_id
        second = issue(vault, "2", b"2", supersedes=first).document_id
        third = issue(vault, "3", b"3", supersedes=second).document_id
    assert vault.healer.heal() == 3
    states = [status_of(vault, each)[0] for each in (first, second, third)]
    assert states == [Status.SUPERSEDED, Status.SUPERSEDED, Status.VALID]


# Healing


def test_one_file_that_cannot_be_healed_does_not_hold_up_the_others(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(vault.authority, "token", down)
        bad, good = deposit(vault, "1", b"1").document_id, deposit(vault, "2", b"2").document_id
    table = models.objects
    with vault.parts.database.reading() as connection:
        address = connection.scalar(select(table.c.address).where(table.c.document_id == bad))
    read = vault.parts.objects.read

    def damaged(wanted: str, *args: object) -> Iterator[bytes]:
        if wanted == address:
            raise ObjectMissing("gone")
        return read(wanted, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(vault.parts.objects, "read", damaged)
    assert vault.healer.heal() == 1
    assert status_of(vault, good)[1] is Sealing.SEALED
    assert status_of(vault, bad)[1] is Sealing.WAITING


@pytest.mark.parametrize("part", ["store", "ledger"])
def test_a_part_that_is_down_for_a_moment_does_not_end_healing(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(vault.authority, "token", down)
        first, second = deposit(vault, "1", b"1").document_id, deposit(vault, "2", b"2").document_id

    def unavailable(*_: object) -> object:
        raise StorageUnavailable("full")

    with monkeypatch.context() as patched:
        if part == "store":
            patched.setattr(vault.parts.objects, "commit", unavailable)
        else:
            patched.setattr(vault.healer._pipeline._recorder._ledger, "_write_records", unavailable)
        assert vault.healer.heal() == 0
    assert vault.healer.heal() == 2
    with vault.parts.database.reading() as connection:
        table = models.documents
        seqs = {row.id: row.issued_seq for row in connection.execute(select(table.c.id, table.c.issued_seq))}
    assert seqs[first] < seqs[second]


def test_a_file_that_can_never_be_sealed_is_refused_while_the_authority_is_down_too(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, act_pdf: bytes
) -> None:
    def refuse(*_: object) -> object:
        raise PdfRefused("PDF_DAMAGED", "too odd")

    monkeypatch.setattr(vault.authority, "chain", lambda: down(b""))
    monkeypatch.setattr("signing.pades.PadesSealer.rehearse", refuse)
    with pytest.raises(Refused) as caught:
        issue(vault, "k", act_pdf)
    assert caught.value.code == "PDF_DAMAGED"
    assert count(vault, "documents") == 0


@pytest.fixture
def act_pdf() -> bytes:
    """A small PDF that pikepdf writes."""
    import io

    import pikepdf

    out = io.BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(out)
    return out.getvalue()


def test_whatever_the_authority_lacks_the_file_is_received(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misconfigured(imprint: bytes) -> object:
        raise AuthorityMisconfigured("no key")

    monkeypatch.setattr(vault.authority, "token", misconfigured)
    assert deposit(vault, "k").status_code == 202


def test_an_unusable_seal_key_is_an_error_of_the_safe_and_does_not_use_up_the_key(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable(*_: object, **__: object) -> object:
        raise KeyUnusable("no token in the slot")

    with monkeypatch.context() as patched:
        patched.setattr("signing.cades.CadesSealer.prepare", unusable)
        with pytest.raises(VaultError) as caught:
            deposit(vault, "k")
    assert (caught.value.code, str(caught.value)) == ("KEY_UNUSABLE", "KeyUnusable")
    assert deposit(vault, "k").status_code == 201


def test_without_evidence_key_the_bundle_comes_unsealed(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = deposit(vault, "k").document_id
    holder = vault.personas.named("camille").actor

    def unusable(*_: object, **__: object) -> object:
        raise KeyUnusable("expired")

    with monkeypatch.context() as patched:
        patched.setattr("signing.cades.CadesSealer.prepare_manifest", unusable)
        unsealed = vault.reading.bundle(holder, document_id, "").size
    assert vault.reading.bundle(holder, document_id, "").size > unsealed


# Idempotency


def test_one_key_from_many_threads_makes_one_document(vault: Vault) -> None:
    results = at_once(*(lambda: deposit(vault, "same") for _ in range(6)))
    for result in results:
        assert isinstance(result, Outcome) or (isinstance(result, Conflict) and result.code == "TWIN_RUNNING")
    assert count(vault, "documents") == 1
    assert deposit(vault, "same").replayed


_DEPOSIT = """
import sys
from pathlib import Path
from vault.bootstrap import open_vault
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Conflict
from vault.settings import Settings

vault = open_vault(Settings(data=Path(sys.argv[1])), background=False)
holder = vault.personas.named("camille").actor
for turn in range(3):
    new = NewDocument("camille", "Titre", "p.txt")
    try:
        outcome = vault.submissions.deposit(holder, new, iter((b"octets",)), Transfer(f"k{turn}"))
        print(turn, outcome.document_id)
    except Conflict as error:
        assert error.code == "TWIN_RUNNING", error.code
vault.close()
"""


def test_processes_that_start_together_on_an_empty_folder_make_one_safe(tmp_path: Path) -> None:
    data = tmp_path / "data"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _DEPOSIT, str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answered: set[str] = set()
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        answered |= set(output.splitlines())
    assert len(answered) == 3  # one document a key, whoever asked
    vault = open_vault(Settings(data=data), background=False)
    try:
        assert (count(vault, "documents"), count(vault, "safes"), count(vault, "administrations")) == (
            3,
            2,
            2,
        )
    finally:
        vault.close()


def test_the_writer_down_is_503_and_the_key_may_be_used_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise StorageUnavailable("full")

    ledger = vault.healer._pipeline._recorder._ledger
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_write_records", unavailable)
        with pytest.raises(Unavailable) as caught:
            deposit(vault, "k")
        assert caught.value.code == "LEDGER_UNAVAILABLE"
    with monkeypatch.context() as patched:
        patched.setattr(vault.parts.objects, "commit", unavailable)
        with pytest.raises(Unavailable, match="full"):
            deposit(vault, "k")
    assert count(vault, "documents") == 0
    assert not deposit(vault, "k").replayed


# Journal


def test_nothing_is_shown_while_the_journal_cannot_be_written(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = deposit(vault, "k").document_id
    holder = vault.personas.named("camille").actor

    def unavailable(*_: object) -> None:
        raise StorageUnavailable("full")

    monkeypatch.setattr(vault.healer._pipeline._recorder._ledger, "_write_records", unavailable)
    for read in (vault.reading.original, vault.reading.describe, vault.reading.bundle):
        with pytest.raises(Unavailable):
            read(holder, document_id, "")


def test_a_stranger_cannot_tell_a_document_from_none_by_the_writers_state(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = issue(vault, "k").document_id

    def unavailable(*_: object) -> None:
        raise StorageUnavailable("full")

    monkeypatch.setattr(vault.healer._pipeline._recorder._ledger, "_write_records", unavailable)
    strangers = [vault.personas.named(name).actor for name in ("dominique", "agent-paie", "exploitant")]
    for stranger in (*strangers, ANONYMOUS):
        for wanted in (document_id, new_id("doc"), "doc_x", "\ud800"):
            with pytest.raises(NotFound) as caught:
                vault.reading.original(stranger, wanted, "controle")
            assert caught.value.code == "NOT_FOUND"
            with pytest.raises(NotFound) as caught:
                vault.lifecycle.revoke(stranger, wanted, "error", Transfer("k"))
            assert caught.value.code == "NOT_FOUND"


def test_a_stranger_fills_no_journal_by_inventing_purposes(vault: Vault) -> None:
    document_id = issue(vault, "k").document_id
    stranger = vault.personas.named("dominique").actor
    before = count(vault, "ledger_entries")
    for turn in range(20):
        with pytest.raises(NotFound):
            vault.reading.original(stranger, document_id, f"purpose-{turn}")
    assert count(vault, "ledger_entries") == before + 1


def test_a_clock_set_back_does_not_keep_a_window_open(tmp_path: Path) -> None:
    clock = HandClock()
    vault = open_vault(Settings(data=tmp_path / "data"), clock, background=False)
    try:
        document_id = deposit(vault, "k").document_id
        holder = vault.personas.named("camille").actor
        entries = []
        for step in (timedelta(), timedelta(minutes=14), timedelta(minutes=2), timedelta(hours=-6)):
            clock.time += step
            vault.reading.original(holder, document_id, "")
            entries.append(count(vault, "ledger_entries"))
        assert [entry - entries[0] for entry in entries] == [0, 0, 1, 2]
    finally:
        vault.close()


def test_many_first_reads_at_once_are_one_entry(vault: Vault) -> None:
    document_id = deposit(vault, "k").document_id
    holder = vault.personas.named("camille").actor
    before = count(vault, "ledger_entries")
    at_once(*(lambda: vault.reading.original(holder, document_id, "") for _ in range(8)))
    assert count(vault, "ledger_entries") == before + 1


# Reading


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ObjectMissing("gone"), "ORIGINAL_DAMAGED"),
        (ObjectDamaged("bit"), "ORIGINAL_DAMAGED"),
        (StorageUnavailable("slow"), "STORAGE_UNAVAILABLE"),
    ],
)
def test_errors_of_the_store_are_errors_of_the_safe(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    document_id = deposit(vault, "k").document_id
    holder = vault.personas.named("camille").actor

    def fail(*_: object) -> object:
        raise error

    monkeypatch.setattr(vault.parts.objects, "read", fail)
    for read in (
        lambda: vault.reading.original(holder, document_id, "").read(0, None),
        lambda: list(vault.reading.original(holder, document_id, "").read(1, 2)),
        lambda: vault.reading.bundle(holder, document_id, ""),
    ):
        with pytest.raises(VaultError) as caught:
            read()
        assert caught.value.code == code


def test_an_agent_with_a_safe_reads_as_agent(vault: Vault) -> None:
    document_id = issue(vault, "k").document_id
    camille = vault.personas.named("camille").actor
    agent = Actor("agent", Role.AGENT, safe_id=camille.safe_id, administration_id="mairie-specimen")
    bundle = vault.reading.bundle(agent, document_id, "controle")
    assert b"camille" not in b"".join(bundle.read(0, None))


def test_no_name_of_anybody_lies_in_clear(vault: Vault) -> None:
    """A canary through issue, deposit, read, refusal and revocation; key files name nobody either."""
    canary = "ZQXJ Ünïque"
    agent = vault.personas.named("agent-etat-civil").actor
    holder = vault.personas.named("camille").actor
    stranger = vault.personas.named("dominique").actor
    new = NewDocument("camille", canary, f"{canary}.txt", case="DEM-CANARI-1")
    content = canary.encode() * 50
    act = vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer("cle-canari"))
    vault.submissions.deposit(holder, new, iter((content,)), Transfer("cle-canari"))
    b"".join(vault.reading.bundle(holder, act.document_id, "").read(0, None))
    with pytest.raises(NotFound):
        vault.reading.original(stranger, act.document_id, "curiosite-canari")
    vault.lifecycle.revoke(agent, act.document_id, "fraud", Transfer("cle-canari"))
    words = [
        canary,
        "DEM-CANARI",
        "cle-canari",
        "curiosite-canari",
        "camille",
        "dominique",
        "agent-etat-civil",
    ]
    needles = [word.encode() for word in words] + [hashlib.sha256(content).digest()]
    needles.append(hashlib.sha256(content).hexdigest().encode())
    for file in vault.settings.data.rglob("*"):
        if file.is_file() and file.name != "personas.json":
            octets = file.read_bytes()
            assert not [needle for needle in needles if needle in octets], file


def test_files_of_uploads_that_failed_are_closed(vault: Vault) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionResetError

    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "T", "p.txt")
    deposit(vault, "warm")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for turn in range(20):
        with pytest.raises(ConnectionResetError):
            vault.submissions.deposit(holder, new, broken(), Transfer(f"b{turn}"))
        with pytest.raises(Refused):
            vault.submissions.deposit(holder, new, iter(()), Transfer(f"e{turn}"))
    # Publisher, healer and courier open a few files of their own meanwhile; a leak would leave 20 or 40.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 10
