"""Batches in a running safe: lines, files, states, repeats, what is kept and what is erased."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from signing.trust import TrustStore
from vault.batches.feeding import Feeder
from vault.batches.parts import Member
from vault.bootstrap import open_vault
from vault.clock import parse_rfc3339
from vault.db import models
from vault.domain.actors import Actor
from vault.domain.batches import BATCH, ENDED, Batch, BatchState, LineState
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Refused, Unavailable
from vault.evidence.verify import verify_file
from vault.ids import new_id
from vault.messages.catalogue import CATALOGUE
from vault.service import Vault
from vault.settings import Settings

EMPLOYER = "employeur-specimen"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """One safe for all tests here."""
    opened = open_vault(Settings(data=tmp_path_factory.mktemp("safe") / "data", publish_interval=0.05))
    yield opened
    opened.close()


@pytest.fixture
def acts(vault: Vault) -> Callable[[], int]:
    """Counts the documents that came since."""

    def count() -> int:
        with vault.parts.database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(models.documents)) or 0

    before = count()
    return lambda: count() - before


@pytest.fixture
def agent(vault: Vault) -> Actor:
    return vault.personas.named("agent-paie").actor


@pytest.fixture
def begin(vault: Vault, agent: Actor) -> Callable[..., Batch]:
    """Begin a batch of these lines: (holder, file), or a dictionary of fields."""

    own = new_id("key")

    def do(*lines: Any, key: str = "b1", actor: Actor = agent, **more: bool) -> Batch:
        said = [
            each
            if isinstance(each, dict)
            else {"holder": each[0], "title": f"Bulletin {each[1]}", "file": each[1]}
            for each in lines
        ]
        manifest = b"".join(orjson.dumps(each) + b"\n" for each in said)
        return vault.batches.begin(
            actor, EMPLOYER, "ndjson", iter((manifest,)), Transfer(f"{own}-{key}"), **more
        )

    return do


def zipped(files: dict[str, bytes]) -> Iterator[bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return iter((out.getvalue(),))


def report(vault: Vault, actor: Actor, batch: Batch) -> list[dict[str, Any]]:
    chunks = vault.batch_reports.report(actor, batch.id, "json").chunks
    return [orjson.loads(line) for line in b"".join(chunks).splitlines()]


def test_a_manifest_and_a_zip_make_acts(
    vault: Vault,
    agent: Actor,
    begin: Callable[..., Batch],
    act_pdf: bytes,
    tmp_path: Path,
    acts: Callable[[], int],
) -> None:
    batch = begin(("camille", "a.pdf"), ("dominique", "b.pdf"), ("camille", "c.pdf"))
    assert batch.state is BatchState.OPEN
    assert batch.counts[LineState.WAITING] == batch.lines == 3
    files = {"a.pdf": act_pdf, "mars/b.pdf": act_pdf + b"\n%", "stray.pdf": act_pdf}
    fed = vault.batches.feed(agent, batch.id, zipped(files), Transfer(""))
    assert (fed.members, fed.issued, fed.unmatched, fed.stopped) == (3, 2, 1, False)
    assert [(each.member, each.code) for each in fed.problems] == [(3, "BATCH_FILE_UNKNOWN")]
    lines = report(vault, agent, batch)
    assert [each["state"] for each in lines] == ["issued", "issued", "waiting"]
    holder = vault.personas.named("camille").actor
    original = b"".join(vault.reading.original(holder, lines[0]["document"], "consultation").read(0, None))
    assert original.startswith(act_pdf)
    # the same part again: nothing is issued twice
    again = vault.batches.feed(agent, batch.id, zipped(files), Transfer(""))
    assert (again.issued, again.already) == (0, 2)
    assert acts() == 2
    # the rest, by itself
    outcome = vault.batches.feed_line(agent, batch.id, 3, iter((act_pdf,)), Transfer(""))
    assert outcome.status_code == 201
    same = vault.batches.feed_line(agent, batch.id, 3, iter((act_pdf,)), Transfer(""))
    assert same == replace(outcome, replayed=True)
    with pytest.raises(Conflict, match="BATCH_FILE_DIFFERS"):
        vault.batches.feed_line(agent, batch.id, 3, iter((act_pdf + b"%",)), Transfer(""))
    differs = vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf + b"%"}), Transfer(""))
    assert [each.code for each in differs.problems] == ["BATCH_FILE_DIFFERS"]
    with pytest.raises(Conflict, match="BATCH_NOT_ENDED"):
        vault.batch_reports.summary(agent, batch.id)
    vault.batches.move(agent, batch.id, BatchState.FINISHED)
    summary = b"".join(vault.batch_reports.summary(agent, batch.id).chunks)
    (tmp_path / "summary.pdf").write_bytes(summary)
    verdict = verify_file(
        tmp_path / "summary.pdf",
        trust=TrustStore.from_pem(vault.trust.roots_pem),
        tsa_trust=None,
        policy=None,
    )
    assert verdict.exit_code == 0


def test_each_line_and_each_file_has_its_own_reason(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes
) -> None:
    batch = begin(
        ("camille", "a.pdf"),
        ("camille", "a.pdf"),
        {"holder": "camille", "title": "", "file": "b.pdf"},
        ("nobody", "c.pdf"),
        ("camille", "broken.pdf"),
        {"holder": "camille", "title": "T", "file": "d.pdf", "sha256": "00" * 32},
        ("camille", "empty.pdf"),
    )
    assert batch.counts[LineState.WRONG] == 2
    files = {
        "a.pdf": act_pdf, "b.pdf": act_pdf, "c.pdf": act_pdf, "broken.pdf": act_pdf[: len(act_pdf) // 2],
        "d.pdf": act_pdf, "empty.pdf": b"",
    }  # fmt: skip
    fed = vault.batches.feed(agent, batch.id, zipped(files), Transfer(""))
    assert (fed.issued, fed.refused, fed.unmatched) == (1, 4, 1)
    found = {
        each["line"]: (each["state"], each["code"], each["field"]) for each in report(vault, agent, batch)
    }
    assert found[1][0] == "issued"
    assert found[2] == ("wrong", "MANIFEST_FILE_TWICE", "file")
    assert found[3] == ("wrong", "FIELD_INVALID", "title")
    assert found[4][:2] == ("refused", "UNKNOWN_HOLDER")
    assert found[5][:2] == ("refused", "PDF_DAMAGED")
    assert found[6][:2] == ("refused", "DIGEST_MISMATCH")
    assert found[7][:2] == ("refused", "EMPTY_FILE")
    # another file may come for a line that was refused
    good = vault.batches.feed(agent, batch.id, zipped({"broken.pdf": act_pdf}), Transfer(""))
    assert good.issued == 1
    with pytest.raises(Conflict, match="BATCH_LINE_WRONG"):
        vault.batches.feed_line(agent, batch.id, 2, iter((act_pdf,)), Transfer(""))
    with pytest.raises(Refused) as caught:
        vault.batches.feed_line(agent, batch.id, 7, iter(()), Transfer(""))
    assert caught.value.code == "EMPTY_FILE"
    with pytest.raises(NotFound):
        vault.batches.feed_line(agent, batch.id, 8, iter((act_pdf,)), Transfer(""))


def test_the_reasons_have_words_and_no_cell_is_a_formula(
    vault: Vault, agent: Actor, begin: Callable[..., Batch]
) -> None:
    batch = begin(("camille", "a.pdf"), {"holder": "=1+1", "title": "", "file": "=cmd"}, {"=1": "x"})
    octets = b"".join(vault.batch_reports.report(agent, batch.id, "csv").chunks)
    rows = list(csv.DictReader(io.StringIO(octets.decode("utf-8-sig"))))
    assert [row["state"] for row in rows] == ["waiting", "wrong", "wrong"]
    for row in rows[1:]:
        assert CATALOGUE[row["code"]]
        assert row["reason_fr"]
        assert row["reason_en"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_the_same_manifest_with_the_same_key_is_the_same_batch(
    vault: Vault, begin: Callable[..., Batch]
) -> None:
    first = begin(("camille", "a.pdf"))
    assert begin(("camille", "a.pdf")) == first
    assert begin(("camille", "a.pdf"), key="b2").id != first.id
    with pytest.raises(Conflict, match="IDEMPOTENCY_KEY_REUSED"):
        begin(("camille", "b.pdf"))
    with pytest.raises(Conflict, match="IDEMPOTENCY_KEY_REUSED"):
        begin(("camille", "a.pdf"), dry_run=True)


def test_a_dry_run_issues_nothing_until_it_is_opened(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes, acts: Callable[[], int]
) -> None:
    batch = begin(("camille", "a.pdf"), ("", "b.pdf"), dry_run=True)
    assert batch.state is BatchState.CHECKED
    assert [each["state"] for each in report(vault, agent, batch)] == ["waiting", "wrong"]
    with pytest.raises(Conflict, match="BATCH_NOT_OPEN"):
        vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer(""))
    assert acts() == 0
    vault.batches.move(agent, batch.id, BatchState.OPEN)
    assert vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer("")).issued == 1


def test_all_or_nothing_refuses_the_whole(vault: Vault, agent: Actor, begin: Callable[..., Batch]) -> None:
    batch = begin(("camille", "a.pdf"), ("", "b.pdf"), all_or_nothing=True)
    assert batch.state is BatchState.REFUSED
    assert batch.ended_at is not None
    with pytest.raises(Conflict, match="STATE_CONFLICT"):
        vault.batches.move(agent, batch.id, BatchState.OPEN)
    assert begin(("camille", "a.pdf"), all_or_nothing=True, key="b2").state is BatchState.OPEN
    assert kept(vault, batch) == 0


def kept(vault: Vault, batch: Batch) -> int:
    lines = models.batch_lines
    with vault.parts.database.reading() as connection:
        query = select(func.count()).where(
            lines.c.batch_id == batch.id, lines.c.sealed.is_not(None) | lines.c.name_ix.is_not(None)
        )
        return connection.scalar(query) or 0


@pytest.mark.parametrize("wanted", [BatchState.PAUSED, BatchState.CANCELLED])
def test_a_pause_or_an_end_stops_what_comes(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes, wanted: BatchState
) -> None:
    """It comes to be while a part is under way: the chunk that was begun is the last."""
    batch = begin(*(("camille", f"{number}.pdf") for number in range(130)))

    def members() -> Iterator[Member]:
        for number in range(130):
            if number == 70:
                vault.batches.move(agent, batch.id, wanted)
            content = act_pdf + b"\n%% %d" % number
            yield Member(number + 1, f"{number}.pdf", len(content), lambda content=content: iter((content,)))

    fed = vault.batches.feed_members(agent, batch.id, members())
    assert fed.stopped
    assert fed.members == fed.issued + fed.busy == 64
    assert fed.busy == 0 or wanted is BatchState.CANCELLED
    assert vault.batches.see(agent, batch.id).counts[LineState.ISSUED] == fed.issued
    with pytest.raises(Conflict, match="BATCH_NOT_OPEN"):
        vault.batches.feed_members(agent, batch.id, iter(()))
    assert kept(vault, batch) == (0 if wanted is BatchState.CANCELLED else 130)
    if wanted is BatchState.PAUSED:
        vault.batches.move(agent, batch.id, BatchState.OPEN)
        assert vault.batches.feed_members(agent, batch.id, members()).already == 64


def test_an_act_whose_batch_was_cancelled_at_that_moment_is_not_made(
    vault: Vault,
    agent: Actor,
    begin: Callable[..., Batch],
    act_pdf: bytes,
    monkeypatch: pytest.MonkeyPatch,
    acts: Callable[[], int],
) -> None:
    batch = begin(("camille", "a.pdf"))
    issue = vault.issuing.issue_all

    def late(*arguments: Any) -> Any:
        vault.batches.move(agent, batch.id, BatchState.CANCELLED)
        return issue(*arguments)

    monkeypatch.setattr(vault.issuing, "issue_all", late)
    fed = vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer(""))
    assert (fed.issued, fed.busy) == (0, 1)
    assert acts() == 0


def test_two_who_send_the_same_part_at_once_make_one_act_a_line(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes, acts: Callable[[], int]
) -> None:
    batch = begin(*(("camille", f"{number}.pdf") for number in range(40)))
    files = {f"{number}.pdf": act_pdf + b"\n%% %d" % number for number in range(40)}
    other = replace(agent, id="agent-paie-2")
    with ThreadPoolExecutor(3) as pool:
        actors = (agent, other, agent)
        fed = list(
            pool.map(lambda who: vault.batches.feed(who, batch.id, zipped(files), Transfer("")), actors)
        )
    assert sum(each.issued for each in fed) == acts() == 40
    assert vault.batches.see(agent, batch.id).counts[LineState.ISSUED] == 40


def test_lost_rows_do_not_make_second_acts(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes, acts: Callable[[], int]
) -> None:
    """As after a recovery of the database, which knows acts and their keys, and no batches."""
    batch = begin(("camille", "a.pdf"), ("camille", "b.pdf"))
    vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer(""))
    before = report(vault, agent, batch)[0]["document"]
    with vault.parts.database.writing() as connection:
        connection.execute(models.batch_lines.delete().where(models.batch_lines.c.batch_id == batch.id))
        connection.execute(models.batches.delete().where(models.batches.c.id == batch.id))
    again = begin(("camille", "a.pdf"), ("camille", "b.pdf"))
    assert again.id != batch.id
    vault.batches.feed(agent, again.id, zipped({"a.pdf": act_pdf, "b.pdf": act_pdf}), Transfer(""))
    assert report(vault, agent, again)[0]["document"] == before
    assert acts() == 2


def test_when_a_part_of_the_service_is_down_the_rest_waits(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = begin(("camille", "a.pdf"), ("camille", "b.pdf"))

    def down(*_: Any) -> Any:
        raise Unavailable("STORAGE_UNAVAILABLE")

    with monkeypatch.context() as patch:
        patch.setattr(vault.issuing, "issue_all", down)
        with pytest.raises(Unavailable, match="STORAGE_UNAVAILABLE"):
            vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer(""))
    assert vault.batches.see(agent, batch.id).counts[LineState.WAITING] == 2
    assert vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer("")).issued == 1


def test_what_a_line_says_is_erased_once_there_is_an_act_and_all_of_it_at_the_end(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes
) -> None:
    batch = begin(("camille", "a.pdf"), ("camille", "b.pdf"))
    vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer(""))
    lines = models.batch_lines
    with vault.parts.database.reading() as connection:
        query = select(lines.c.sealed).where(lines.c.batch_id == batch.id).order_by(lines.c.line)
        rows = connection.execute(query).scalars().all()
    assert rows[0] is None
    assert rows[1] is not None
    assert b"camille" not in rows[1]
    vault.batches.move(agent, batch.id, BatchState.FINISHED)
    assert kept(vault, batch) == 0
    assert vault.batches.tidy() == 0


def test_a_batch_that_nobody_finishes_is_cancelled(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = begin(("camille", "a.pdf"))
    assert vault.batches.tidy() == 0
    late = datetime.now(UTC) + timedelta(days=31)
    monkeypatch.setattr(vault.batches, "_clock", type("Late", (), {"now": lambda self: late})())
    assert vault.batches.tidy() >= 1
    assert vault.batches.see(agent, batch.id).state is BatchState.CANCELLED
    assert kept(vault, batch) == 0


def test_a_line_may_ask_for_a_longer_retention(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], act_pdf: bytes
) -> None:
    batch = begin({"holder": "camille", "title": "T", "file": "a.pdf", "retention": 18_250})
    vault.batches.feed(agent, batch.id, zipped({"a.pdf": act_pdf}), Transfer(""))
    with vault.parts.database.reading() as connection:
        of = models.documents.c.id == report(vault, agent, batch)[0]["document"]
        row = connection.execute(select(models.documents).where(of)).mappings().one()
    span = parse_rfc3339(row["retain_until"]) - parse_rfc3339(row["created_at"])
    assert span == timedelta(days=18_250)


def test_only_the_issuer_sees_it(vault: Vault, begin: Callable[..., Batch]) -> None:
    batch = begin(("camille", "a.pdf"))
    for name in ("agent-etat-civil", "camille", "auditeur", "exploitant"):
        stranger = vault.personas.named(name).actor
        for ask in (
            lambda who: vault.batches.see(who, batch.id),
            lambda who: vault.batches.move(who, batch.id, BatchState.CANCELLED),
            lambda who: vault.batches.feed(who, batch.id, iter((b"x",)), Transfer("")),
            lambda who: vault.batches.feed_line(who, batch.id, 1, iter((b"x",)), Transfer("")),
            lambda who: vault.batch_reports.report(who, batch.id, "csv"),
            lambda who: begin(("camille", "a.pdf"), actor=who),
        ):
            with pytest.raises(NotFound):
                ask(stranger)


def test_every_state_is_in_the_table() -> None:
    assert set(BATCH) == set(BatchState)
    assert frozenset({BatchState.FINISHED, BatchState.CANCELLED, BatchState.REFUSED}) == ENDED


def test_a_large_file_is_read_where_it_lies(
    vault: Vault, agent: Actor, begin: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And several small ones at once: the feeder holds a few of them, never a large one."""
    batch = begin(("camille", "large.txt"), ("camille", "small.txt"))
    content = b"0123456789abcdef" * (1 << 17)
    seen: list[int] = []
    issued = Feeder._issued

    def spy(self: Feeder, files: Sequence[Any]) -> Any:
        def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                seen.append(len(chunk))
                yield chunk

        return issued(self, [replace(file, chunks=counted(file.chunks)) for file in files])

    monkeypatch.setattr(Feeder, "_issued", spy)
    fed = vault.batches.feed(
        agent, batch.id, zipped({"large.txt": content + b"x" * 99, "small.txt": b"small"}), Transfer("")
    )
    assert fed.issued + fed.refused == 2
    assert max(seen) <= 1 << 20
    lines = report(vault, agent, batch)
    assert {each["state"] for each in lines} == {"issued"}, lines


def test_on_each_database(each_database: str, tmp_path: Path, act_pdf: bytes) -> None:
    opened = open_vault(Settings(data=tmp_path / "data", publish_interval=0.05), background=False)
    try:
        agent = opened.personas.named("agent-paie").actor
        manifest = b"holder,title,file\n" + b"".join(
            b"camille,Bulletin,%d.pdf\n" % number for number in range(20)
        )
        manifest += b"camille,Bulletin,3.pdf\n"
        batch = opened.batches.begin(agent, EMPLOYER, "csv", iter((manifest,)), Transfer("b1"))
        files = {f"{number}.pdf": act_pdf + b"\n%% %d" % number for number in range(19)}
        assert opened.batches.feed(agent, batch.id, zipped(files), Transfer("")).issued == 19
        assert opened.batches.feed(agent, batch.id, zipped(files), Transfer("")).already == 19
        ended = opened.batches.move(agent, batch.id, BatchState.FINISHED)
        assert [ended.counts[state] for state in LineState] == [1, 1, 0, 19, 0]
        assert kept(opened, batch) == 0
        assert opened.batches.tidy() == 0
    finally:
        opened.close()
