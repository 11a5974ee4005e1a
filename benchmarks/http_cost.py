"""What HTTP costs the issue path: acts over HTTP, the same route doing nothing, and acts without HTTP, in turns.

Three processes, each with a safe of its own on the embedded defaults (SQLite and files), in a folder of the system's
temporary folder: the service; the service whose issuing is replaced by reading the file; and `benchmarks.path_worker`,
which issues groups without HTTP. As many connections as documents are under way there. The client is a compiled
program that keeps its connections and sends each act as a form with an idempotency key of its own, as a registered
business software; its processor time is told apart.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import path
from benchmarks.figures import Figure
from benchmarks.http_site import CLIENT, InProcess, Site

KEYS = ("p256", "rsa")
CONNECTIONS = path.THREADS * path.GROUP  # as many documents at once as without HTTP
SHARE = 1.5  # of the route that does nothing: what HTTP may add to a document


def run(seconds: float, runs: int) -> Iterator[Figure]:
    """Measure documents over HTTP.

    Args:
        seconds: length of each measurement.
        runs: repetitions, each in turn with what it is compared with.
    """
    if not CLIENT.is_file():
        print("no load client, so no figures over HTTP: tools/install.sh load-client", file=sys.stderr)
        return
    for key in KEYS:
        with (
            tempfile.TemporaryDirectory(prefix="probans-bench-") as place,
            Site(Path(place) / "issuing", key, "issue") as service,
            Site(Path(place) / "nothing", key, "nothing") as idle,
            InProcess(Path(place) / "process", key) as process,
        ):
            yield from _figures(key, service, idle, process, seconds, runs)
            for each in (service, idle, process):
                each.check()


def _figures(
    key: str, service: Site, idle: Site, process: InProcess, seconds: float, runs: int
) -> Iterator[Figure]:
    # Connections, caches, statements.
    process.issue(path.THREADS, path.GROUP, seconds)
    idle.load(CONNECTIONS, seconds)
    service.load(CONNECTIONS, seconds)
    spent = Figure(f"http-{key}-cpu", "ms")
    share = Figure(f"http-{key}-cpu-of-allowed", "times")
    added = Figure(f"http-{key}-added-of-doing-nothing", "times")
    rates = Figure(f"http-{key}-documents", "documents/s")
    for _ in range(runs):
        bare = process.issue(path.THREADS, path.GROUP, seconds)
        nothing = idle.load(CONNECTIONS, seconds)
        own = service.load(CONNECTIONS, seconds)
        spent.runs.append(own.each)
        spent.beside("in process", bare.each)
        spent.beside("the route doing nothing", nothing.each)
        spent.beside("the client", own.client / own.count * 1000)
        share.runs.append(own.each / (bare.each + SHARE * nothing.each))
        share.beside(f"ms allowed: in process and {SHARE} x doing nothing", bare.each + SHARE * nothing.each)
        added.runs.append((own.each - bare.each) / nothing.each)
        added.beside("ms added", own.each - bare.each)
        rates.runs.append(own.rate)
        rates.beside("in process", bare.rate)
        rates.beside("the route doing nothing", nothing.rate)
        rates.beside("ms at the median", own.median * 1000)
        rates.beside("ms at the 99th percentile", own.p99 * 1000)
    yield from (spent, share, added, rates)
