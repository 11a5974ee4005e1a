"""Files that are taken in together share look-ups, flushes and the ledger's turn, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from storage.base import Staged
from storage.errors import StorageUnavailable
from vault.authorization.ties import Ties
from vault.bootstrap import open_vault
from vault.db import models
from vault.documents.arrivals import Result
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Unavailable, VaultError
from vault.issuing import Act
from vault.ledger.group import LedgerTransaction
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.usefixtures("each_database")
TOWN = "mairie-specimen"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Vault]:
    settings = Settings(data=tmp_path / "data", publish_interval=0.05)
    with closing(open_vault(settings, background=False)) as vault:
        yield vault


@pytest.fixture
def registrar(town: Vault) -> Actor:
    return town.personas.named("agent-etat-civil").actor


def act(content: bytes, key: str, **changes: Any) -> Act:
    said: dict[str, Any] = {"holder": "camille", "title": "Attestation", "file_name": "a.pdf"} | changes
    noted = said.pop("noted", None)
    return Act(NewDocument(**said, document_type="attestation"), iter((content,)), Transfer(key), noted)


def code(result: Result) -> str:
    return result.code if isinstance(result, VaultError) else "issued"


def counted(vault: Vault, table: Any = models.documents) -> int:
    with vault.parts.database.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def objects(vault: Vault) -> set[str]:
    return set(vault.parts.objects.addresses())


def test_each_file_has_its_own_answer(town: Vault, registrar: Actor, act_pdf: bytes) -> None:
    results = town.issuing.issue_all(
        registrar,
        TOWN,
        [
            act(act_pdf, "one"),
            act(b"", "empty"),
            act(b"%PDF-1.7\nbroken", "broken"),
            act(act_pdf, "name", file_name="a/b.pdf"),
            act(act_pdf, "title", title=" "),
            act(act_pdf, "holder", holder="nobody"),
            act(act_pdf, "replaces", supersedes="doc_" + "0" * 26),
            act(act_pdf, ""),
            act(act_pdf, "two"),
        ],
    )
    assert [code(result) for result in results] == [
        "issued",
        "EMPTY_FILE",
        "PDF_DAMAGED",
        "NAME_INVALID",
        "FIELD_INVALID",
        "UNKNOWN_HOLDER",
        "NOT_FOUND",
        "IDEMPOTENCY_KEY_REQUIRED",
        "issued",
    ]
    assert counted(town) == len(objects(town)) == 2
    first, last = results[0], results[-1]
    assert isinstance(first, Outcome)
    assert isinstance(last, Outcome)
    assert last.seq == first.seq + 1


def test_twins_that_come_together_make_one_document(town: Vault, registrar: Actor, act_pdf: bytes) -> None:
    results = town.issuing.issue_all(registrar, TOWN, [act(act_pdf, "twin"), act(act_pdf, "twin")])
    assert [code(result) for result in results] == ["issued", "TWIN_RUNNING"]
    again = town.issuing.issue_all(
        registrar, TOWN, [act(act_pdf, "new"), act(act_pdf, "twin"), act(act_pdf + b"\n", "twin")]
    )
    assert [code(result) for result in again] == ["issued", "issued", "TWIN_RUNNING"]
    (reused,) = town.issuing.issue_all(registrar, TOWN, [act(act_pdf + b"\n", "twin")])
    assert code(reused) == "IDEMPOTENCY_KEY_REUSED"
    first, second = results[0], again[1]
    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    assert (second.document_id, second.replayed) == (first.document_id, True)
    assert counted(town) == 2


def test_whoever_may_not_issue_issues_nothing(town: Vault, registrar: Actor, act_pdf: bytes) -> None:
    holder = town.personas.named("camille").actor
    for actor, administration, expected in (
        (holder, TOWN, "NOT_FOUND"),
        (registrar, "nowhere", "UNKNOWN_ADMINISTRATION"),
    ):
        results = town.issuing.issue_all(actor, administration, [act(act_pdf, "a"), act(act_pdf, "b")])
        assert [code(result) for result in results] == [expected, expected]
    assert counted(town) == len(objects(town)) == 0


def test_an_object_that_cannot_be_stored_is_its_own_files_affair(
    town: Vault, registrar: Actor, act_pdf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = town.parts.objects
    plain, refused = store.commit, set[str]()

    def commit(staged: Sequence[Staged]) -> Any:
        refused.update([] if refused else [staged[1].address])
        if refused & {each.address for each in staged}:
            raise StorageUnavailable("no room")
        return plain(staged)

    monkeypatch.setattr(store, "commit", commit)
    results = town.issuing.issue_all(registrar, TOWN, [act(act_pdf, each) for each in ("a", "b", "c")])
    assert [code(result) for result in results] == ["issued", "STORAGE_UNAVAILABLE", "issued"]
    assert isinstance(results[1], Unavailable)
    monkeypatch.undo()
    # The key is not consumed.
    (again,) = town.issuing.issue_all(registrar, TOWN, [act(act_pdf, "b")])
    assert code(again) == "issued"
    assert counted(town) == 3


def test_what_one_notes_undoes_that_one_alone(town: Vault, registrar: Actor, act_pdf: bytes) -> None:
    noted: list[str] = []

    def note(tx: LedgerTransaction, outcome: Outcome) -> None:
        noted.append(outcome.document_id)

    def refuse(tx: LedgerTransaction, outcome: Outcome) -> None:
        raise Conflict("BATCH_LINE_TAKEN")

    acts = [act(act_pdf, "a", noted=note), act(act_pdf, "b", noted=refuse), act(act_pdf, "c", noted=note)]
    results = town.issuing.issue_all(registrar, TOWN, acts)
    assert [code(result) for result in results] == ["issued", "BATCH_LINE_TAKEN", "issued"]
    assert noted == [result.document_id for result in results if isinstance(result, Outcome)]
    assert counted(town) == counted(town, models.idempotency) == counted(town, models.outbox) == 2


def test_what_ended_meanwhile_ends_one_alone(
    town: Vault, registrar: Actor, act_pdf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ties, "is_lasting", lambda *_: False)
    plain, asked = Ties.demand, list[str | None]()

    def demand(ties: Ties, connection: Any, actor: Actor, action: Any, subject: Any) -> Any:
        asked.append(subject.safe_id)
        if (
            len(asked) == 6
        ):  # the administration, three safes, and within the writers' turn the second of three
            raise NotFound("NOT_FOUND")
        return plain(ties, connection, actor, action, subject)

    monkeypatch.setattr(Ties, "demand", demand)
    results = town.issuing.issue_all(registrar, TOWN, [act(act_pdf, each) for each in ("a", "b", "c")])
    assert [code(result) for result in results] == ["issued", "NOT_FOUND", "issued"]
    assert counted(town) == 2


def test_the_files_of_a_group_are_let_go(town: Vault, registrar: Actor, act_pdf: bytes) -> None:
    def held() -> list[str]:
        """Files without a name that this process has open: spooled and staged ones."""
        links = []
        for each in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                links.append(str(each.readlink()))
        return [
            link
            for link in links
            if "memfd:spool" in link or (str(town.settings.data) in link and "(deleted)" in link)
        ]

    town.issuing.issue_all(registrar, TOWN, [act(act_pdf, f"k{number}") for number in range(20)])
    town.issuing.issue_all(registrar, TOWN, [act(b"%PDF-1.7\nbroken", f"b{number}") for number in range(20)])
    assert held() == []
