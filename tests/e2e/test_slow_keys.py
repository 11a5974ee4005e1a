"""A key that is slow or hangs: its documents are received and sealed later, other keys seal on, nothing hangs."""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from signing.base import KeyPurpose
from signing.cabinet_table import Entry, changing, write_file
from signing.tokens import Pkcs11Token
from tests.e2e.harness.client import Client, encoded, holder
from tests.e2e.harness.samples import HOLDER, Sample
from tests.e2e.harness.server import Server
from tests.services.authority import Authority
from tests.services.csc import Credential, RemoteSigner
from tests.services.softhsm import Tokens

pytestmark = pytest.mark.needs("softhsm2")

# Whose acts are signed by the remote service, and whose by the token.
REMOTE, TOKEN = ("mairie-specimen", "agent-etat-civil"), ("employeur-specimen", "agent-paie")
KEY_TIMEOUT_S = 4.0
# More than the service has threads for uploads.
MANY, FEW = 70, 2
PAUSE_S, FLOOD_S, ALONE_S = 4.0, 6.0, 1.5
# An answer, whatever happens to the key: its time, and one more for a new session or token, and a busy machine.
ANSWER_S = 3 * KEY_TIMEOUT_S + 3
HEALED_S = 120.0
_numbers = itertools.count(1)


@dataclass
class Place:
    """A service whose seal keys lie in two places."""

    server: Server
    remote: RemoteSigner
    tokens: Tokens

    def ailing(self, what: str) -> tuple[tuple[str, str], AbstractContextManager[None]]:
        """Return whose key is ill, and what makes it so."""
        if what == "token hangs":
            return TOKEN, self.tokens.hanging()
        return REMOTE, self.remote.doing("slow" if what == "remote is slow" else "hang")


@pytest.fixture
def place(tmp_path: Path, softhsm_tokens: Tokens) -> Iterator[Place]:
    authority, remote = Authority(), RemoteSigner()
    table = authority.cabinet(tmp_path / "cabinet")
    entries = [
        remote_entry(table.parent, authority, remote),
        token_entry(table.parent, authority, softhsm_tokens),
    ]
    with changing(table) as held:
        held.extend(entries)
    settings = {
        "KEY_CABINET": table,
        "KEY_ROOTS": table.parent / "roots.pem",
        "KEY_TIMEOUT": KEY_TIMEOUT_S,
        "HEAL_INTERVAL": 0.2,
        "PUBLISH_INTERVAL": 0.05,
    }
    server = Server(tmp_path / "data", settings=settings)
    try:
        yield Place(server, remote, softhsm_tokens)
    finally:
        server.stop()
        remote.close()
        authority.close()


def remote_entry(folder: Path, authority: Authority, remote: RemoteSigner) -> Entry:
    private = ec.generate_private_key(ec.SECP256R1())
    chain = authority.issue(private.public_key(), purpose=KeyPurpose.ACT_SEAL)
    remote.credentials["act"] = Credential(private, x509.load_pem_x509_certificates(chain))
    write_file(folder / "remote.pem", chain)
    write_file(folder / "remote-secret", remote.client_secret.encode() + b"\n")
    shutil.copy(remote.ca, folder / "remote-ca.pem")
    source = {
        "address": remote.address,
        "credential": "act",
        "token_address": f"{remote.host}/oauth2/token",
        "client_id": remote.client_id,
        "client_secret_file": "remote-secret",
        "ca": "remote-ca.pem",
    }
    return Entry("act-remote", KeyPurpose.ACT_SEAL, "active", "csc", source, REMOTE[0], "remote.pem")


def token_entry(folder: Path, authority: Authority, tokens: Tokens) -> Entry:
    where = tokens.new(f"slow-{secrets.token_hex(4)}")
    token = Pkcs11Token.open(where, tokens.secret())
    token.generate("p256", "act", b"\1")
    chain = authority.issue(token.signer("act").public_key(), purpose=KeyPurpose.ACT_SEAL)
    token.close()
    write_file(folder / "token.pem", chain)
    shutil.copy(tokens.pin_file, folder / "pin")
    source = {
        "module": str(where.module),
        "token": where.label,
        "key": "act",
        "key_id": "01",
        "pin_file": "pin",
    }
    return Entry("act-token", KeyPurpose.ACT_SEAL, "active", "token", source, TOKEN[0], "token.pem")


@dataclass
class Clients:
    """Agents of one administration that issue act after act.

    Attributes:
        answers: status and seconds of each.
        ids: documents by status.
        without_hint: answers of 503 that do not say when to come again.
    """

    server: Server
    whose: tuple[str, str]
    pause_s: float = 0.0
    answers: list[tuple[int, float]] = field(default_factory=list)
    ids: dict[int, list[str]] = field(default_factory=lambda: {201: [], 202: []})
    without_hint: int = 0

    def run(self, count: int, seconds: float) -> None:
        """Live for so long; return when the last answer is there."""
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._live, args=(until,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 2 * ANSWER_S)
        assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"

    def _live(self, until: float) -> None:
        administration, persona = self.whose
        client = Client(self.server.host, self.server.port, self.server.tokens[persona])
        while time.monotonic() < until:
            sample = Sample(next(_numbers), is_act=True)
            said = {
                "title": sample.title,
                "file_name": sample.file_name,
                "holder": HOLDER,
                "administration": administration,
                "document_type": "attestation",
            }
            headers = {"Probans-Document": encoded(said), "Idempotency-Key": sample.key}
            begun = time.monotonic()
            reply = client.ask("POST", "/v1/acts", sample.content(), headers)
            self.answers.append((reply.status, time.monotonic() - begun))
            if reply.status in self.ids:
                self.ids[reply.status].append(reply.json["id"])
            elif "retry-after" not in reply.headers:
                self.without_hint += 1
            time.sleep(self.pause_s)
        client.close()

    @property
    def seconds(self) -> list[float]:
        """How long each answer took."""
        return [seconds for _, seconds in self.answers]

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(status for status, _ in self.answers)


@pytest.mark.parametrize("what", ["remote is slow", "remote hangs", "token hangs"])
def test_an_ailing_key_holds_up_nobody_else(what: str, place: Place, figure: Callable[[str], None]) -> None:
    whose, ill = place.ailing(what)
    other = TOKEN if whose is REMOTE else REMOTE
    # Both keys are opened, and what the others reach alone is known.
    Clients(place.server, whose).run(1, 0.2)
    alone, beside = Clients(place.server, other), Clients(place.server, other)
    alone.run(FEW, ALONE_S)
    many = Clients(place.server, whose, PAUSE_S)
    with ill:
        flood = threading.Thread(target=many.run, args=(MANY, FLOOD_S))
        flood.start()
        time.sleep(1.0)
        beside.run(FEW, FLOOD_S - 1.0)
        flood.join(FLOOD_S + 2 * ANSWER_S)
        assert not flood.is_alive()
    assert set(alone.statuses) == set(beside.statuses) == {201}, "others' acts are sealed at once"
    assert set(many.statuses) <= {201, 202, 503}
    assert many.without_hint == 0
    assert many.statuses[202] > 0
    assert max(many.seconds) < ANSWER_S
    if what == "remote is slow":
        assert many.statuses[201] > 0, "it does seal, in its time"
    # The flood itself takes its share of the processor; what a key takes away would be seconds for everybody.
    assert median(beside.seconds) < max(1.0, 8 * median(alone.seconds))
    healed = seconds_until_sealed(place.server, many.ids[202])
    statuses, sealed = dict(many.statuses), len(beside.answers)
    figure(
        f"{what}: {MANY} clients answered {statuses}, slowest {max(many.seconds):.1f} s; beside them {sealed} acts "
        f"sealed by another key in {FLOOD_S - 1:.0f} s, in {median(beside.seconds) * 1000:.0f} ms each, "
        f"{max(beside.seconds):.2f} s at most (alone {median(alone.seconds) * 1000:.0f} ms); "
        f"{len(many.ids[202])} seals that waited followed in {healed:.1f} s"
    )


def seconds_until_sealed(server: Server, ids: list[str]) -> float:
    client = holder(server)
    begun, waiting = time.monotonic(), list(ids)
    while waiting:
        assert time.monotonic() - begun < HEALED_S, f"{len(waiting)} of {len(ids)} are not known to be sealed"
        document = client.ask("GET", f"/v1/documents/{waiting[-1]}").json
        if document["sealing"] == "sealed":
            waiting.pop()
        else:
            time.sleep(0.1)
    client.close()
    return time.monotonic() - begun
