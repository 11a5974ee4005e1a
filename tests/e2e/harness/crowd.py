"""Clients that live the whole of the main job, each until every step of it is answered, whichever service runs.

One story: an agent issues an act, its holder deposits an attachment, reads both, fetches their bundles and receipts,
and finds in the journal that this was done. A step that is cut off or answered by 503 is asked again, of the next
service, with the same key; nothing else is.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.harness.client import Client, Cut, Reply
from tests.e2e.harness.judge import Given
from tests.e2e.harness.samples import AGENT, HOLDER, Sample
from tests.e2e.harness.server import Server

# One answer, and a step with all its repetitions.
ANSWER_S, STEP_S = 40.0, 90.0
_LATER = {"NOT_PUBLISHED", "SCAN_PENDING", "RECEIPT_PENDING", "TWIN_RUNNING"}


class Lost(AssertionError):
    """A step was never answered as it should be."""


@dataclass(frozen=True, slots=True)
class Told:
    """One document of a finished story.

    Attributes:
        given: what its sender was answered.
        bundle: evidence bundle.
        receipt: inclusion proof.
    """

    given: Given
    bundle: bytes
    receipt: bytes


@dataclass
class Crowd:
    """Many clients; the services may change meanwhile.

    Attributes:
        services: those that are asked.
        asked: every sample, by idempotency key.
        given: answers to them.
        told: finished stories' documents.
        answers: by status and code.
        cuts: requests that ended without an answer.
        slowest: longest answer, seconds.
        failures: what went wrong.
    """

    services: Sequence[Server]
    asked: dict[str, Sample] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    cuts: int = 0
    slowest: float = 0.0
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stories = 0

    def start(self, clients: int) -> None:
        """Let clients live stories until `finish`, each one at least."""
        self._threads = [
            threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Begin no more stories and wait for those under way. Raises what went wrong first."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STEP_S * 2)
            if thread.is_alive():
                self.failures.append(Lost("a client hangs"))
        if self.failures:
            raise self.failures[0]

    def _live(self, number: int) -> None:
        voice = _Voice(self, number)
        try:
            while not self.failures:
                self._story(voice)
                if self._stop.is_set():
                    return
        except BaseException as error:
            self.failures.append(error)
        finally:
            voice.close()

    def _story(self, voice: _Voice) -> None:
        with self._lock:
            self._stories += 1
            number = self._stories
        purpose = {"Probans-Purpose": f"histoire-{number}"}
        for is_act in (True, False):
            given = self._send(voice, Sample(number, is_act))
            place = f"/v1/documents/{given.document_id}"
            original = voice.persist(HOLDER, "GET", f"{place}/original", purpose).body
            sent = given.sample.content()
            if not (original.startswith(sent) and len(original) > len(sent) if is_act else original == sent):
                raise Lost(f"{given}: other octets came back")
            bundle = voice.persist(HOLDER, "GET", f"{place}/evidence", purpose).body
            receipt = voice.persist(HOLDER, "GET", f"{place}/receipt?wait=5", purpose).body
            lines = voice.persist(HOLDER, "GET", f"{place}/journal", purpose).json["items"]
            mine = {line["action"] for line in lines if _words(line) == purpose["Probans-Purpose"]}
            if not {"read", "evidence"} <= mine:
                raise Lost(f"{given}: the journal has {mine} of what was answered")
            with self._lock:
                self.told.append(Told(given, bundle, receipt))

    def _send(self, voice: _Voice, sample: Sample) -> Given:
        with self._lock:
            self.asked[sample.key] = sample
        reply = voice.persist_sample(sample)
        answer = reply.json
        given = Given(sample, answer["id"], answer["entry"], reply.status)
        with self._lock:
            self.given[sample.key] = given
        return given


class _Voice:
    """The connections of one client."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._turn = number
        self._chance = random.Random(number)
        self._clients: dict[tuple[Server, str], Client] = {}

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def persist(self, who: str, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Ask until it is answered by 200."""
        return self._persist(path, lambda: self._client(who).ask(method, path, headers=headers))

    def persist_sample(self, sample: Sample) -> Reply:
        """Send until it is answered by 201 or 202."""
        who = AGENT if sample.is_act else HOLDER
        return self._persist(sample.key, lambda: self._client(who).send(sample))

    def _client(self, who: str) -> Client:
        services = self._crowd.services
        service = services[self._turn % len(services)]
        if (service, who) not in self._clients:
            self._clients[service, who] = Client(service.host, service.port, service.tokens[who], ANSWER_S)
        return self._clients[service, who]

    def _persist(self, what: str, ask: Any) -> Reply:
        crowd, deadline, said = self._crowd, time.monotonic() + STEP_S, ""
        while time.monotonic() < deadline:
            begun = time.monotonic()
            try:
                reply: Reply = ask()
            except Cut:
                with crowd._lock:
                    crowd.cuts += 1
                self._turn += 1
                time.sleep(self._chance.uniform(0.05, 0.2))
                continue
            code = _code(reply)
            with crowd._lock:
                crowd.slowest = max(crowd.slowest, time.monotonic() - begun)
                crowd.answers[reply.status, code] += 1
            if reply.status in (200, 201, 202):
                return reply
            said = f"{reply.status} {code}"
            if reply.status == 503 and int(reply.headers["retry-after"]) > 0:
                self._turn += 1
            elif code not in _LATER:
                raise Lost(f"{what}: {said}: {reply.body[:300]!r}")
            time.sleep(self._chance.uniform(0.05, 0.2))
        raise Lost(f"{what} was never answered, at last {said}")


def _code(reply: Reply) -> str:
    if reply.headers.get("content-type", "").startswith("application/problem+json"):
        return str(json.loads(reply.body)["code"])
    return ""


def _words(line: Mapping[str, Any]) -> str:
    purpose = line["purpose"] or {}
    return str(purpose.get("words") or purpose.get("code") or "")
