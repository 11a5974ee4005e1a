"""Has published checkpoints cosigned by outside witnesses, in the background.

The log's own checkpoint never waits for it. Every process has a worker; an operating system lock elects the one
that asks. What it learns stands in the database, where the others read it: cosignatures, and alarms.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import StorageError
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.errors import LedgerError, Unavailable, VaultError
from vault.ledger import tree
from vault.ledger.alarms import clear_alarm, keep_alarm, standing_alarms
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import cosignatures_of, keep, last_cosigned, newest_met, standing_since
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher
from vault.ledger.republishing import Republisher
from vault.ledger.stored import StoredTiles, latest_checkpoint, read_head
from vault.ledger.tiles import CHECKPOINT_PATH
from vault.ledger.witness_client import (
    Cosignature,
    Extension,
    WitnessClient,
    WitnessFork,
    WitnessUnavailable,
)

_GATE_POLL_S = 0.05
_STANDS_AT_MOST_S = 0.7  # of the second that an entry may wait for its publication
_STANDS_COSIGNED_S = 0.25
_LONGEST_PAUSE_S = 60.0
_log = logging.getLogger("probans.witnessing")


@dataclass(frozen=True, slots=True)
class WitnessingConfig:
    """How witnesses are asked.

    Attributes:
        too_few: `go-on`, or `wait`: new entries wait while the quorum is not reached.
        interval: seconds between two looks for a new checkpoint.
        timeout: seconds a witness has to answer.
        grace: with `wait`, seconds without a newer quorum before new entries wait.
        pause: seconds before a witness that failed is asked again; doubled each time, up to a minute.
    """

    too_few: Literal["go-on", "wait"] = "go-on"
    interval: float = 0.1
    timeout: float = 5.0
    grace: float = 5.0
    pause: float = 0.5


@dataclass(frozen=True, slots=True)
class WitnessState:
    """Where witnessing stands.

    Attributes:
        ok: no alarm stands, and the quorum is reached where entries wait for it.
        note: one sentence for operators.
    """

    ok: bool
    note: str


@dataclass(slots=True)
class _Pause:
    """A witness that failed: how often, until when it is left alone, and why."""

    times: int
    until: float
    reason: str


class Witnessing:
    """Asks the witnesses of a policy.

    Attributes:
        failure: the alarm that stopped publication; None while none stands.
    """

    def __init__(
        self,
        database: Database,
        log_store: LogStore,
        publisher: Publisher,
        policy: Policy,
        clock: Clock,
        config: WitnessingConfig = WitnessingConfig(),
    ) -> None:
        """Make a worker; `start` begins.

        Args:
            database: holds ledger and checkpoints.
            log_store: where the checkpoint is published.
            publisher: is stopped by an alarm.
            policy: witnesses with their addresses, and the quorum.
            clock: states when something was received.
            config: see `WitnessingConfig`.

        Raises:
            SettingsRefused: WITNESS_SETTINGS_INVALID for an address that cannot be used.
        """
        self.failure: LedgerError | None = None
        self._database = database
        self._store = log_store
        self._publisher = publisher
        self._policy = policy
        self._clock = clock
        self._config = config
        by_url: dict[str, list[str]] = {}
        for name, url in policy.urls.items():
            by_url.setdefault(url, []).append(name)
        self._clients = {
            url: WitnessClient(url, [policy.witnesses[name] for name in names], config.timeout)
            for url, names in by_url.items()
        }
        self._pauses: dict[str, _Pause] = {}
        self._roots: dict[tuple[int, int], bytes] = {}
        self._republisher = Republisher(database, log_store)
        self._met = 0
        self._size = 0
        self._unmet_since: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="probans-witnessing", daemon=True)
        self._pool = ThreadPoolExecutor(max(1, len(self._clients)), "probans-witness")

    def start(self) -> None:
        """Settle alarms, ask every witness once, stop publication if an alarm stands; go on in the background.

        So a database that was set back is found before anything new is written: takes as long as the slowest
        witness.

        Raises:
            WitnessFork: WITNESS_AHEAD, or WITNESS_FORK, be it of an alarm that stands from before; an entry
                written now would go on with a history that is not the one a witness saw.
        """
        self.recheck()
        self.round(everybody=True)
        if self.failure is not None:
            raise self.failure
        if self._unmet_since is not None:
            # A start is no way round the quorum: what stands without it now is late already.
            self._unmet_since = float("-inf")
        self._thread.start()

    def close(self) -> None:
        """Stop asking; what is not cosigned yet is asked for at the next start."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def recheck(self) -> None:
        """Settle alarms: one falls when its witness cosigns this very log again, or is no longer in the policy."""
        with self._database.reading() as connection:
            alarms = standing_alarms(connection)
        for alarm in alarms:
            client = self._clients.get(alarm.url)
            try:
                if client is not None:
                    note = self._newest()
                    self._keep(Checkpoint.parse(note).size, self._ask(client, note))
            except (VaultError, StorageError) as error:
                _log.critical("the alarm of %s stands: %s", alarm.url, error)
                continue
            with self._database.writing() as connection:
                clear_alarm(connection, alarm.url)
            _log.warning("the alarm of %s is over", alarm.url)
        self._look()

    def _newest(self) -> bytes:
        """Return our newest checkpoint; a database that was rebuilt may know only an older one, or none.

        Raises:
            LedgerProofRefused, StorageError: the store's copy is missing or damaged.
        """
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
        published = self._store.get(CHECKPOINT_PATH)
        return latest[1] if latest and latest[0] >= Checkpoint.parse(published).size else published

    def admit(self, timeout: float) -> None:
        """Wait, where entries wait for the quorum, until the next one may be written.

        Args:
            timeout: seconds to wait at most.

        Raises:
            Unavailable: WITNESSES_UNAVAILABLE; nothing was written.
        """
        if self._config.too_few == "go-on":
            return
        deadline = time.monotonic() + timeout
        while self._too_few():
            if time.monotonic() >= deadline or self._stop.is_set():
                raise Unavailable("WITNESSES_UNAVAILABLE", "too few witnesses cosign; entries wait for them")
            time.sleep(_GATE_POLL_S)

    def state(self) -> WitnessState:
        """Tell where witnessing stands."""
        if self.failure is not None:
            return WitnessState(False, self.failure.detail)
        away = "; ".join(pause.reason for pause in list(self._pauses.values()))
        met = f"quorum up to size {self._met}" if self._met else "no quorum yet"
        note = f"{met} of {self._size}, {len(self._clients)} witnesses asked"
        late = self._config.too_few == "wait" and self._too_few()
        return WitnessState(not late, f"{note}; {away}" if away else note)

    def holds(self) -> bool:
        """Tell whether the standing checkpoint is to stand a little longer, for readers to see it cosigned.

        Where entries come all the time, the next checkpoint would replace each before its witnesses answered, and
        who demands cosignatures would never see any. So it stands until the quorum is met, and for a moment then;
        in all no longer than entries may wait for their publication.
        """
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
            if latest is None or self._policy.is_met(set()):
                return False
            made, met = standing_since(connection, latest[0], self._policy)
        now = self._clock.now()
        age = (now - parse_rfc3339(made)).total_seconds()
        if not 0 <= age < _STANDS_AT_MOST_S:
            return False
        if met is not None:
            return (now - parse_rfc3339(met)).total_seconds() < _STANDS_COSIGNED_S
        away = {name for name, url in self._policy.urls.items() if url in self._pauses}
        return self._policy.is_met(set(self._policy.witnesses) - away)

    def round(self, *, everybody: bool = False) -> None:
        """Have the newest checkpoint cosigned, unless another process is at it.

        Args:
            everybody: also ask those that cosigned it already, whether they have seen more since.

        Steps:
            1. Become the one that asks; ask nobody while an alarm stands.
            2. Ask, all at once, each witness that has not cosigned this size and did not fail just now.
            3. Keep each verified answer durably as it comes, then publish the checkpoint with it.
            4. An answer that shows another history is kept as an alarm, and publication stops.

        Raises:
            Unavailable: the database cannot be had.
        """
        # 1
        with self._database.leading("witnessing") as leader:
            self._look()
            if not leader:
                self._pauses.clear()  # what it knew of witnesses grows old: another process asks them
            if not leader or self.failure is not None:
                return
            with self._database.reading() as connection:
                latest = latest_checkpoint(connection)
                if latest is None:
                    return
                size, note = latest
                waiting = self._not_cosigned(connection, size)
                if everybody:
                    waiting = list(self._clients.values())
            self._republisher.put(size)
            # 2
            asked: dict[Future[tuple[Cosignature, ...]], WitnessClient] = {
                self._pool.submit(self._ask, client, note): client for client in waiting
            }
            pending = set(asked)
            while pending and not self._stop.is_set():
                done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in done:
                    # 3, 4
                    self._take(asked[future], size, future)
                if done:
                    self._look()
                    self._republisher.put(size)

    def _not_cosigned(self, connection: Connection, size: int) -> list[WitnessClient]:
        """Return the witnesses to ask about a size."""
        there = {(line.name, line.key_id) for line in cosignatures_of(connection, size)}
        now = time.monotonic()
        return [
            client
            for url, client in self._clients.items()
            if not any((key.name, key.id) in there for key in client.vkeys)
            and (url not in self._pauses or self._pauses[url].until <= now)
        ]

    def _ask(self, client: WitnessClient, note: bytes) -> tuple[Cosignature, ...]:
        size = Checkpoint.parse(note).size
        with self._database.reading() as connection:
            known = last_cosigned(connection, client.vkeys)

        def extend(old: int) -> Extension:
            with self._database.reading() as connection:
                tiles = StoredTiles(connection, self._roots)
                return Extension(tree.root(tiles, old), tuple(tree.consistency_proof(tiles, old, size)))

        return client.submit(note, known, extend)

    def _take(self, client: WitnessClient, size: int, future: Future[tuple[Cosignature, ...]]) -> None:
        try:
            self._keep(size, future.result())
            if self._pauses.pop(client.url, None) is not None:
                _log.info("witness %s answers again", client.url)
        except WitnessFork as error:
            self._alarm(error)
        except WitnessUnavailable as error:
            self._put_off(client, error.detail)
        except Exception as error:  # one witness must not keep the others from being asked
            _log.exception("asking a witness failed")
            self._put_off(client, f"{client.url}: {type(error).__name__}")

    def _keep(self, size: int, found: Sequence[Cosignature]) -> None:
        faults.point("witnessing.before-keep")
        with self._database.writing() as connection:
            keep(connection, size, [item.line for item in found], rfc3339(self._clock.now()))
        faults.point("witnessing.after-keep")

    def _put_off(self, client: WitnessClient, reason: str) -> None:
        before = self._pauses.get(client.url)
        times = before.times + 1 if before else 1
        if before is None:
            _log.warning("witness unavailable: %s", reason)
        pause = min(_LONGEST_PAUSE_S, self._config.pause * 2 ** min(times - 1, 16))
        self._pauses[client.url] = _Pause(times, time.monotonic() + pause, reason)

    def _alarm(self, error: WitnessFork) -> None:
        faults.point("witnessing.before-alarm")
        with self._database.writing() as connection:
            if error.not_root is None and error.theirs <= read_head(connection).size:
                return  # another process had a later checkpoint of ours cosigned meanwhile
            keep_alarm(connection, error, rfc3339(self._clock.now()))
        faults.point("witnessing.after-alarm")
        _log.critical("publication stopped: %s %s", error.code, error.detail)

    def _look(self) -> None:
        """Read what stands in the database, whoever wrote it."""
        with self._database.reading() as connection:
            alarms = standing_alarms(connection)
            latest = latest_checkpoint(connection)
            met = newest_met(connection, self._policy)
        size = latest[0] if latest else 0
        if met >= size:
            self._unmet_since = None
        elif met > self._met or self._unmet_since is None:
            self._unmet_since = time.monotonic()
        self._met, self._size = met, size
        if alarms and self.failure is None:
            self.failure = alarms[0]
            self._publisher.failure = self._publisher.failure or alarms[0]

    def _too_few(self) -> bool:
        since = self._unmet_since
        return self.failure is not None or (
            since is not None and time.monotonic() - since > self._config.grace
        )

    def _loop(self) -> None:
        while not self._stop.wait(self._config.interval):
            try:
                self.round()
            except Exception:
                _log.exception("witnessing failed; it is tried again")
