"""Share codes: made, opened, used up, over, withdrawn, guessed; what bearers see, and what a lost database leaves."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pikepdf
import pytest
from sqlalchemy import func, select

from tests.services.clocks import Shifted
from tests.services.database import lose
from vault.audit.contents import audit_safe
from vault.bootstrap import open_parts, open_vault
from vault.db import models
from vault.db.matters import matter_opening_role
from vault.db.repositories import Documents, opening_role
from vault.documents.reading import Download
from vault.domain.actors import Actor, Role
from vault.domain.documents import NewDocument
from vault.domain.matters import MatterKind
from vault.domain.transfer import Transfer
from vault.errors import NotFound, Unauthenticated, VaultError
from vault.ledger.opening import RevealedOpening
from vault.matters.steps import NewMatter, Said
from vault.service import Vault
from vault.settings import Settings
from vault.sharing.codes import draw_code, draw_secret, grouped
from vault.sharing.opening import LIFETIME
from vault.sharing.shares import Created, NewShare

TOWN = "mairie-specimen"
ADDRESS = "https://coffre.example/partage"
keys = (f"share-key-{number}" for number in count())


class Town:
    """A safe with everybody in it, and short ways to share."""

    def __init__(self, vault: Vault, clock: Shifted, act: bytes) -> None:
        self.vault, self.clock, self.act = vault, clock, act
        self.sharing = vault.people.sharing
        named = vault.personas.named
        self.camille, self.dominique = named("camille").actor, named("dominique").actor
        self.registrar = named("agent-etat-civil").actor

    def issue(
        self, holder: str = "camille", content: bytes | None = None, of_type: str = "acte-de-naissance"
    ) -> str:
        new, key = NewDocument(holder, "Acte de naissance", "acte.pdf", document_type=of_type), next(keys)
        octets = self.act if content is None else content
        return self.vault.issuing.issue(self.registrar, TOWN, new, iter((octets,)), Transfer(key)).document_id

    def revoke(self, document: str) -> None:
        self.vault.lifecycle.revoke(self.registrar, document, "error", Transfer(next(keys)))

    def wanted(self, *documents: str, **changes: object) -> NewShare:
        ends_at = self.clock.now() + timedelta(days=30)
        new = NewShare(documents, "housing", "Dossier de location", "Agence SPÉCIMEN", ends_at, 5, "original")
        return replace(new, **changes)  # type: ignore[arg-type]

    def share(self, *documents: str, actor: Actor | None = None, **changes: object) -> Created:
        return self.sharing.shares.create(
            actor or self.camille, self.wanted(*documents, **changes), next(keys)
        )

    def open(self, share: Created) -> Actor:
        return self.sharing.openings.open(share.code, share.secret).actor

    def seen(self, share: Created) -> tuple[str, int, int]:
        found = self.sharing.shares.see(self.camille, share.outcome.document_id)
        return found.status, found.matter.private["used"], found.refused

    def withdraw(self, share: Created) -> None:
        self.sharing.shares.withdraw(self.camille, share.outcome.document_id, next(keys))

    def mandate(self, scope: list[str], types: list[str] | None = None, days: int = 30) -> Actor:
        matters = self.vault.people.matters
        key = matters.draw(MatterKind.MANDATE)
        private = {
            "mandatary": "prs_other",
            "scope": scope,
            "document_types": types or [],
            "holder": "camille",
        }
        new = NewMatter(
            key, MatterKind.MANDATE, self.camille, private, self.camille.safe_id,
            ends_at=self.clock.now() + timedelta(days=days),
        )  # fmt: skip
        self.vault.writer.run(lambda tx: matters.begin(tx, new, "mandate.granted", Said(holder="camille")))
        return Actor("prs_other", Role.MANDATARY, safe_id=self.dominique.safe_id, mandate_id=key.document_id)

    def reads(self, document: str) -> list[tuple[str, str, str, dict[str, str]]]:
        """The access journal of a document: event, action, actor, context."""
        documents = Documents(self.vault.parts.keyring)
        with self.vault.parts.database.reading() as connection:
            key = documents.key(connection, document)
            found = documents.entries(connection, document, "access")
        assert key is not None
        said = []
        for entry in found:
            opening = RevealedOpening.parse(
                key.open(opening_role("access", entry.counter), entry.opening or b"")
            )
            assert opening.document is not None
            assert opening.parties is not None
            said.append(
                (
                    entry.event,
                    opening.document["action"],
                    opening.parties["actor"],
                    dict(opening.context or {}),
                )
            )
        return said

    def events(self, share: Created) -> list[str]:
        with self.vault.parts.database.reading() as connection:
            found = self.vault.people.matters.rows.entries(connection, share.outcome.document_id)
        return [entry.event for entry in found]

    def openings_of(self, share: Created) -> list[RevealedOpening]:
        rows = self.vault.people.matters.rows
        with self.vault.parts.database.reading() as connection:
            key = rows.key(connection, share.outcome.document_id)
            found = rows.entries(connection, share.outcome.document_id)
        return [
            RevealedOpening.parse(key.open(matter_opening_role(each.counter), each.opening)) for each in found
        ]


@contextmanager
def refused(code: str, **params: object) -> Iterator[None]:
    with pytest.raises(VaultError) as caught:
        yield
    assert caught.value.code == code, caught.value.detail
    assert {name: caught.value.params.get(name) for name in params} == params


def octets(download: Download) -> bytes:
    data = b"".join(download.read(0, None))
    assert len(data) == download.size
    assert b"".join(download.read(10, 20)) == data[10:30]
    return data


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, act_pdf: bytes) -> Iterator[Town]:
    clock = Shifted()
    settings = Settings(
        data=tmp_path_factory.mktemp("safe") / "data", publish_interval=0.05, lockout_failures=3
    )
    vault = open_vault(settings, clock, background=False)
    yield Town(vault, clock, act_pdf)
    vault.close()


@pytest.fixture(autouse=True)
def in_time(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "town" in request.fixturenames:
        request.getfixturevalue("town").clock.ahead = timedelta(0)


def test_opening_and_reading_stand_in_ledger_and_journal(town: Town) -> None:
    act, other = town.issue(), town.issue()
    share = town.share(act, other, views=2)
    first = town.open(share)
    octets(town.sharing.reading.original(first, act))
    town.sharing.reading.describe(first, act)
    second = town.open(share)
    octets(town.sharing.reading.original(second, act))
    assert town.seen(share) == ("exhausted", 2, 0)
    # The last opening is the last one, and goes on reading.
    octets(town.sharing.reading.original(second, other))
    assert town.events(share) == ["share.created", "share.opened", "share.opened", "share.exhausted"]
    share_id = share.outcome.document_id
    lines = town.reads(act)
    assert [(event, action, actor) for event, action, actor, _ in lines] == [
        ("document.read", "read", first.id),
        ("document.read", "describe", first.id),
        ("document.read", "read", second.id),
    ]
    assert {(context["share"], context["purpose"]) for *_, context in lines} == {(share_id, "housing")}
    with refused("SHARE_REFUSED"):
        town.open(share)
    made, opened = town.openings_of(share)[:2]
    assert made.document is not None
    assert made.document["details"] == {"documents": f"{act} {other}", "gives": "original", "views": 2}
    assert made.context is not None
    assert (made.context["purpose"], made.context["title"]) == ("housing", "Agence SPÉCIMEN")
    assert opened.parties is not None
    assert (opened.parties["actor"], opened.parties["role"]) == (first.id, "bearer")


def test_only_keyed_digests_of_code_secret_and_token_are_kept(town: Town) -> None:
    share = town.share(town.issue())
    opened = town.sharing.openings.open(share.code, share.secret)
    private = town.sharing.shares.see(town.camille, share.outcome.document_id).matter.private
    plain = [share.code, share.secret, opened.token, grouped(share.code), grouped(share.secret)]
    assert not any(each in str(dict(private)) for each in plain)
    assert hashlib.sha256(share.secret.encode()).hexdigest() not in str(dict(private))
    data = town.vault.parts.settings.data
    octets_on_disk = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert not any(each.encode() in octets_on_disk for each in plain)


def test_two_at_once_never_exceed_the_number(town: Town) -> None:
    share = town.share(town.issue(), views=3)
    results: list[str] = []
    ready = threading.Barrier(12)

    def work() -> None:
        ready.wait()
        try:
            results.append(town.open(share).id)
        except NotFound as error:
            results.append(error.code)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(results)["SHARE_REFUSED"] == 9
    assert len({each for each in results if each.startswith("opn_")}) == 3
    assert town.seen(share)[:2] == ("exhausted", 3)
    assert Counter(town.events(share))["share.opened"] == 3


def test_a_share_ends_at_its_end_and_a_token_with_it(town: Town) -> None:
    act = town.issue()
    share = town.share(act, ends_at=town.clock.now() + timedelta(minutes=4))
    opened = town.sharing.openings.open(share.code, share.secret)
    assert opened.ends_at - town.clock.now() < timedelta(minutes=5) < LIFETIME
    octets(town.sharing.reading.original(opened.actor, act))
    town.clock.ahead = timedelta(minutes=5)
    assert town.sharing.openings.authenticate(opened.token) is None
    for look in (
        lambda: town.sharing.reading.original(opened.actor, act),
        lambda: town.sharing.reading.describe(opened.actor, act),
        lambda: town.sharing.reading.view(opened.actor),
        lambda: town.sharing.reading.to_verify(opened.actor, act),
    ):
        with refused("NOT_FOUND"):
            look()
    with refused("SHARE_REFUSED"):
        town.open(share)
    assert town.seen(share)[0] == "ended"
    assert town.reads(act)[-1][0] == "document.read-refused"


def test_a_token_counts_ten_minutes(town: Town) -> None:
    share = town.share(town.issue())
    opened = town.sharing.openings.open(share.code, share.secret)
    assert town.sharing.openings.authenticate(opened.token) == opened.actor
    town.clock.ahead = LIFETIME + timedelta(seconds=1)
    assert town.sharing.openings.authenticate(opened.token) is None
    for wrong in ("", "psb_", opened.token[:-1], opened.token + "x", "psb_" + "é" * 40, "psb_" + "x" * 400):
        assert town.sharing.openings.authenticate(wrong) is None


def test_a_withdrawal_stops_reads_in_between_decision_and_entry(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = town.issue()
    share = town.share(act)
    bearer = town.open(share)
    run = town.vault.writer.run

    def withdrawn_first(work: Callable[..., object]) -> object:
        monkeypatch.setattr(town.vault.writer, "run", run)
        town.withdraw(share)
        return run(work)

    monkeypatch.setattr(town.vault.writer, "run", withdrawn_first)
    with refused("NOT_FOUND"):
        town.sharing.reading.original(bearer, act)
    assert [event for event, *_ in town.reads(act)] == ["document.read-refused"]
    assert town.seen(share)[0] == "withdrawn"


class Work:
    """Counts what a try costs: keys opened, transactions, values sought."""

    def __init__(self, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: Counter[str] = Counter()
        self._thread = threading.get_ident()
        keyring, database = town.vault.parts.keyring, town.vault.parts.database
        for owner, name in (
            (keyring, "open_key"),
            (keyring, "index"),
            (database, "writing"),
            (database, "reading"),
        ):
            monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))
        monkeypatch.setattr(town.vault.writer, "run", self._counted("ledger", town.vault.writer.run))

    def _counted(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **named: object) -> object:
            # Threads of the service itself work beside it.
            self.done[name] += threading.get_ident() == self._thread
            return real(*arguments, **named)

        return counted


def test_every_refusal_costs_the_same_work(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    live, spent, gone = (town.share(town.issue(), views=views) for views in (5, 1, 5))
    town.open(spent)
    town.withdraw(gone)
    locked = town.share(town.issue())
    for _ in range(3):
        with refused("SHARE_REFUSED"):
            town.sharing.openings.open(locked.code, "00000000")
    short = town.share(town.issue(), ends_at=town.clock.now() + timedelta(seconds=30))
    town.clock.ahead = timedelta(minutes=1)
    work = Work(town, monkeypatch)
    costs = []
    for code, secret in (
        (live.code, "00000000"),
        (live.code, "not one at all"),
        (draw_code(), draw_secret()),
        ("nothing", ""),
        (spent.code, spent.secret),
        (gone.code, gone.secret),
        (short.code, short.secret),
        (locked.code, locked.secret),
    ):
        work.done.clear()
        with refused("SHARE_REFUSED"):
            town.sharing.openings.open(code, secret)
        costs.append(dict(work.done))
    assert all(cost == costs[0] for cost in costs), costs
    assert (costs[0]["writing"], costs[0]["open_key"], costs[0].get("ledger", 0)) == (2, 1, 0)


def test_refused_tries_are_one_entry_an_interval_and_strange_codes_none(town: Town) -> None:
    share = town.share(town.issue())
    openings = town.sharing.openings
    openings.record_refusals()
    before = _entries(town)
    for code in (share.code, share.code, draw_code(), draw_code()):
        with refused("SHARE_REFUSED"):
            openings.open(code, "00000000")
    assert town.seen(share)[2] == 2  # known at once
    assert openings.record_refusals() == 1
    assert _entries(town) == before + 1
    assert town.events(share) == ["share.created", "share.refused"]
    assert town.openings_of(share)[1].document["details"] == {"tries": 2}  # type: ignore[index]
    with refused("SHARE_REFUSED"):
        openings.open(share.code, "11111111")
    assert openings.record_refusals() == 0  # the interval is not over
    assert town.seen(share)[2] == 3
    town.clock.ahead = timedelta(minutes=16)
    assert openings.record_refusals() == 1
    assert openings.record_refusals() == 0
    assert town.seen(share)[2] == 3
    with town.vault.parts.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(models.share_tries)) == 0


def _entries(town: Town) -> int:
    with town.vault.parts.database.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(models.ledger_entries)) or 0)


def test_right_secrets_count_again_when_the_lock_is_over(town: Town) -> None:
    share = town.share(town.issue())
    for _ in range(3):
        with refused("SHARE_REFUSED"):
            town.sharing.openings.open(share.code, "00000000")
    with refused("SHARE_REFUSED"):
        town.open(share)
    assert town.seen(share)[1] == 0
    town.clock.ahead = timedelta(minutes=16)
    assert town.open(share).share_id == share.outcome.document_id


def test_nobody_shares_what_is_not_theirs(town: Town) -> None:
    mine, theirs = town.issue(), town.issue("dominique")
    for documents in ((theirs,), (mine, theirs), ("doc_00000000000000000000000000",)):
        with refused("NOT_FOUND"):
            town.share(*documents)
    with refused("NOT_FOUND"):
        town.share(mine, actor=town.dominique)
    share = town.share(mine)
    for act in (
        lambda: town.sharing.shares.see(town.dominique, share.outcome.document_id),
        lambda: town.sharing.shares.withdraw(town.dominique, share.outcome.document_id, next(keys)),
        lambda: town.sharing.shares.of_safe(town.dominique, town.camille.safe_id or "", None, 10),
        lambda: town.sharing.shares.with_code(town.dominique, share.outcome.document_id, share.code),
    ):
        with refused("NOT_FOUND"):
            act()
    assert town.seen(share)[0] == "live"


def test_a_bearer_reads_what_was_shared_and_nothing_else(town: Town) -> None:
    shared, other = town.issue(), town.issue()
    theirs = town.issue("dominique")
    bearer = town.open(town.share(shared))
    for document in (other, theirs):
        with refused("NOT_FOUND"):
            town.sharing.reading.original(bearer, document)
        assert town.reads(document)[-1][0] == "document.read-refused"
    forged = replace(bearer, share_id=town.share(other).outcome.document_id)
    octets(town.sharing.reading.original(forged, other))  # what it opens is the share's, not the token's own
    for nobody in (
        replace(bearer, share_id=None),
        replace(bearer, share_id="shr_x"),
        replace(bearer, role=Role.HOLDER),
    ):
        with refused("NOT_FOUND"):
            town.sharing.reading.original(nobody, shared)


def test_mandataries_share_with_the_scope_for_it_and_within_their_types(town: Town) -> None:
    act, note = town.issue(), town.issue(of_type="attestation")
    for scope in (["read"], ["read", "answer"], ["deposit"]):
        with refused("NOT_FOUND"):
            town.share(act, actor=town.mandate(scope))
    free = town.mandate(["share"])
    share = town.share(act, actor=free)
    octets(town.sharing.reading.original(town.open(share), act))
    bound = town.mandate(["share"], ["attestation"])
    with refused("NOT_FOUND"):
        town.share(act, actor=bound)
    with refused("NOT_FOUND"):
        town.sharing.shares.see(bound, share.outcome.document_id)
    own = town.share(note, actor=bound)
    seen = town.sharing.shares.of_safe(bound, town.camille.safe_id or "", None, 50)
    assert share.outcome.document_id not in {each.matter.id for each in seen}
    assert own.outcome.document_id in {each.matter.id for each in seen}
    opening = town.openings_of(share)[0]
    assert opening.parties is not None
    assert opening.parties["mandate"] == free.mandate_id
    ended = town.mandate(["share"], days=1)
    town.clock.ahead = timedelta(days=2)
    with refused("NOT_FOUND"):
        town.share(act, actor=ended)
    with refused("NOT_FOUND"):
        town.sharing.shares.withdraw(ended, share.outcome.document_id, next(keys))
    town.withdraw(share)  # the holder ends what a mandatary began
    assert town.seen(share)[0] == "withdrawn"


def test_what_is_no_longer_in_force_is_said_and_not_given(town: Town) -> None:
    act, fine = town.issue(), town.issue()
    share = town.share(act, fine, evidence=True)
    bearer = town.open(share)
    town.revoke(act)
    view = {each.id: each.status for each in town.sharing.reading.view(bearer).documents}
    assert view == {act: "revoked", fine: "valid"}
    assert town.sharing.reading.describe(bearer, act).status == "revoked"
    for give in (town.sharing.reading.original, town.sharing.reading.bundle):
        with refused("DOCUMENT_NOT_IN_FORCE", document=act):
            give(bearer, act)
    assert town.reads(act)[-1][0] == "document.read-refused"
    octets(town.sharing.reading.original(bearer, fine))
    verdict = town.vault.verifying.upload(town.sharing.reading.to_verify(bearer, act)())
    assert verdict.status is not None
    assert verdict.status.value == "revoked"
    with refused("DOCUMENT_NOT_IN_FORCE", document=act):
        town.share(act)


def test_each_share_gives_its_own_form_and_no_other(town: Town) -> None:
    act = town.issue()
    marked, plain, whole = (
        town.open(town.share(act, form=form, evidence=evidence))
        for form, evidence in (("watermark", False), ("original", False), ("original", True))
    )
    reading = town.sharing.reading
    original = octets(reading.original(plain, act))
    copy = octets(reading.copy(marked, act, ADDRESS))
    assert copy != original
    assert original not in copy
    for refusal in (
        lambda: reading.original(marked, act),
        lambda: reading.bundle(marked, act),
        lambda: reading.copy(plain, act, ADDRESS),
        lambda: reading.bundle(plain, act),
        lambda: reading.copy(whole, act, ADDRESS),
    ):
        with refused("NOT_FOUND"):
            refusal()
    with zipfile.ZipFile(io.BytesIO(octets(reading.bundle(whole, act)))) as bundle:
        names = bundle.namelist()
        opening = next(bundle.read(name) for name in names if name.endswith(".opening.json"))
    # Third parties get the part about the document alone.
    assert b"camille" not in opening
    assert octets(reading.original(whole, act)) == original
    assert (town.vault.reading.original(town.camille, act, "").size, len(original)) == (len(original),) * 2
    assert [action for event, action, *_ in town.reads(act) if event == "document.read"].count("copy") == 1


def test_a_copy_shows_the_same_pages_without_the_seal(town: Town) -> None:
    act = town.issue()
    bearer = town.open(town.share(act, form="watermark"))
    copy = octets(town.sharing.reading.copy(bearer, act, ADDRESS))
    with pikepdf.open(io.BytesIO(copy)) as made, pikepdf.open(io.BytesIO(town.act)) as source:
        assert len(made.pages) == len(source.pages)
        assert not {"/AcroForm", "/Perms", "/DSS", "/Names", "/AF", "/Metadata"} & set(made.Root.keys())
    verdict = town.vault.verifying.upload(iter((copy,)))
    assert not verdict.signatures
    assert verdict.verdict.value != "PASSED"


def test_what_cannot_be_marked_is_refused_when_the_share_is_made(town: Town) -> None:
    text = town.issue(content=b"plain words")
    with refused("COPY_TYPE_UNSUPPORTED", media_type="text/plain"):
        town.share(text, form="watermark")
    octets(town.sharing.reading.original(town.open(town.share(text)), text))


def test_sharing_wants_the_level_that_the_settings_name(tmp_path: Path, act_pdf: bytes) -> None:
    settings = Settings(data=tmp_path / "data", publish_interval=0.05, assurance="substantial")
    vault = open_vault(settings, background=False)
    try:
        town = Town(vault, Shifted(), act_pdf)
        with pytest.raises(Unauthenticated) as caught:
            town.share(town.issue(), actor=replace(town.camille, assurance=None))
        assert caught.value.code == "STEP_UP_REQUIRED"
    finally:
        vault.close()


def test_a_lost_database_leaves_shares_as_they_were(tmp_path: Path, act_pdf: bytes) -> None:
    clock = Shifted()
    settings = Settings(data=tmp_path / "data", publish_interval=0.05)
    vault = open_vault(settings, clock, background=False)
    town = Town(vault, clock, act_pdf)
    act = town.issue()
    live, gone, spent = town.share(act, views=3), town.share(act), town.share(act, views=1)
    town.open(live)
    bearer = town.sharing.openings.open(gone.code, gone.secret)
    town.open(spent)
    town.withdraw(gone)
    with refused("SHARE_REFUSED"):
        town.sharing.openings.open(live.code, "00000000")
    assert town.sharing.openings.record_refusals() == 1
    vault.close()
    lose(settings.database_address)
    parts = open_parts(settings, clock)
    assert parts.recovery().run(clock).findings == []
    parts.close()
    vault = open_vault(settings, clock, background=False)
    try:
        town = Town(vault, clock, act_pdf)
        assert town.seen(live) == ("live", 1, 1)
        assert town.seen(gone)[0] == "withdrawn"
        assert town.seen(spent)[:2] == ("exhausted", 1)
        for share in (gone, spent):
            with refused("SHARE_REFUSED"):
                town.open(share)
        assert town.sharing.openings.authenticate(bearer.token) is None
        octets(town.sharing.reading.original(town.open(live), act))
        assert town.seen(live)[1] == 2
        parts = vault.parts
        assert audit_safe(parts.database, parts.keyring, parts.objects, parts.records).problems == []
    finally:
        vault.close()
