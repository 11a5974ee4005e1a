"""A very large attachment goes in and out, and the memory of the service stays small."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from signing.trust import TrustStore
from tests.e2e.conftest import Plan
from tests.e2e.harness.client import holder
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.server import Server, serving
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy

pytestmark = pytest.mark.timeout(3600)

MIB = 1 << 20


def octets(seed: int, size: int) -> Iterator[bytes]:
    """Yield a file a mebibyte at a time: random islands in a sea of zeros, each mebibyte different."""
    for place in range(size // MIB):
        island = random.Random(seed * 1_000_003 + place).randbytes(MIB // 8)
        yield island.ljust(MIB, b"\0")


class Watch:
    """Follows the memory of a server's processes.

    Attributes:
        most: greatest sum of proportional set sizes seen, octets.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._before_peak, self._before = server.memory("VmHWM"), server.memory("Pss")
        self.most = self._before
        self._thread.start()

    def end(self) -> tuple[int, int]:
        """Return by how much the sums of VmHWM and of Pss grew, octets."""
        self._ended.set()
        self._thread.join()
        return self._server.memory("VmHWM") - self._before_peak, self.most - self._before

    def _follow(self) -> None:
        with suppress(OSError):  # the server may end first when the test fails
            while not self._ended.wait(0.05):
                self.most = max(self.most, self._server.memory("Pss"))


def through(folder: Path, seed: int, size: int, bound: int, figure: Callable[[str], None]) -> None:
    data = folder / "data"
    with serving(data, workers=2) as server:
        client = holder(server)
        # What is loaded and cached at the first use of each path is not growth with size.
        for number in range(12):
            small = client.send(Sample(number, is_act=False)).json["id"]
            for part in ("original", "evidence"):
                client.ask("GET", f"/v1/documents/{small}/{part}")
            client.close()
        watch = Watch(server)
        sent = hashlib.sha256()
        begun = time.monotonic()

        def source() -> Iterator[bytes]:
            for chunk in octets(seed, size):
                sent.update(chunk)
                yield chunk

        reply = client.send(Sample(1000, is_act=False), source(), size)
        taken_in = time.monotonic() - begun
        assert reply.status == 201, reply
        document = reply.json["id"]
        got, begun = hashlib.sha256(), time.monotonic()
        assert client.stream(f"/v1/documents/{document}/original", got.update) == size
        given_out = time.monotonic() - begun
        assert got.digest() == sent.digest()
        bundle = folder / "large.asice"
        with bundle.open("wb") as file:
            begun = time.monotonic()
            assert client.stream(f"/v1/documents/{document}/evidence", file.write) > size
            bundled = time.monotonic() - begun
        peak, proportional = watch.end()
        keys = Policy.from_vkeys(client.ask("GET", "/confiance/ledger.vkeys").body.decode())
    trust = TrustStore.from_pem((data / "keys/pki/roots.pem").read_bytes())
    verdict = verify_file(bundle, trust=trust, tsa_trust=None, policy=keys)
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    figure(
        f"{size // MIB} MiB attachment, 2 workers: in {taken_in:.1f} s, out {given_out:.1f} s, bundle {bundled:.1f} s; "
        f"memory of all processes grew {peak / MIB:.1f} MiB (VmHWM), {proportional / MIB:.1f} MiB (Pss)"
    )
    assert peak < bound
    assert proportional < bound


def test_a_large_attachment(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    through(tmp_path, plan.seed, 192 * MIB, 64 * MIB, figure)


@pytest.mark.soak("gigabyte")
def test_one_gibibyte(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    through(tmp_path, plan.seed, 1024 * MIB, 100 * MIB, figure)
