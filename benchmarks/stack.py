"""Deposits through a whole production stack beside the raw locked-put rate of its store, in turns within one run.

All parts run on this machine: PostgreSQL with a synchronous standby, versitygw, SoftHSM2, clamd, an outside timestamp
authority, services of the product. One client, the same number of its threads for both, so what it takes itself
weighs on both. Processor time is read from the kernel for the process tree of each part.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.figures import Figure, percentile
from benchmarks.processor import taken
from storage.s3 import S3Client, S3Config
from storage.s3_client import b64
from storage.s3_versions import COMPLIANCE, written_date
from tests.e2e.harness.client import encoded
from tests.e2e.harness.production import DATABASE, Production
from tests.e2e.harness.samples import HOLDER
from tests.services import clamd, postgresql, softhsm, versitygw

OCTETS = 20_000
THREADS = (1, 8, 32)
WORKERS = 2
_NEEDED = {
    "postgresql": postgresql.installed,
    "versitygw": lambda: versitygw.installed(versitygw.NEWEST),
    "softhsm2": softhsm.installed,
    "clamd": clamd.installed,
}
_LOGGED = re.compile(r" s3_(\w+) (\S+) ")


def missing() -> list[str]:
    """Return what is to be installed first."""
    return [name for name, here in _NEEDED.items() if not here()]


def run(seconds: float, runs: int) -> Iterator[Figure]:
    """Measure deposits.

    Args:
        seconds: length of each measurement.
        runs: repetitions, each in turn with the raw rate.
    """
    if lacking := missing():
        print(f"no stack, so no figures of it: tools/install.sh {' '.join(lacking)}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        tokens = softhsm.Tokens()
        # The database's files on a disk: it waits for it, and so does whoever is measured.
        stack = Production(Path(place) / "s", tokens, place=Path(tempfile.gettempdir()), workers=WORKERS)
        try:
            with stack.serving(1):
                yield from Bench(stack).figures(seconds, runs)
        finally:
            stack.close()
            tokens.close()


class Bench:
    """A stack, and the one client that measures it."""

    def __init__(self, stack: Production) -> None:
        self._stack = stack
        self._content = random.Random(1).randbytes(OCTETS)
        self._numbers = iter(range(sys.maxsize))
        self._guard = threading.Lock()
        self._client = S3Client(
            S3Config(stack.store.endpoint, stack.store.access_key, stack.store.secret_key)
        )
        self._bucket = stack.store.bucket(locked=True)

    def figures(self, seconds: float, runs: int) -> Iterator[Figure]:
        """Measure at each number of threads."""
        for act in (self._put, self._depositing()):
            self._rate(act, THREADS[-1], seconds / 2)  # connections, caches
        for threads in THREADS:
            yield from self._at(threads, seconds, runs)
        yield from self._requests(seconds)

    def _at(self, threads: int, seconds: float, runs: int) -> Iterator[Figure]:
        share = Figure(f"stack-deposits-of-raw-puts-{threads}", "%")
        waits = Figure(f"stack-deposit-p99-{threads}", "ms")
        spent = Figure(f"stack-cpu-per-deposit-{threads}", "ms")
        for _ in range(runs):
            raw, raw_waits, raw_used = self._rate(self._put, threads, seconds)
            own, own_waits, used = self._rate(self._depositing(), threads, seconds)
            share.runs.append(100 * own / raw)
            share.beside("deposits/s", own)
            share.beside("raw locked puts/s", raw)
            waits.runs.append(percentile(own_waits, 0.99) * 1000)
            waits.beside("of a raw put", percentile(raw_waits, 0.99) * 1000)
            waits.beside("median", percentile(own_waits, 0.5) * 1000)
            spent.runs.append(sum(used.values()) / len(own_waits) * 1000)
            spent.beside("of a raw put, all parts", sum(raw_used.values()) / len(raw_waits) * 1000)
            for part, used_by_it in used.items():
                spent.beside(part, used_by_it / len(own_waits) * 1000)
        yield from (share, waits, spent)

    def _requests(self, seconds: float) -> Iterator[Figure]:
        """Count what a deposit asks of the store and leaves there; apart, since a log of requests takes time too."""
        log = self._stack.store.folder / "requests"
        self._stack.store.stop()
        self._stack.store.options = ("--access-log", str(log))
        self._stack.store.start()
        self._rate(self._depositing(), 8, seconds / 4)
        before, objects = len(log.read_bytes().splitlines()), self._objects()
        _, waits, _ = self._rate(self._depositing(), 8, seconds)
        lines = log.read_text().splitlines()[before:]
        asked = Figure("stack-store-requests-per-deposit", "requests")
        asked.runs.append(len(lines) / len(waits))
        for name, count in Counter(_operation(line) for line in lines).most_common(8):
            asked.beside(name, count / len(waits))
        left = Figure("stack-objects-per-deposit", "objects")
        left.runs.append((self._objects() - objects) / len(waits))
        yield from (asked, left)

    def _objects(self) -> int:
        return int(self._stack.database.execute("SELECT count(*) FROM objects", DATABASE)[0][0])

    def _rate(
        self, act: Callable[[], None], threads: int, seconds: float
    ) -> tuple[float, list[float], dict[str, float]]:
        """Do it from so many threads; return how often a second, each wait, and processor seconds by part."""
        waits: list[float] = []
        failures: list[BaseException] = []
        end = time.perf_counter() + seconds

        def work() -> None:
            try:
                while (begun := time.perf_counter()) < end:
                    act()
                    waits.append(time.perf_counter() - begun)
            except BaseException as error:
                failures.append(error)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        with self._spent() as used:
            begun = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            took = time.perf_counter() - begun
        if failures:
            raise failures[0]
        return len(waits) / took, waits, used

    def _put(self) -> None:
        """Put an object of its own as the product does, and nothing besides: not even its lock is read back."""
        content = self._number().to_bytes(8, "big") + self._content[8:]
        self._client.call(
            "PUT",
            self._bucket,
            f"objects/{hashlib.sha256(content).hexdigest()}",
            body=content,
            headers={
                "x-amz-object-lock-mode": COMPLIANCE,
                "x-amz-object-lock-retain-until-date": written_date(datetime.now(UTC) + timedelta(days=3650)),
                "x-amz-checksum-sha256": b64(hashlib.sha256(content).digest()),
                "Content-MD5": b64(hashlib.md5(content, usedforsecurity=False).digest()),
                "If-None-Match": "*",
            },
        )

    def _depositing(self) -> Callable[[], None]:
        """Return what deposits once, over a connection for each thread."""
        service, kept = self._stack.services[0], threading.local()

        def deposit() -> None:
            connection = getattr(kept, "connection", None)
            if connection is None:
                connection = kept.connection = http.client.HTTPConnection(
                    service.host, service.port, timeout=60
                )
            number = self._number()
            connection.request(
                "POST",
                "/v1/attachments",
                number.to_bytes(8, "big") + self._content[8:],
                {
                    "Authorization": f"Bearer {service.tokens[HOLDER]}",
                    "Probans-Document": encoded({"title": "Pièce", "file_name": f"{number}.bin"}),
                    "Idempotency-Key": f"stack-{number}",
                },
            )
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 201:
                raise RuntimeError(f"{answer.status}: {said[:300]!r}")

        return deposit

    def _number(self) -> int:
        with self._guard:
            return next(self._numbers)

    @contextmanager
    def _spent(self) -> Iterator[dict[str, float]]:
        """Give the processor seconds of each part's processes over the block."""
        stack, used = self._stack, dict[str, float]()
        roots = {
            "Probans": stack.services[0].pid,
            "PostgreSQL": stack.database.pid,
            "its standby": stack.standby.pid,
            "versitygw": stack.store.pid,
            "clamd": stack.scanner.pid,
            "timestamp authority": stack.authorities.pid,
            "the client": os.getpid(),
        }
        before = {name: taken(pid, alone=name == "the client") for name, pid in roots.items()}
        yield used
        for name, pid in roots.items():
            used[name] = taken(pid, alone=name == "the client") - before[name]


def _operation(line: str) -> str:
    """Return operation and kind of place of a line of an S3 access log."""
    found = _LOGGED.search(line)
    if found is None:
        return "other"
    return f"{found[1]} of {found[2].partition('/')[0]}"
