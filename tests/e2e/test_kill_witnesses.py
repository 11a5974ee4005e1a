"""`kill -9` with witnesses: of the service between cosignatures, of the witnesses around their own commit.

Two of three have to cosign; the third may be somebody else's program. Whoever is killed: the ledger stays one
history, no witness is behind what it signed or signs another, and nothing that was answered is missing.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.base import LogStore
from tests.e2e.conftest import Plan
from tests.e2e.harness.client import Client, agent, holder
from tests.e2e.harness.judge import demand
from tests.e2e.harness.litewitness import Litewitness
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.server import Server, killed_start
from tests.e2e.harness.siege import ANY_MOMENT, Siege
from tests.e2e.harness.witnesses import POINTS as WITNESS_POINTS
from tests.e2e.harness.witnesses import StandingWitness, check_memory
from tests.e2e.test_kill import ALARM_POINTS, WITNESSING_POINTS, wait_for
from vault.db.engine import Database
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.settings import Settings

pytestmark = pytest.mark.timeout(7200)

NAMES = ("one", "two", "three")
LITE = "another's program"
SETTINGS = ("go-on", "wait")


class Watched(Siege):
    """A siege with witnesses, who are killed too."""

    def __init__(self, folder: Path, seed: int, too_few: str, lite: Litewitness | None = None) -> None:
        path = folder / "witnesses.policy"
        # Slower than witnesses answer: else what is published is never the checkpoint they were asked about.
        settings = {"WITNESS_POLICY": path, "WITNESS_WAIT": too_few, "PUBLISH_INTERVAL": 0.3}
        super().__init__(folder, seed, settings, pace=0.05)
        self.lite = lite
        self.keys = LedgerKeys.open(self.data / "keys/ledger", Settings().origin)
        self.witnesses: list[StandingWitness] = []
        names = NAMES[:2] if lite else NAMES
        try:
            for name in names:
                self.witnesses.append(StandingWitness(folder / "outside" / name, name, self.keys))
        except BaseException:
            self.close()
            raise
        lines = [witness.policy_line for witness in self.witnesses]
        if lite is not None:
            lines.append(f"witness lite {lite.vkey.vkey} {lite.url}")
        asked = " ".join([*names, *(["lite"] if lite else [])])
        text = "\n".join([*lines, f"group some 2 {asked}", "quorum some", ""])
        path.write_text(text)
        logs = "".join(f"log {vkey}\n" for vkey in self.keys.vkeys)
        self.policy = Policy.parse(logs + text)
        self.fallen: Counter[str] = Counter()
        self.cosignatures: set[tuple[bytes, int, bytes]] = set()
        self.victim: StandingWitness | None = None

    def strike_both(self, point: str, witness_point: str) -> None:
        """Kill a witness at its point, and soon after the service at its own."""
        self.victim = None
        if witness_point != LITE:
            self.victim = self.chance.choice(self.witnesses)
            if witness_point != ANY_MOMENT:
                self.victim.stop()
                self.victim.start(witness_point, self.chance.randint(1, 6))
        self.strike(point)
        self.fallen[f"witness, {witness_point}"] += 1
        for witness in self.witnesses:
            if not witness.is_alive:
                witness.start()
            witness.refuses_forks(self.scratch)

    def meanwhile(self, server: Server) -> None:
        if self.victim is None:
            assert self.lite is not None
            self.lite.kill()
            self.lite.up()
        elif self.victim.has_trap:
            self.victim.fallen(30)
            assert self.victim.killed_at is not None
        else:
            time.sleep(self.chance.uniform(0, 0.3))
            self.victim.kill()

    def also(self, database: Database, log: LogStore) -> None:
        check_memory(database, self.witnesses, self.keys.origin, self.scratch, self.cosignatures)

    def end_cosigned(self) -> None:
        """Check everything once more, and that the whole ledger gets its quorum."""
        server = Server(self.data, settings=self.settings)
        try:
            wait_for(lambda: self.is_cosigned(holder(server)), 60)
        finally:
            server.stop()
        self.end(bundles=10)

    def is_cosigned(self, client: Client) -> bool:
        """Tell whether what is published meets the quorum."""
        try:
            verify_checkpoint(client.ask("GET", "/ledger/checkpoint").body, self.policy)
        except LedgerProofRefused as error:
            demand(error.indeterminate, f"{error.code}: {error.detail}")
            return False
        return True

    def close(self) -> None:
        """Stop the witnesses."""
        for witness in self.witnesses:
            witness.stop()


@contextmanager
def watched(
    folder: Path, seed: int, too_few: str = "go-on", lite: Litewitness | None = None
) -> Iterator[Watched]:
    siege = Watched(folder, seed, too_few, lite)
    try:
        yield siege
    finally:
        siege.close()


def besiege(
    siege: Watched, kills: int, figure: Callable[[str], None], witness_points: Sequence[str] = ()
) -> None:
    begun = time.monotonic()
    own = [*WITNESSING_POINTS, ANY_MOMENT]
    theirs = [*WITNESS_POINTS, ANY_MOMENT, *witness_points]
    siege.chance.shuffle(own)
    siege.chance.shuffle(theirs)
    for place in range(kills):
        siege.strike_both(own[place % len(own)], theirs[place % len(theirs)])
    siege.end_cosigned()
    assert siege.cosignatures
    figure(
        f"kill -9 with witnesses ({siege.settings['WITNESS_WAIT']}): {kills} kills of the service, "
        f"{siege.fallen.total()} of witnesses, {siege.load.requests} answered, {len(siege.load.given)} documents, "
        f"{siege.tokens} anchors in one chain, {len(siege.cosignatures)} cosignatures verified and remembered, "
        f"0 lost, 0 doubled, {time.monotonic() - begun:.0f} s"
    )
    for point, count in sorted((siege.kills + siege.fallen).items()):
        figure(f"  killed at {point}: {count}")


def test_kills_of_the_service_and_of_its_witnesses(
    tmp_path: Path, plan: Plan, figure: Callable[[str], None]
) -> None:
    """Entries wait for the quorum; beside a witness of others, below, they go on without; the long form does both."""
    with watched(tmp_path, plan.seed, "wait") as siege:
        besiege(siege, 5, figure)
        assert set(siege.kills) == {*WITNESSING_POINTS, ANY_MOMENT}
        assert len(siege.fallen) == 3


@pytest.mark.needs("litewitness")
def test_kills_beside_a_witness_of_others(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    lite = Litewitness(LedgerKeys.open(tmp_path / "site/data/keys/ledger", Settings().origin))
    try:
        with watched(tmp_path, plan.seed, "go-on", lite) as siege:
            besiege(siege, 3, figure, witness_points=[LITE, LITE])
    finally:
        lite.close()


def test_a_memory_that_is_behind_or_another_would_be_noticed(tmp_path: Path) -> None:
    with watched(tmp_path, 1) as siege:
        server = Server(siege.data, settings=siege.settings)
        try:
            siege.load.send(holder(server), Sample(1, is_act=False))
            wait_for(lambda: siege.is_cosigned(holder(server)))
        finally:
            server.stop()
        siege.check_as_it_lies()
        assert siege.cosignatures
        victim = siege.witnesses[0]
        wait_for(lambda: victim.remembered(tmp_path)[0] > 0)
        victim.kill()
        for change in ("size = 0", "root = zeroblob(32)", "size = size + 1000"):
            shutil.copytree(victim.folder, tmp_path / "kept")
            connection = sqlite3.connect(victim.folder / "witness.db")
            connection.execute(f"UPDATE heads SET {change}")
            connection.commit()
            connection.close()
            with pytest.raises(AssertionError):
                siege.check_as_it_lies()
            shutil.rmtree(victim.folder)
            shutil.move(tmp_path / "kept", victim.folder)
            siege_leftovers(siege)
        siege.check_as_it_lies()


def siege_leftovers(siege: Siege) -> None:
    """Remove the copy that a check which failed left."""
    shutil.rmtree(siege.scratch / "copied", ignore_errors=True)


@pytest.mark.parametrize("too_few", SETTINGS)
def test_too_few_witnesses_live(tmp_path: Path, too_few: str) -> None:
    """Two of three are killed: entries wait, or go on, as was set; killed meanwhile, nothing is lost or doubled."""
    with watched(tmp_path, 1, too_few) as siege:
        server = Server(siege.data, settings=siege.settings)
        try:
            client = holder(server)
            siege.load.send(client, Sample(1, is_act=False))
            wait_for(lambda: siege.is_cosigned(client))
            for witness in siege.witnesses[:2]:
                witness.kill()
            if too_few == "go-on":
                for number in range(2, 6):
                    siege.load.send(client, Sample(number, is_act=False))
                time.sleep(1)
                assert not siege.is_cosigned(client)
                assert client.ask("GET", "/readyz").status == 200
            else:
                # The grace is for entries that came before anybody could know.
                siege.load.send(client, Sample(2, is_act=False))
                wait_for(lambda: client.ask("GET", "/readyz").status == 503)
                size = published(client)
                waiting = threading.Thread(target=quietly, args=(siege, server, Sample(3, is_act=False)))
                waiting.start()
                time.sleep(1)
                assert waiting.is_alive()
                assert published(client) == size
                server.kill()
                server.wait(30)
                waiting.join(30)
                assert siege.load.unanswered == [Sample(3, is_act=False)]
                server.stop()
                siege.check_as_it_lies()
                # A start is no way round: it waits until a second witness is back.
                server = Server(siege.data, settings=siege.settings)
                assert holder(server).ask("GET", "/readyz").status == 503
            siege.witnesses[0].start()
            wait_for(lambda: siege.is_cosigned(holder(server)), 60)
            for sample in siege.load.unanswered:
                siege.load.send(holder(server), sample)
            wait_for(lambda: holder(server).ask("GET", "/readyz").status == 200)
        finally:
            server.stop()
        siege.check_as_it_lies()
        siege.witnesses[1].start()
        siege.end_cosigned()


def published(client: Client) -> int:
    return Checkpoint.parse(client.ask("GET", "/ledger/checkpoint").body).size


def quietly(siege: Siege, server: Server, sample: Sample) -> None:
    try:
        siege.load.send(holder(server), sample)
    except Exception:  # the service is killed while it waits
        return


@pytest.mark.parametrize("point", ALARM_POINTS)
def test_an_alarm_that_a_kill_cut_short_is_raised_again(tmp_path: Path, point: str) -> None:
    """A witness holds another history: whenever the service is killed, it writes nothing more afterwards."""
    with watched(tmp_path, 1) as siege:
        server = Server(siege.data, settings=siege.settings)
        try:
            siege.load.send(agent(server), Sample(1, is_act=True))
            wait_for(lambda: siege.is_cosigned(holder(server)))
        finally:
            server.stop()
        before = (siege.data / "ledger/checkpoint").read_bytes()
        liar = siege.witnesses[0]
        wait_for(lambda: liar.remembered(tmp_path)[0] > 0)
        liar.kill()
        connection = sqlite3.connect(liar.folder / "witness.db")
        connection.execute("UPDATE heads SET root = zeroblob(32)")
        connection.commit()
        connection.close()
        liar.start()
        said = killed_start(siege.data, point, "1", settings=siege.settings)
        assert f"killed at {point}" in said
        # Learnt at a start, it keeps the service from writing anything: it does not start.
        with pytest.raises(AssertionError, match=r"did not start(.|\n)*WitnessFork(.|\n)*root other than"):
            Server(siege.data, settings=siege.settings)
        size = Checkpoint.parse(before).size
        assert Checkpoint.parse((siege.data / "ledger/checkpoint").read_bytes()).size == size


@pytest.mark.soak("kill-witnesses")
def test_long_form(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    for number, too_few in enumerate(SETTINGS):
        folder = tmp_path / too_few
        folder.mkdir()
        with watched(folder, plan.seed + number, too_few) as siege:
            besiege(siege, plan.count or 40, figure)
