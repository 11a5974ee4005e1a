"""Guessing a secret: too many wrong ones lock what they were tried on, and no answer tells what exists."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.testclient import TestClient

from api import errors, rules
from api.app import create_app
from api.metrics import Metrics
from api.middleware import Guard
from storage.keys import LocalKeyWrapper
from vault.authorization.rates import LONGEST_LOCK, Lockout
from vault.bootstrap import open_vault
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.system_tables import lockouts
from vault.errors import NotFound
from vault.settings import Settings

FAILURES = 3
FIRST = timedelta(minutes=15)


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


def opened(folder: Path) -> Database:
    return Database.open(f"sqlite:///{folder / 'probans.db'}", folder / "run")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(LocalKeyWrapper.create(tmp_path_factory.mktemp("kek") / "kek"), b"i" * 32)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = opened(tmp_path_factory.mktemp("lockouts"))
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def lockout(database: Database, keyring: Keyring, clock: SetClock) -> Lockout:
    return Lockout(database, keyring, clock, FAILURES, FIRST)


@pytest.fixture
def key() -> str:
    return f"share:{secrets.token_hex(8)}"


def rows(database: Database) -> int:
    with database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(lockouts)) or 0


def test_wrong_secrets_lock_and_the_right_one_no_longer_helps(lockout, clock, key):
    assert lockout.judge(key, right=True)
    for _ in range(FAILURES):
        assert lockout.allowed(key)
        lockout.failed(key)
    assert not lockout.allowed(key)
    assert not lockout.judge(key, right=True)
    assert lockout.allowed(key + "x")
    clock.time += FIRST
    assert lockout.allowed(key)
    assert lockout.judge(key, right=True)


def test_success_forgets_failures(lockout, key):
    for _ in range(5):
        for _ in range(FAILURES - 1):
            assert not lockout.judge(key, right=False)
        assert lockout.judge(key, right=True)


def test_each_lock_in_a_row_is_longer_a_day_at_most(lockout, clock, key):
    lengths = []
    for _ in range(12):
        for _ in range(FAILURES):
            lockout.failed(key)
        begun = clock.time
        while not lockout.allowed(key):
            clock.time += timedelta(minutes=15)
        lengths.append(clock.time - begun)
    assert lengths[:4] == [FIRST, FIRST * 2, FIRST * 4, FIRST * 8]
    assert lengths[-3:] == [LONGEST_LOCK] * 3


def test_tries_while_locked_do_not_prolong_the_lock(lockout, clock, key):
    for _ in range(FAILURES):
        lockout.failed(key)
    for _ in range(50):
        assert not lockout.judge(key, right=False)
    clock.time += FIRST
    assert lockout.judge(key, right=True)


def test_what_was_tried_is_forgotten_after_a_day(lockout, clock, database):
    for number in range(20):
        lockout.failed(f"share:unknown-{number}")
    assert rows(database) >= 20
    clock.time += timedelta(days=60)
    lockout.failed("share:another")
    assert rows(database) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=40),
    salt=st.uuids(),
)
def test_no_span_allows_more_wrong_secrets_than_stated(database, keyring, steps, salt):
    clock = SetClock()
    lockout, key = Lockout(database, keyring, clock, FAILURES, FIRST), str(salt)
    judged: list[datetime] = []
    for minutes, right in steps:
        clock.time += timedelta(minutes=minutes)
        locked = not lockout.allowed(key)
        assert lockout.judge(key, right) == (right and not locked)
        if right and not locked:
            judged = []
        elif not locked:
            judged.append(clock.time)
        # Without a right one between them, FAILURES + 1 wrong secrets take longer than the first lock.
        if len(judged) > FAILURES:
            assert judged[-1] - judged[-1 - FAILURES] >= FIRST


def test_tries_at_one_moment_cannot_get_ahead_of_the_count(lockout, key):
    allowed = []

    def attempt(number: int) -> None:
        # The last one knows the secret, and comes with all the others.
        allowed.append(lockout.judge(key, right=False) if number < 20 else lockout.judge(key, right=True))

    for _ in range(FAILURES):
        lockout.failed(key)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(21)))
    assert allowed == [False] * 21


OTHER_PROCESS = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from storage.keys import LocalKeyWrapper
from vault.db.engine import Database
from vault.core.keyring import Keyring
from vault.authorization.rates import Lockout

class Clock:
    def now(self):
        return datetime(2026, 11, 22, 12, tzinfo=UTC)

folder = Path(sys.argv[1])
database = Database.open(f"sqlite:///{folder / 'probans.db'}", folder / "run")
keyring = Keyring(LocalKeyWrapper.load(folder / "kek"), b"i" * 32)
Lockout(database, keyring, Clock(), 3, timedelta(minutes=15)).failed(sys.argv[2])
database.close()
"""


def test_all_processes_count_together(tmp_path, key):
    mine = Keyring(LocalKeyWrapper.create(tmp_path / "kek"), b"i" * 32)
    database = opened(tmp_path)
    database.migrate()
    lockout = Lockout(database, mine, SetClock(), FAILURES, FIRST)
    for _ in range(FAILURES - 1):
        lockout.failed(key)
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, str(tmp_path), key], check=True, timeout=60)
    assert not lockout.judge(key, right=True)
    database.close()


def test_nothing_of_what_was_tried_stands_in_the_database(lockout, database, key):
    lockout.failed(key)
    with database.reading() as connection:
        octets = repr(connection.execute(select(lockouts)).all()).encode()
    assert key.encode() not in octets


CODES = {"known": "s3cret"}
DECOY = hashlib.sha256(b"").digest()


def guessable(lockout: Lockout) -> FastAPI:
    """An application with one look-up by code and secret, written as the docstring of `Lockout` says."""
    app = FastAPI()
    errors.install(app)

    @app.post("/v1/look")
    def look(request: Request) -> dict[str, str]:
        code, secret = request.headers["code"], request.headers["secret"]
        expected = hashlib.sha256(CODES[code].encode()).digest() if code in CODES else DECOY
        right = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), expected)
        if not lockout.judge(f"share:{code}", right and code in CODES):
            raise NotFound("NOT_FOUND")
        return {"what": "found"}

    app.add_middleware(Guard, metrics=Metrics(), loopback_only=True, trusts=lambda _: False)
    return app


def told(answer: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    left_out = {"x-request-id", "date", "retry-after"}
    return answer.status_code, body, {k: v for k, v in answer.headers.items() if k not in left_out}


def test_unknown_wrong_and_locked_are_one_answer(lockout):
    client = TestClient(guessable(lockout), base_url="http://127.0.0.1")

    def look(code: str, secret: str) -> httpx.Response:
        return client.post("/v1/look", headers={"code": code, "secret": secret})

    assert look("known", "s3cret").status_code == 200
    wrong = [told(look("known", "guess")) for _ in range(FAILURES)]
    locked = [told(look("known", secret)) for secret in ("guess", "s3cret")]
    unknown = [told(look("unknown", secret)) for secret in ("guess", "", "s3cret", "more", "and more")]
    assert all(answer == wrong[0] for answer in wrong + locked + unknown)
    assert wrong[0][0] == 404


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    chosen = Settings(
        data=tmp_path_factory.mktemp("limited") / "data",
        rate_lookups=4,
        rate_verifications=3,
        rate_tokens=5,
        rate_ledger=6,
        trusted_proxies="198.51.100.1",
    )
    vault = open_vault(chosen, background=False)
    yield create_app(vault)
    vault.close()


def from_address(app: FastAPI, host: str) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, client=(host, 4711))


ROUTES = {
    "verifications": (3, lambda client, **more: client.post("/v1/verifications", content=b"x", **more)),
    "lookups": (
        4,
        lambda client, **more: client.post("/v1/verifications/hash", json={"sha256": "0" * 64}, **more),
    ),
    "tokens": (5, lambda client, **more: client.post("/v1/token", data={"grant_type": "x"}, **more)),
    "ledger": (6, lambda client, **more: client.get("/ledger/checkpoint", **more)),
}


@pytest.mark.parametrize("kind", sorted(ROUTES))
def test_public_look_ups_are_limited_by_network(limited, kind):
    count, ask = ROUTES[kind]
    number = 1 + sorted(ROUTES).index(kind)
    client = from_address(limited, f"192.0.2.{number}")
    assert all(ask(client).status_code != 429 for _ in range(count))
    # Whatever the caller says of where it comes from, or who it is.
    for headers in (
        {},
        {"X-Forwarded-For": "203.0.113.1"},
        {"Forwarded": "for=203.0.113.1"},
        {"X-Real-IP": "203.0.113.1"},
    ):
        answer = ask(client, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title_fr"] == "Trop de demandes en peu de temps."
    assert answer.headers["retry-after"] in answer.json()["action_en"]
    assert ask(from_address(limited, f"192.0.2.{number + 50}")).status_code != 429
    proxied = from_address(limited, "198.51.100.1")
    assert ask(proxied, headers={"X-Forwarded-For": f"192.0.2.{number}"}).status_code == 429
    assert (
        ask(proxied, headers={"X-Forwarded-For": f"192.0.2.{number}, 203.0.113.{number}"}).status_code != 429
    )


def test_addresses_of_one_network_are_one_caller(limited):
    count, ask = ROUTES["lookups"]
    for number in range(count):
        assert ask(from_address(limited, f"2001:db8:7:7::{number + 1}")).status_code == 200
    assert ask(from_address(limited, "2001:db8:7:7:ffff::1")).status_code == 429
    assert ask(from_address(limited, "2001:db8:7:8::1")).status_code == 200


def test_who_is_logged_in_is_counted_for_himself(limited):
    count, ask = ROUTES["lookups"]
    office = from_address(limited, "192.0.2.200")
    bearers = [
        {"Authorization": f"Bearer {limited.state.vault.personas.named(name).token}"}
        for name in ("agent-etat-civil", "agent-paie")
    ]
    for headers in bearers:
        assert all(ask(office, headers=headers).status_code == 200 for _ in range(count))
        assert ask(office, headers=headers).status_code == 429
    assert ask(from_address(limited, "192.0.2.201"), headers=bearers[0]).status_code == 429
    assert ask(office).status_code == 200


def test_wrong_tokens_are_counted_too(limited):
    client = from_address(limited, "192.0.2.210")
    answers = [
        client.post("/v1/receipts", headers={"Authorization": f"Bearer pst_{number}"}).status_code
        for number in range(7)
    ]
    assert answers == [401] * 5 + [429] * 2
    named = limited.state.vault.personas.named("camille").token
    held = {"Authorization": f"Bearer {named}"}
    assert client.get("/v1/documents/doc_x", headers=held).status_code == 404


def test_pages_say_it_as_pages(limited):
    client = from_address(limited, "192.0.2.220")
    asked = [client.post("/verifier", headers={"Accept": "text/html"}) for _ in range(4)]
    assert asked[-1].status_code == 429
    assert "Trop de demandes" in asked[-1].text
    assert int(asked[-1].headers["retry-after"]) > 0


# They say the same to everybody, or only show a form, or take something away from the caller alone.
UNLIMITED = {
    ("GET", "/"), ("GET", "/acces"), ("GET", "/acces/renforcer"), ("GET", "/confiance/{name}"), ("GET", "/connexion"),
    ("GET", "/deconnexion"), ("GET", "/docs"), ("GET", "/erreurs"), ("GET", "/favicon.ico"), ("GET", "/healthz"),
    ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/readyz"), ("GET", "/static"), ("GET", "/v1/attributes"),
    ("GET", "/v1/administrations/{administration_id}/services"), ("GET", "/v1/trust"), ("GET", "/verifier"),
    ("POST", "/acces/delier"), ("POST", "/acces/fermer"), ("POST", "/acces/mandat"), ("POST", "/deconnexion"),
    ("GET", "/agent/documents/{document_id}"), ("GET", "/espace/recherche"), ("GET", "/partage"),
    ("POST", "/partage/fermer"),
    # Wrong secrets are counted there, not requests: a gateway may have much to report.
    ("POST", "/v1/notices/bounces"),
}  # fmt: skip
DEVELOPMENT = "/dev-identity/"


def gates(dependant: Any) -> Iterator[str]:
    for each in dependant.dependencies:
        yield getattr(each.call, "__qualname__", "")
        yield from gates(each)


def test_every_public_route_is_limited_or_says_why_not(limited):
    counted = {
        (method, route.path)
        for route in rules.flat(limited.routes)
        if isinstance(route, APIRoute) and any("limited" in name for name in gates(route.dependant))
        for method in route.methods
    }
    public = {line for line, rule in rules.RULES.items() if rule == rules.PUBLIC}
    free = {line for line in public - counted if not line[1].startswith(DEVELOPMENT)}
    assert free <= UNLIMITED
    assert UNLIMITED & counted == set()
