"""The ledger: group commit beside raw SQLite, fdatasync, PostgreSQL and Tessera; audits; inclusion proofs.

Writers of all kinds take turns within each repetition, so that what else the machine does strikes all alike.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import audits, peers, proofs
from benchmarks.figures import Figure
from benchmarks.writers import Bench, fdatasyncs, raw_sqlite
from tests.services import postgresql
from vault.ledger.keys import LedgerKeys

Measure = Callable[[], tuple[float, list[float]]]
_ONE, _TWO = "64 asyncio submitters", "two processes of 64 submitters"


def run(size: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure everything.

    Args:
        size: entries of the logs that are audited and proven from.
        seconds: length of each measurement of writers and proofs.
        runs: repetitions.
    """
    yield from writers(size, seconds, runs)
    yield from audits.run(size, runs)
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as folder:
        audits.make_log(Path(folder), LedgerKeys.new(audits.ORIGIN), size)
        yield from proofs.measure(Path(folder), seconds, runs)


def writers(_size: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure what writes, PostgreSQL and Tessera where they are installed."""
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place, ExitStack() as stack:
        folder = Path(place)
        bench = stack.enter_context(Bench(folder / "writers"))
        kinds: dict[str, Measure] = {
            _ONE: lambda: bench.submitters(seconds),
            "64 blocking threads": lambda: bench.threads(seconds),
            _TWO: lambda: bench.processes(seconds, 2),
        }
        if postgresql.installed():
            folder.chmod(0o711)  # the server may have to be another user's
            server = postgresql.Server(place=folder)
            stack.callback(server.remove)
            other = stack.enter_context(Bench(folder / "postgresql", server.create("bench")))
            kinds["PostgreSQL, 64 asyncio submitters"] = lambda: other.submitters(seconds)
            kinds["PostgreSQL, two processes of 64"] = lambda: other.processes(seconds, 2)
            kinds["PostgreSQL, four processes of 64"] = lambda: other.processes(seconds, 4)
        else:
            print("no PostgreSQL, so no figures of it: tools/install.sh postgresql", file=sys.stderr)
        yield from _in_turns(folder, kinds, seconds, runs)
        yield from peers.compare(folder, seconds, runs, kinds[_ONE])


def _in_turns(folder: Path, kinds: dict[str, Measure], seconds: float, runs: int) -> Iterator[Figure]:
    rates = {kind: Figure(f"ledger: {kind}, entries with openings", "entries/s") for kind in kinds}
    waits = {kind: Figure(f"ledger: {kind}, wait of 99 in 100 at most", "ms") for kind in kinds}
    for number in range(runs):
        raw = raw_sqlite(folder / f"raw-{number}.db", seconds)
        synced = fdatasyncs(folder / "synced", seconds)
        for kind, measure in kinds.items():
            rate, quantiles = measure()
            rates[kind].runs.append(rate)
            rates[kind].beside("raw sqlite3, groups of 64", raw)
            rates[kind].beside("fdatasync/s", synced)
            waits[kind].runs.append(quantiles[0])
            waits[kind].beside("longest", quantiles[1])
        rates[_TWO].beside("one process", rates[_ONE].runs[-1])
    for kind in kinds:
        yield rates[kind]
        yield waits[kind]
