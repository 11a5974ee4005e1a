"""A batch under `kill -9`: at named points, and at any moment in both processes. Nothing is lost, nothing doubled."""

from __future__ import annotations

import csv
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.e2e.conftest import Plan
from tests.e2e.harness.judge import check_ledger
from vault.bootstrap import open_vault
from vault.db import models
from vault.documents.typesetting import render, specimen_data
from vault.domain.batches import LineState
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.timeout(7200)
REPOSITORY = Path(__file__).resolve().parents[2]
HOLDERS = ("camille", "dominique")
RUN = "from vault.cli.main import run; run()"


class Safe:
    """A safe that is opened to look at it, and closed while others work in it."""

    def __init__(self, data: Path) -> None:
        self._settings = Settings(data=data, publish_interval=0.05)

    @contextmanager
    def open(self) -> Iterator[Vault]:
        vault = open_vault(self._settings, background=False)
        try:
            yield vault
        finally:
            vault.close()


@pytest.fixture
def safe(tmp_path: Path) -> Safe:
    made = Safe(tmp_path / "data")
    with made.open():
        return made


@pytest.fixture(scope="module")
def act_pdf() -> bytes:
    name = "acte-de-naissance"
    return render(name, specimen_data(name), at=datetime(2026, 1, 15, tzinfo=UTC))


def payslips(folder: Path, act: bytes, count: int) -> tuple[Path, Path]:
    """Write a manifest and as many files, each its own octets."""
    files = folder / "files"
    files.mkdir()
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("holder", "title", "file", "type"))
        for number in range(count):
            name = f"bulletin-{number:06}.pdf"
            writer.writerow((HOLDERS[number % 2], f"Bulletin {number}", name, "bulletin-de-paie"))
            (files / name).write_bytes(act + b"\n%% %d\n" % number)
    return manifest, files


def judged(vault: Vault, count: int) -> None:
    """Each line has one act, each act is of one line, and there is no other act."""
    with vault.parts.database.reading() as connection:
        lines = models.batch_lines
        rows = connection.execute(select(lines.c.line, lines.c.state, lines.c.document_id, lines.c.seq)).all()
        documents = set(connection.scalars(select(models.documents.c.id)))
        entries = connection.scalar(
            select(func.count()).where(models.document_entries.c.event == "document.issued")
        )
        left = connection.scalar(
            select(func.count()).where(lines.c.sealed.is_not(None) | lines.c.name_ix.is_not(None))
        )
        batches = connection.scalar(select(func.count()).select_from(models.batches))
    assert len(rows) == count
    assert {row.state for row in rows} == {LineState.ISSUED.value}
    assert {row.document_id for row in rows} == documents
    assert len(documents) == entries == count
    assert left == 0
    assert batches == 1


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.e2e.harness.batcher", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several groups of a few files."""
    monkeypatch.setenv("PROBANS_BATCH_GROUP", "8")


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize(
    ("point", "passage"),
    [
        ("batch.loading", 1), ("batch.loaded", 1), ("batch.chunk", 1), ("batch.erasing", 1), ("pipeline.sealed", 9),
        ("store.after-commit", 2), ("pipeline.before-ledger", 2), ("ledger.before-commit", 1),
        ("ledger.after-commit", 1), ("pipeline.after-ledger", 2),
    ],
)  # fmt: skip
def test_killed_at_a_point(tmp_path: Path, safe: Safe, act_pdf: bytes, point: str, passage: int) -> None:
    manifest, files = payslips(tmp_path, act_pdf, 60)
    arguments = (tmp_path / "data", manifest, files)
    killed = run(*arguments, point, passage)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    with safe.open() as vault:
        judged(vault, 60)


@pytest.mark.usefixtures("small_groups")
def test_killed_three_times_at_any_moment(tmp_path: Path, safe: Safe, act_pdf: bytes) -> None:
    besieged(tmp_path, safe, act_pdf, count=240, kills=3, figure=lambda _: None, seed=7)


@pytest.mark.soak("batch")
def test_a_hundred_thousand_payslips(
    tmp_path: Path, safe: Safe, act_pdf: bytes, plan: Plan, figure: Callable[[str], None]
) -> None:
    count = plan.count or 100_000
    besieged(tmp_path, safe, act_pdf, count=count, kills=3, figure=figure, seed=plan.seed)


def besieged(
    folder: Path,
    safe: Safe,
    act: bytes,
    *,
    count: int,
    kills: int,
    figure: Callable[[str], None],
    seed: int,
) -> None:
    """Kill `probans batch` and its processes some times, then let it end."""
    manifest, files = payslips(folder, act, count)
    report, summary = folder / "report.csv", folder / "summary.pdf"
    command = [
        sys.executable, "-c", RUN, "batch", str(manifest), str(files), "--data", str(folder / "data"), "--workers", "2",
        "--report", str(report), "--summary", str(summary),
    ]  # fmt: skip
    chance, begun, done = random.Random(seed), time.monotonic(), 0
    for kill in range(kills):
        # Somewhere in each piece of the whole, however fast this machine is.
        target = int(count * (kill + chance.random()) / (kills + 1))
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and issued(folder) < target:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = issued(folder)
        assert target <= done < count
        figure(f"killed with {done} of {count} lines issued")
    resumed = time.monotonic()
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    took, left = time.monotonic() - resumed, count - done
    figure(f"the rest, {left} lines, in {took:.0f} s: {left / took:.0f} acts/s with two processes")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figure(f"{count} lines in {time.monotonic() - begun:.0f} s in all; largest process {peak:.0f} MiB")
    with safe.open() as vault:
        judged(vault, count)
        check_ledger(vault, vault.parts.policy)
    with report.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["line"]) for row in rows] == list(range(1, count + 1))
    assert len({row["document"] for row in rows}) == count
    assert summary.read_bytes().startswith(b"%PDF-")


def issued(folder: Path) -> int:
    """Count the lines that have their act, past whoever works in the safe."""
    with closing(sqlite3.connect(f"file:{folder}/data/probans.db?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM batch_lines WHERE document_id IS NOT NULL"
        return int(database.execute(query).fetchone()[0])
