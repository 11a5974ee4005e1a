"""One of several processes on one safe: `python -m benchmarks.path_worker FOLDER ALGORITHM`.

Opens the safe of that folder as the service does, embedded defaults and background tasks included, says `ready`, and
does what each line of standard input asks (JSON), answering with a line each.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson

from benchmarks.figures import percentile
from benchmarks.path_steps import ISSUER, Steps
from benchmarks.seal_bench import ONE_PAGE, raw_signer
from vault.batches.parts import Member
from vault.bootstrap import open_vault, opening
from vault.documents.arrivals import settled
from vault.domain.batches import BatchState
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.issuing import Act
from vault.people.personas import ADMINISTRATIONS
from vault.service import Vault
from vault.settings import Settings

ALGORITHMS = {"p256": "p256", "rsa": "rsa-pss"}
_ADMINISTRATION = "mairie-specimen"


class Worker:
    """A running safe, and what is measured on it."""

    def __init__(self, vault: Vault, algorithm: str) -> None:
        self._vault = vault
        self._content = ONE_PAGE.read_bytes()
        self._agent = vault.personas.named("agent-etat-civil").actor
        pki = vault.parts.pki
        key = pki.act_seal(_ADMINISTRATION, ADMINISTRATIONS[_ADMINISTRATION], algorithm=ALGORITHMS[algorithm])
        self._raw = raw_signer(key), raw_signer(pki.timestamp)

    def issue(self, group: int = 1) -> None:
        """Issue acts together: when this returns, objects, recovery record and entries are on the disk."""
        new = NewDocument("camille", "Attestation", "attestation.pdf", document_type="attestation")
        acts = [Act(new, iter((self._content,)), Transfer(secrets.token_hex(8))) for _ in range(group)]
        for result in self._vault.issuing.issue_all(self._agent, _ADMINISTRATION, acts):
            if settled(result).status_code != 201:
                raise RuntimeError(f"an act was taken in with status {settled(result).status_code}")

    def batch(self, lines: int) -> None:
        """Issue acts as one batch: its manifest is read and checked, then each file finds its line."""
        vault, names = self._vault, [f"attestation-{number}.pdf" for number in range(1, lines + 1)]
        said = {"holder": "camille", "title": "Attestation", "type": "attestation"}
        manifest = b"".join(orjson.dumps({**said, "file": name}) + b"\n" for name in names)
        begun = vault.batches.begin(
            self._agent, _ADMINISTRATION, "ndjson", iter((manifest,)), Transfer(secrets.token_hex(8))
        )
        members = (
            Member(number, name, len(self._content), lambda: iter((self._content,)))
            for number, name in enumerate(names, 1)
        )
        fed = vault.batches.feed_members(self._agent, begun.id, members)
        if fed.issued != lines:
            raise RuntimeError(f"{fed.issued} of {lines} lines were issued")
        vault.batches.move(self._agent, begun.id, BatchState.FINISHED)

    def sign(self) -> None:
        """Sign once with the seal key."""
        self._raw[0](b"x" * 300)

    def floor(self) -> None:
        """Do what no seal can do without: one hash, the seal's signature, the timestamp's."""
        sign, stamp = self._raw
        stamp(sign(hashlib.sha256(self._content).digest()))

    def measure(self, what: str, threads: int, group: int, seconds: float, steps: bool) -> dict[str, Any]:
        """Do one thing for a time from so many threads; say how often, how long each took, and what that cost."""
        acts: dict[str, Callable[[], None]] = {
            "issue": lambda: self.issue(group),
            "batch": lambda: self.batch(group),
            "sign": self.sign,
            "floor": self.floor,
        }
        act, waits, failures = acts[what], list[float](), list[BaseException]()
        counted = Steps()
        end = time.perf_counter() + seconds

        def work() -> None:
            try:
                while (begun := time.perf_counter()) < end:
                    act()
                    waits.append(time.perf_counter() - begun)
            except BaseException as error:
                failures.append(error)

        running = [threading.Thread(target=work, name=f"{ISSUER}-{number}") for number in range(threads)]
        spent, begun = time.process_time(), time.perf_counter()
        with counted.on() if steps else nullcontext():
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
            took = time.perf_counter() - begun
        if failures:
            raise failures[0]
        return {
            "count": len(waits) * group,
            "rate": len(waits) * group / took,
            "cpu": time.process_time() - spent,
            "median": percentile(waits, 0.5),
            "p99": percentile(waits, 0.99),
            "steps": counted.seconds,
        }


def main() -> None:
    """Serve the measurements that standard input asks for."""
    folder, algorithm = Path(sys.argv[1]), sys.argv[2]
    settings = Settings(data=folder, seal_algorithm=ALGORITHMS[algorithm])
    with opening(settings):
        vault = open_vault(settings)
    try:
        worker = Worker(vault, algorithm)
        worker.issue()
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps(worker.measure(**json.loads(line))), flush=True)
    finally:
        vault.close()


if __name__ == "__main__":
    main()
