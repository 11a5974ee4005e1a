"""The main job on the whole production stack: three services, many clients, one service after another killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.conftest import Plan
from tests.e2e.harness.client import agent, holder
from tests.e2e.harness.crowd import Crowd, Told
from tests.e2e.harness.heads import HeadLog, NotOneByOne
from tests.e2e.harness.judge import check_whole, demand
from tests.e2e.harness.production import DATABASE, Production
from tests.services.softhsm import Tokens
from vault.bootstrap import open_vault
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy
from vault.ledger.receipt import verify_receipt

pytestmark = [
    *(pytest.mark.needs(name) for name in ("postgresql", "versitygw", "softhsm2", "clamd", "openssl")),
    pytest.mark.timeout(3600),
]
CLIENTS, SERVICES = 32, 3
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def stack(softhsm_tokens: Tokens) -> Iterator[Production]:
    with TemporaryDirectory(prefix="probans-stack-") as place:
        made = Production(
            Path(place) / "s",
            softhsm_tokens,
            {"PUBLISH_INTERVAL": "0.1", "LEDGER_TIMEOUT": "15", "DATABASE_CONNECTIONS": "12"},
            database_options=("wal_level=logical",),
        )
        yield made
        made.close()


def lived_through(stack: Production, seconds: float, rounds: int, figure: Callable[[str], None]) -> None:
    """Have the main job done all the time while services are killed and started again, then judge everything."""
    kills, starting = 0, list[Future[None]]()
    with stack.serving(1):
        # The first one made keys and tables; those that follow find them.
        log = HeadLog(stack.database, DATABASE)
        with ThreadPoolExecutor(SERVICES) as pool:
            stack.services += pool.map(stack.start, range(1, SERVICES))
        crowd = Crowd(stack.services)
        begun = time.monotonic()
        crowd.start(CLIENTS)
        with ThreadPoolExecutor(SERVICES) as pool:
            for number in list(range(SERVICES)) * rounds:
                pause(crowd, seconds)
                killed(stack, number)
                kills += 1
                # The next one is killed while this one starts; never all of them at once.
                starting.append(pool.submit(started, stack, number))
                if len(starting) == SERVICES - 1:
                    starting.pop(0).result()
            for each in starting:
                each.result()
        pause(crowd, seconds)
        crowd.finish()
        took = time.monotonic() - begun
        with ThreadPoolExecutor(4) as pool:
            list(
                pool.map(
                    lambda each: retried(stack, each), list(crowd.told)[:: max(1, len(crowd.told) // 12)]
                )
            )
    assert crowd.cuts, "nobody was under way when a service was killed"
    check_told(stack, crowd.told, some=32)
    entries = judged(stack, crowd)
    advances = log.check()
    assert log.size == entries
    # What proves it says no to anything less.
    stack.database.execute("UPDATE ledger_head SET size = size + 1", DATABASE)
    with pytest.raises(NotOneByOne):
        log.check()
    figure(
        f"{CLIENTS} clients on {SERVICES} services, PostgreSQL with a synchronous standby, versitygw, SoftHSM2, clamd, "
        f"outside timestamps; {kills} services killed (kill -9) and started again in {took:.0f} s: "
        f"{len(crowd.given)} documents with originals, bundles, receipts and journals, {entries} ledger entries in "
        f"{advances} advances of the head, each from the size the one before left by the write-ahead log; "
        f"{crowd.cuts} requests cut, slowest answer {crowd.slowest:.1f} s, {dict(crowd.answers)}; none lost or doubled"
    )


def killed(stack: Production, number: int) -> None:
    stack.services[number].kill()
    stack.services[number].wait(10)


def started(stack: Production, number: int) -> None:
    stack.services[number] = stack.start(number)


def pause(crowd: Crowd, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not crowd.failures:
        time.sleep(0.05)


def retried(stack: Production, told: Told) -> None:
    """The same request gets the first answer, at any service."""
    given = told.given
    client = (agent if given.sample.is_act else holder)(stack.services[given.seq % SERVICES])
    again = client.send(given.sample)
    client.close()
    assert (again.json["id"], again.json["entry"]) == (given.document_id, given.seq), again
    assert again.headers.get("idempotency-replayed") == "true"


def check_told(stack: Production, told: list[Told], *, some: int) -> None:
    """Bundles and receipts prove themselves, with nothing but the public keys."""
    policy = published_policy(stack)
    path = stack.folder / "judged.asice"
    for number, each in enumerate(told):
        if number % max(1, len(told) // some) == 0:
            path.write_bytes(each.bundle)
            verdict = verify_file(path, trust=stack.trust, tsa_trust=stack.timestamp_trust, policy=policy)
            demand(verdict.verdict is Outcome.PASSED, f"the bundle verifies: {verdict.reasons}")
    bodies = dict(
        stack.database.execute(
            f"SELECT seq, body FROM ledger_entries WHERE seq IN ({','.join(str(each.given.seq) for each in told)})",
            DATABASE,
        )
    )
    for each in told:
        # An act's receipt is of the entry that says it was issued; that of a received one comes before.
        index = int(each.receipt.split(b"index ")[1].split()[0])
        body = (
            bodies.get(index)
            or stack.database.execute(f"SELECT body FROM ledger_entries WHERE seq = {index}", DATABASE)[0][0]
        )
        assert verify_receipt(each.receipt, bytes(body), policy).index == index


def published_policy(stack: Production) -> Policy:
    vault = open_vault(stack.opened_settings(0), background=False)
    try:
        return Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
    finally:
        vault.close()


def judged(stack: Production, crowd: Crowd) -> int:
    """Judge the safe as it lies; return the size of its ledger."""
    entries, documents, keys = check_whole(stack.opened_settings(0))
    assert len(crowd.given) == len(crowd.asked)
    assert sorted(documents) == sorted(each.document_id for each in crowd.given.values())
    assert keys == len(set(documents)) == len(crowd.asked)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from vault.cli.main import run; run()",
            "audit",
            str(stack.data(0)),
            "--json",
        ],
        env=stack.environment(0),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "PASSED"
    return entries


def test_three_services_killed_one_after_another(stack: Production, figure: Callable[[str], None]) -> None:
    lived_through(stack, 1.0, 1, figure)


@pytest.mark.soak("stack")
def test_long_form(stack: Production, plan: Plan, figure: Callable[[str], None]) -> None:
    lived_through(stack, 8.0, plan.count or 5, figure)
