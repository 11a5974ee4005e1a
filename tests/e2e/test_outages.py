"""Each part that a production stack rests on stopped, paused and slowed in turn, under load; the service runs on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import select

from tests.e2e.conftest import Plan
from tests.e2e.harness.judge import check_ledger, check_objects, check_records
from tests.e2e.harness.outages import Answer, Callers, Outage, every_outage
from tests.e2e.harness.production import Production
from tests.e2e.harness.samples import AGENT, HOLDER
from tests.services.softhsm import Tokens
from vault.bootstrap import open_vault
from vault.db import models
from vault.ledger.policy import Policy

pytestmark = [
    *(pytest.mark.needs(name) for name in ("postgresql", "versitygw", "softhsm2", "clamd", "openssl")),
    pytest.mark.timeout(3600),
]
SENDERS = 3
# Time limits of the settings, set low so that short outages go beyond them.
LIMITS = {
    "PUBLISH_INTERVAL": "0.1",
    "DATABASE_TIMEOUT": "2",
    "LEDGER_TIMEOUT": "6",
    "STORE_TIMEOUT": "3",
    "TSA_TIMEOUT": "1",
    "TSA_WAIT": "2",
    "TSA_PAUSE": "2",
    "KEY_TIMEOUT": "1",
    "SCANNER_CONNECT_TIMEOUT": "1",
    "SCANNER_TIMEOUT": "1",
    "SCAN_INTERVAL": "0.5",
    "HEAL_INTERVAL": "0.3",
}
# Of PostgreSQL that says nothing at all, by `vault.db.postgresql`: its own limit and ten seconds; then what follows.
ANSWER_S = 20.0
HEALED_S = 45.0


@pytest.fixture
def stack(softhsm_tokens: Tokens) -> Iterator[Production]:
    with TemporaryDirectory(prefix="probans-outage-") as place:
        made = Production(Path(place) / "s", softhsm_tokens, LIMITS, relayed=True)
        yield made
        made.close()


def outlived(stack: Production, seconds: float, figure: Callable[[str], None], *, apart: bool) -> None:
    """Let each outage happen, and look after each, or after all, what became of every document."""
    with stack.serving(1) as services:
        service = services[0]
        callers, pid, every = Callers(service, ANSWER_S + 10), service.pid, 0
        for outage in every_outage():
            befallen(stack, callers, outage, seconds, figure)
            assert service.is_alive
            assert service.pid == pid
            if apart:
                kept_for = kept(callers, every)
                every = len(callers.answers)
                figure(
                    f"after {outage.part} {outage.how}: all sent again, read and sealed in {kept_for:.1f} s"
                )
        kept(callers, every)
    judged(stack, callers.answers)


def befallen(
    stack: Production, callers: Callers, outage: Outage, seconds: float, figure: Callable[[str], None]
) -> None:
    name = f"{outage.part} {outage.how}"
    first = len(callers.answers)
    callers.shown.clear()
    callers.slowest_ready = 0.0
    lasts = seconds if outage.how != "slowed" else seconds * 0.6
    with callers.calling(SENDERS), outage.befalls(stack):
        time.sleep(lasts)
    ended = time.monotonic()
    assert not callers.wrong, (name, callers.wrong[:5])
    during = callers.answers[first:]
    slowest = max(each.seconds for each in during)
    assert slowest < ANSWER_S, (name, slowest)
    assert callers.slowest_ready < 5, (name, callers.slowest_ready)
    if outage.how != "slowed":
        assert callers.shown[outage.shown_as], (name, callers.shown)
    if outage.how == "stopped" and outage.part != "scanner":
        assert any(each.status == (503 if outage.needed else 202) for each in during), (name, during)
    if not outage.needed:
        assert {each.status for each in during} <= {201, 202}, (name, during)
    well_s = well_again(callers, ended)
    figure(
        f"{name} for {lasts:.1f} s: {told(during)}; slowest answer {slowest:.1f} s, of /readyz "
        f"{callers.slowest_ready:.1f} s, which named {', '.join(sorted(callers.shown)) or 'nothing'}; "
        f"every part well {well_s:.1f} s after"
    )


def told(answers: list[Answer]) -> str:
    counted = Counter(f"{each.status} {each.code}".strip() for each in answers)
    return ", ".join(f"{count} × {what}" for what, count in sorted(counted.items()))


def well_again(callers: Callers, since: float) -> float:
    """Readiness says that every part works; return after how many seconds."""
    client = callers.client(HOLDER)
    while down := callers.ready(client):
        assert time.monotonic() < since + HEALED_S, down
        time.sleep(0.2)
    client.close()
    return time.monotonic() - since


def kept(callers: Callers, first: int) -> float:
    """What was acknowledged is there and gets sealed; what was not can be sent again, once. Return the seconds."""
    holder, agent, since = callers.client(HOLDER), callers.client(AGENT), time.monotonic()
    for place in range(first, len(callers.answers)):
        answer = callers.answers[place]
        client = agent if answer.sample.is_act else holder
        again = callers.send(client, answer.sample)
        while again.status == 503:
            assert time.monotonic() < since + HEALED_S, again
            time.sleep(0.2)
            again = callers.send(client, answer.sample)
        if answer.document_id:
            assert again.document_id == answer.document_id
            assert again.status == answer.status, "a retry gets the first answer"
        callers.answers[place] = again
        path = f"/v1/documents/{again.document_id}"
        while (found := holder.ask("GET", f"{path}/original")).status in (409, 503):
            assert time.monotonic() < since + HEALED_S, found
            time.sleep(0.2)
        sent = answer.sample.content()
        assert found.status == 200, found
        assert found.body.startswith(sent) if answer.sample.is_act else found.body == sent
        assert holder.ask("GET", path).json["sealing"] == "sealed"
    assert not callers.wrong, callers.wrong
    holder.close()
    agent.close()
    return time.monotonic() - since


def judged(stack: Production, answers: list[Answer]) -> None:
    """Nothing was lost, nothing doubled."""
    vault = open_vault(stack.opened_settings(0), background=False)
    try:
        check_ledger(vault, Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"))
        check_objects(vault)
        check_records(vault)
        with vault.parts.database.reading() as connection:
            documents = list(connection.scalars(select(models.documents.c.id)))
    finally:
        vault.close()
    assert sorted(documents) == sorted(each.document_id for each in answers)


def test_each_part_away_still_or_slow(stack: Production, figure: Callable[[str], None]) -> None:
    outlived(stack, 2.5, figure, apart=False)


@pytest.mark.soak("outages")
def test_long_form(stack: Production, plan: Plan, figure: Callable[[str], None]) -> None:
    outlived(stack, plan.count or 30, figure, apart=True)
