"""Parts of a production stack that go away, stand still or get slow, and callers who note what they are answered."""

from __future__ import annotations

import fcntl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.harness.client import Client, Cut, Reply
from tests.e2e.harness.production import Production
from tests.e2e.harness.samples import AGENT, HOLDER, Sample
from tests.e2e.harness.server import Server
from tests.services.softhsm import Tokens

# Seconds that each piece of what is said to a slow part waits, and each of its answers.
REST_S = 0.4  # of a sender after each answer
_LATE_S = {"database": 0.05, "store": 0.25, "tsa": 0.4, "scanner": 0.25}


@dataclass(frozen=True, slots=True)
class Outage:
    """One thing that befalls a part.

    Attributes:
        part: `database`, `store`, `tsa`, `token` or `scanner`.
        how: `stopped`, `paused` or `slowed`.
        shown_as: part of `/readyz`.
        needed: whether nothing can be promised meanwhile.
    """

    part: str
    how: str
    shown_as: str
    needed: bool

    @contextmanager
    def befalls(self, stack: Production) -> Iterator[None]:
        """Let it last for the block."""
        with ExitStack() as ends:
            begin, end = _ways(stack)[self.part, self.how]
            if end is not None:
                ends.callback(end)
                begin()
            else:
                ends.enter_context(begin())
            yield


def every_outage() -> list[Outage]:
    """Return all of them, in turn."""
    parts = (
        ("database", "database", True),
        ("store", "storage", True),
        ("tsa", "timestamps", False),
        ("token", "tokens", False),
        ("scanner", "scanner", False),
    )
    return [
        Outage(part, how, shown_as, needed)
        for part, shown_as, needed in parts
        for how in ("stopped", "paused", "slowed")
    ]


def _ways(stack: Production) -> Mapping[tuple[str, str], tuple[Callable[[], Any], Callable[[], Any] | None]]:
    """Return what begins each, and what ends it; a context manager where there is no end."""
    database, store, tsa, scanner = stack.database, stack.store, stack.authorities, stack.scanner
    late = {
        (part, "slowed"): (lambda part=part, wait=wait: stack.relays[part].slowed(wait), None)
        for part, wait in _LATE_S.items()
    }
    return {
        ("database", "stopped"): (database.stop, database.start),
        ("database", "paused"): (database.pause, database.resume),
        ("store", "stopped"): (store.stop, store.start),
        ("store", "paused"): (store.pause, store.resume),
        ("tsa", "stopped"): (lambda: tsa.say("down"), lambda: tsa.say("well")),
        ("tsa", "paused"): (tsa.pause, tsa.resume),
        ("token", "stopped"): (stack.tokens.away, None),
        ("token", "paused"): (stack.tokens.hanging, None),
        ("token", "slowed"): (lambda: slow_token(stack.tokens), None),
        ("scanner", "stopped"): (scanner.stop, scanner.start),
        ("scanner", "paused"): (scanner.pause, scanner.resume),
        **late,
    }


@contextmanager
def slow_token(tokens: Tokens, held_s: float = 0.3, free_s: float = 0.1) -> Iterator[None]:
    """Have calls of a token wait again and again for the locks of its object store."""
    stop = threading.Event()
    files = [path.open("r+b") for path in tokens.tokens.glob("*/generation")]

    def run() -> None:
        while not stop.wait(free_s):
            for file in files:
                fcntl.lockf(file, fcntl.LOCK_EX)
            stop.wait(held_s)
            for file in files:
                fcntl.lockf(file, fcntl.LOCK_UN)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for file in files:
            file.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one sender was told.

    Attributes:
        sample: what it sent.
        status: of HTTP.
        code: of the problem; "" for none.
        document_id: "" for none.
        seconds: until the answer.
    """

    sample: Sample
    status: int
    code: str
    document_id: str
    seconds: float


@dataclass
class Callers:
    """Send one document after another to one service, each once, and ask how it does.

    Attributes:
        answers: in the order they came.
        shown: names of the parts that `/readyz` said were down, how often; "" for an unready service.
        slowest_ready: longest answer of `/readyz`, seconds.
        wrong: what should not have been answered.
    """

    service: Server
    timeout: float
    answers: list[Answer] = field(default_factory=list)
    shown: Counter[str] = field(default_factory=Counter)
    slowest_ready: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0

    @contextmanager
    def calling(self, senders: int) -> Iterator[None]:
        """Send and ask while the block runs; what is under way at its end is waited for."""
        stop = threading.Event()
        works: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            *((self._send, (number % 2 == 0, stop)) for number in range(senders)),
            (self._watch, (stop,)),
        ]
        threads = [threading.Thread(target=work, args=given, daemon=True) for work, given in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(self.timeout + 5)
                if thread.is_alive():
                    self.wrong.append("a caller hangs")

    def client(self, who: str) -> Client:
        """Return a connection."""
        return Client(self.service.host, self.service.port, self.service.tokens[who], self.timeout)

    def ready(self, client: Client) -> dict[str, Any]:
        """Ask how the service does; return the parts that are down."""
        begun = time.monotonic()
        reply = client.ask("GET", "/readyz")
        self.slowest_ready = max(self.slowest_ready, time.monotonic() - begun)
        down = {name: part for name, part in reply.json["parts"].items() if not part["ok"]}
        unready = any(part["needed"] for part in down.values())
        if reply.status != (503 if unready else 200):
            self.wrong.append(f"/readyz answered {reply.status} with {down}")
        return down

    def send(self, client: Client, sample: Sample) -> Answer:
        """Send a sample once."""
        begun = time.monotonic()
        try:
            reply = client.send(sample)
        except Cut as error:
            taken = time.monotonic() - begun
            self.wrong.append(f"{sample.key}: no answer ({error}) after {taken:.1f} s")
            return Answer(sample, 0, "", "", taken)
        return self._judged(sample, reply, time.monotonic() - begun)

    def _judged(self, sample: Sample, reply: Reply, seconds: float) -> Answer:
        said = reply.json
        code = str(said.get("code", ""))
        if reply.status in (201, 202):
            if (reply.status == 201) != (said["sealing"] == "sealed"):
                self.wrong.append(f"{reply.status} with {said}")
        elif reply.status != 503:
            self.wrong.append(f"{sample.key}: {reply.status} {said}")
        elif int(reply.headers.get("retry-after", "0")) <= 0:
            self.wrong.append(f"{sample.key}: 503 without Retry-After")
        return Answer(sample, reply.status, code, str(said.get("id", "")), seconds)

    def _send(self, is_act: bool, stop: threading.Event) -> None:
        client = self.client(AGENT if is_act else HOLDER)
        while not stop.is_set():
            with self._lock:
                self._next += 1
                sample = Sample(self._next, is_act)
            answer = self.send(client, sample)
            with self._lock:
                self.answers.append(answer)
            stop.wait(REST_S)
        client.close()

    def _watch(self, stop: threading.Event) -> None:
        client = self.client(HOLDER)
        while not stop.is_set():
            try:
                self.shown.update(self.ready(client).keys())
            except Cut as error:
                self.wrong.append(f"/readyz: no answer ({error})")
            stop.wait(0.2)
        client.close()
