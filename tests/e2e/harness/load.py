"""Clients that issue, submit, read and destroy at once, and remember what they were answered."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.harness.client import Client, Cut, Reply, agent, holder
from tests.e2e.harness.judge import Given
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.server import Server

PARTS = ("", "/original", "/evidence", "/receipt?wait=5")


class Load:
    """What clients asked and were answered, over any number of servers.

    Attributes:
        asked: every sample ever sent, by idempotency key.
        given: answered ones, by key.
        replayed: answers that were recognised as given before.
        doomed: documents whose destruction was asked for.
        destroyed: documents whose destruction was answered.
        requests: requests answered.
        anchors: outside dates of the ledger that were made.
        cut: requests that were under way when the server died, in the last run.
        wrong: answers that should not have come.
    """

    def __init__(self, seed: int, pace: float = 0.0) -> None:
        """Begin with nothing asked.

        Args:
            seed: of every choice by chance.
            pace: seconds that each client rests after each request.
        """
        self._pace = pace
        self.asked: dict[str, Sample] = {}
        self.given: dict[str, Given] = {}
        self.replayed = 0
        self.doomed: set[str] = set()
        self.destroyed: set[str] = set()
        self.requests = 0
        self.anchors = 0
        self.cut = 0
        self.wrong: list[str] = []
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._next = 0
        self._stop = threading.Event()

    @property
    def unanswered(self) -> list[Sample]:
        """Samples that were sent and never answered."""
        return [sample for key, sample in self.asked.items() if key not in self.given]

    def living(self) -> list[Given]:
        """Answered documents whose destruction nobody asked for."""
        with self._lock:
            return [each for each in self.given.values() if each.document_id not in self.doomed]

    @contextmanager
    def running(
        self, server: Server, *, writers: int, readers: int, destroyers: int = 0, daters: int = 0
    ) -> Iterator[None]:
        """Run clients while the block does; each ends at its first cut."""
        self._stop.clear()
        self.cut = 0
        works: list[tuple[Callable[[Server], Client], Callable[[Client, random.Random], None]]] = [
            *[(agent, self._issue), (holder, self._submit)] * writers,
            *[(holder, self._read)] * readers,
            *[(holder, self._destroy)] * destroyers,
            *[(holder, self._date)] * daters,
        ]
        threads = [
            threading.Thread(
                target=self._work, args=(make(server), work, random.Random(self._chance.random()))
            )
            for make, work in works
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(120)

    def send(self, client: Client, sample: Sample) -> Given | None:
        """Send a sample and note the answer. Raises Cut."""
        with self._lock:
            self.asked[sample.key] = sample
        reply = client.send(sample)
        if not self.expect(reply, 201, 202):
            return None
        answer = reply.json
        given = Given(sample, answer["id"], answer["entry"], reply.status)
        with self._lock:
            earlier = self.given.setdefault(sample.key, given)
            self.replayed += reply.headers.get("idempotency-replayed") == "true"
        if earlier != given:
            self.wrong.append(f"{sample.key}: {earlier} then {given}")
        return given

    def expect(self, reply: Reply, *statuses: int) -> bool:
        """Note an answer that should not have come."""
        with self._lock:
            self.requests += 1
        if reply.status not in statuses:
            self.wrong.append(f"{reply.status}: {reply.body[:300]!r}")
        return reply.status in statuses

    def new_sample(self, *, is_act: bool) -> Sample:
        """Return a sample nobody has sent yet."""
        with self._lock:
            self._next += 1
            return Sample(self._next, is_act)

    def _work(
        self, client: Client, work: Callable[[Client, random.Random], None], chance: random.Random
    ) -> None:
        try:
            while not self._stop.is_set() and not self.wrong:
                work(client, chance)
                self._stop.wait(self._pace)
        except Cut:
            with self._lock:
                self.cut += 1
        except Exception as error:
            self.wrong.append(repr(error))
        finally:
            client.close()

    def _issue(self, client: Client, _: random.Random) -> None:
        self.send(client, self.new_sample(is_act=True))

    def _submit(self, client: Client, _: random.Random) -> None:
        self.send(client, self.new_sample(is_act=False))

    def _read(self, client: Client, chance: random.Random) -> None:
        known = self.living()
        if not known:
            self._stop.wait(0.01)
            return
        document = chance.choice(known).document_id
        # Each purpose of its own makes an access entry of its own.
        purpose = {"Probans-Purpose": f"p{chance.randrange(10**9)}"}
        reply = client.ask("GET", f"/v1/documents/{document}{chance.choice(PARTS)}", headers=purpose)
        self.expect(reply, 200)

    def _destroy(self, client: Client, _: random.Random) -> None:
        sample = self.new_sample(is_act=False)
        with self._lock:
            self.asked[sample.key] = sample
        reply = client.send(sample)
        if not self.expect(reply, 201):
            return
        answer = reply.json
        with self._lock:
            self.doomed.add(answer["id"])
            self.given[sample.key] = Given(sample, answer["id"], answer["entry"], reply.status)
        if self.expect(client.ask("DELETE", f"/test/documents/{answer['id']}"), 200):
            with self._lock:
                self.destroyed.add(answer["id"])

    def _date(self, client: Client, _: random.Random) -> None:
        reply = client.ask("POST", "/test/anchors")
        if self.expect(reply, 200):
            with self._lock:
                self.anchors += reply.json["size"] is not None
        self._stop.wait(0.02)
