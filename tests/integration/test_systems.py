"""Systems survive the loss of the database, stay ended, and are registered by hand on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from typer.testing import CliRunner

from tests.services.database import Copy, lose
from vault.access import SYSTEM_SCOPES
from vault.bootstrap import open_parts, open_vault
from vault.cli.main import build
from vault.core import faults
from vault.domain.actors import Actor, Role
from vault.domain.systems import SCOPES, System
from vault.errors import NotFound, Refused
from vault.people.pseudonyms import pseudonym_of
from vault.people.system_keys import read_certificates, read_keys
from vault.people.system_registry import SystemRegistry
from vault.records.changes import Change
from vault.recovery.records import read_records
from vault.service import Vault
from vault.settings import Settings


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", publish_interval=0.02)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """One for all tests that need nothing but a running safe."""
    opened = open_vault(Settings(data=tmp_path_factory.mktemp("systems") / "data"), background=False)
    yield opened
    opened.close()


def public_pem() -> bytes:
    return bytes(ECKey.generate_key("P-256").as_pem(private=False))


def registry_of(vault: Vault) -> SystemRegistry:
    return SystemRegistry(vault.parts.database, vault.parts.records, vault.parts.clock)


def add(registry: SystemRegistry, **changes: Any) -> System:
    said: dict[str, Any] = {
        "administration_id": "mairie-specimen", "service": "etat-civil", "name": "Logiciel",
        "scopes": ["acts:issue"], "keys": read_keys(public_pem()), **changes,
    }  # fmt: skip
    return registry.add(**said)


def with_vault(settings: Settings, do: Callable[[Vault], Any]) -> Any:
    vault = open_vault(settings, background=False)
    try:
        return do(vault)
    finally:
        vault.close()


def systems(settings: Settings) -> list[System]:
    return list(with_vault(settings, lambda vault: registry_of(vault).all()))


def record_of(settings: Settings, system: System) -> Path:
    (found,) = (settings.data / "records").rglob(f"system-{system.client_id}*")
    return found


def recover(settings: Settings) -> None:
    parts = open_parts(settings)
    try:
        assert parts.recovery().run(parts.clock).findings == []
    finally:
        parts.close()


def test_scopes_of_the_access_rules_can_be_registered():
    assert set(SYSTEM_SCOPES.values()) <= SCOPES.keys()


def test_an_emptied_database_gets_its_systems_back(settings, each_database):
    def register(vault: Vault) -> list[System]:
        registry = registry_of(vault)
        kept, changed, ended = add(registry), add(registry, service=""), add(registry)
        add(registry, administration_id=None, name="Portail")
        registry.rotate(changed.client_id, read_keys(public_pem()), keep=True)
        registry.end(ended.client_id)
        assert registry.end(ended.client_id).ended_at is not None
        assert kept.client_id != changed.client_id
        return list(registry.all())

    before = with_vault(settings, register)
    assert [len(system.keys) for system in before] == [1, 2, 1, 1]
    assert [system.ended_at is None for system in before] == [True, True, False, True]
    lose(settings.database_address)
    recover(settings)
    assert systems(settings) == before


@pytest.mark.parametrize("by", ["recovery", "start"])
def test_an_older_copy_of_the_database_does_not_bring_an_ended_system_back(settings, by, each_database):
    made = with_vault(settings, lambda vault: add(registry_of(vault)))
    copy = Copy(settings.database_address, settings.data.parent)
    with_vault(settings, lambda vault: registry_of(vault).end(made.client_id))
    copy.put_back()
    if by == "recovery":
        recover(settings)
    (found,) = systems(settings)
    assert found.ended_at is not None


def test_a_registration_that_was_killed_is_there_or_not_as_a_whole(settings):
    def killed_at(name: str) -> None:
        if name == "systems.recorded":
            raise Killed

    def register(vault: Vault) -> None:
        faults.install(killed_at)
        try:
            with pytest.raises(Killed):
                add(registry_of(vault))
        finally:
            faults.install(None)
        assert registry_of(vault).all() == []

    with_vault(settings, register)
    # Its record was durable: the operator finds it in the list, and may end it.
    (found,) = systems(settings)
    assert found.scopes == {"acts:issue"}


def test_a_damaged_record_keeps_nobody_from_starting(settings):
    made = with_vault(settings, lambda vault: add(registry_of(vault)))
    record_of(settings, made).write_bytes(b"PBR1 damaged")
    assert systems(settings) == [made]


def test_records_hold_no_key_in_clear(settings):
    made = with_vault(settings, lambda vault: add(registry_of(vault)))
    assert made.keys[0]["x"].encode() not in record_of(settings, made).read_bytes()
    changes = with_vault(settings, lambda vault: read_records(vault.parts.records).registry)
    assert [each for each in changes if isinstance(each, Change) and each.document_id == made.client_id]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"service": "État civil"}, "service"),
        ({"service": "x" * 65}, "service"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"scopes": []}, "scope"),
        ({"scopes": ["acts:issue", "acts:destroy"]}, "scope"),
    ],
)
def test_odd_registrations_are_refused(vault, changes, field):
    with pytest.raises(Refused) as refused:
        add(registry_of(vault), **changes)
    assert (refused.value.code, refused.value.params) == ("FIELD_INVALID", {"field": field})


def test_registrations_that_prove_nothing_are_refused(vault):
    registry = registry_of(vault)
    keys = [key for _ in range(9) for key in read_keys(public_pem())]
    for means in (
        {"keys": ()},
        {"keys": keys},
        {"keys": (keys[0], keys[0])},
        {"keys": (), "certificates": ["a"] * 9},
    ):
        with pytest.raises(Refused) as refused:
            add(registry, **means)
        assert refused.value.code == "KEY_REFUSED"
    with pytest.raises(NotFound, match="UNKNOWN_ADMINISTRATION"):
        add(registry, administration_id="nobody")
    with pytest.raises(NotFound, match="UNKNOWN_SYSTEM"):
        registry.end("sys_00000000000000000000000000")
    made = add(registry)
    with pytest.raises(Refused, match="neither"):
        registry.rotate(made.client_id)
    registry.end(made.client_id)
    with pytest.raises(NotFound, match="UNKNOWN_SYSTEM"):
        registry.rotate(made.client_id, keys[:1])


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


def test_keys_are_kept_in_one_form():
    ec_key, ed_key, rsa_key = (
        ECKey.generate_key("P-256"),
        OKPKey.generate_key("Ed25519"),
        RSAKey.generate_key(2048),
    )
    every = {
        "keys": [
            jwk(ec_key, kid="2026", alg="ES256", use="sig", key_ops=["verify"]),
            jwk(ed_key),
            jwk(rsa_key),
        ]
    }
    kept = read_keys(json.dumps(every).encode())
    assert [sorted(key) for key in kept] == [
        ["crv", "kid", "kty", "x", "y"], ["crv", "kid", "kty", "x"], ["e", "kid", "kty", "n"]
    ]  # fmt: skip
    assert kept[0]["kid"] == "2026"
    pem = b"".join(key.as_pem(private=False) for key in (ec_key, ed_key, rsa_key))
    assert [key["kid"] for key in read_keys(pem)][1:] == [key["kid"] for key in kept][1:]
    assert read_keys(json.dumps(jwk(ed_key)).encode()) == kept[1:2]


KEY_FILES = {
    "private PEM": lambda: ECKey.generate_key("P-256").as_pem(private=True),
    "private JWK": lambda: json.dumps(ECKey.generate_key("P-256").as_dict(private=True)).encode(),
    "secret": lambda: b'{"kty":"oct","k":"AAAA"}',
    "another curve": lambda: ECKey.generate_key("P-384").as_pem(private=False),
    "Ed448": lambda: OKPKey.generate_key("Ed448").as_pem(private=False),
    "X25519": lambda: json.dumps(OKPKey.generate_key("X25519").as_dict(private=False)).encode(),
    "too many": lambda: b"".join(public_pem() for _ in range(9)),
    "nothing": lambda: b"",
    "no keys": lambda: b'{"keys":[]}',
    "a list": lambda: b"[]",
    "a number": lambda: b"5",
    "deep": lambda: b"[" * 60_000,
    "keys that are none": lambda: b'{"keys":[5,null]}',
    "half a key": lambda: b'{"kty":"EC","crv":"P-256","x":"AA"}',
    "a point off the curve": lambda: b'{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}',
    "coordinates as numbers": lambda: b'{"kty":"EC","crv":"P-256","x":1,"y":2}',
    "twice the same kid": lambda: json.dumps(
        {"keys": [jwk(ECKey.generate_key("P-256"), kid="a"), jwk(ECKey.generate_key("P-256"), kid="a")]}
    ).encode(),
    "long kid": lambda: json.dumps(jwk(ECKey.generate_key("P-256"), kid="a" * 129)).encode(),
    "damaged PEM": lambda: public_pem().replace(b"M", b"N", 1),
    "large": lambda: b" " * 70_000,
    "a certificate": lambda: b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("name", sorted(KEY_FILES))
def test_files_that_hold_no_public_key_are_refused(name):
    with pytest.raises(Refused) as refused:
        read_keys(KEY_FILES[name]())
    assert refused.value.code == "KEY_REFUSED"


def test_a_small_rsa_key_is_refused():
    with pytest.warns(UserWarning, match="2048"):
        pem = RSAKey.generate_key(1024).as_pem(private=False)
    with pytest.raises(Refused, match="2048"):
        read_keys(pem)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_files_that_hold_no_certificate_are_refused(data):
    with pytest.raises(Refused, match="certificates"):
        read_certificates(data)


def test_who_stands_behind_a_caller_is_named_for_agents_and_systems_alone(vault):
    keyring = vault.parts.keyring
    agent = Actor("a.martin", Role.AGENT, administration_id="mairie-specimen")
    system = Actor("sys_x", Role.SYSTEM, administration_id="mairie-specimen", agent="a.martin")
    named = pseudonym_of(keyring, agent)
    assert named.startswith("agt_")
    assert "martin" not in named
    assert pseudonym_of(keyring, system) == named
    assert pseudonym_of(keyring, Actor("sys_x", Role.SYSTEM, administration_id="mairie-specimen")) == ""
    assert pseudonym_of(keyring, Actor("sys_x", Role.SYSTEM, agent="a.martin")) == ""
    assert pseudonym_of(keyring, Actor("camille", Role.HOLDER, administration_id="mairie-specimen")) == ""


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(build(("systems",)), ["systems", *words])
    return result.exit_code, result.output


def test_the_command_line_registers_lists_changes_and_ends(tmp_path):
    settings = Settings(data=tmp_path / "data")
    with_vault(settings, lambda vault: None)
    data = ("--data", str(settings.data))
    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    first.write_bytes(public_pem())
    second.write_bytes(public_pem())
    named = (
        "--name",
        "État civil 3",
        "--scope",
        "acts:issue",
        "--scope",
        "acts:read",
        "--key",
        str(first),
        *data,
    )
    code, client_id = run("add", *named, "--administration", "mairie-specimen", "--service", "etat-civil")
    client_id = client_id.strip()
    assert (code, client_id[:4]) == (0, "sys_")
    assert run("add", *named)[0] == 2
    assert run("add", *named, "--portal", "--administration", "mairie-specimen")[0] == 2
    code, portal = run("add", *named, "--portal")
    assert code == 0
    code, told = run("add", *named, "--administration", "nobody")
    assert (code, "UNKNOWN_ADMINISTRATION" in told) == (1, True)
    code, told = run("rotate-key", client_id, "--key", str(second), "--keep", *data)
    assert (code, told.count("kid")) == (0, 2)
    code, told = run("rotate-key", client_id, "--key", str(second), *data)
    assert (code, told.count("kid")) == (0, 1)
    assert run("end", client_id, *data)[0] == 0
    code, told = run("end", "sys_00000000000000000000000000", *data)
    assert (code, "UNKNOWN_SYSTEM" in told) == (1, True)
    code, told = run("list", "--json", *data)
    listed = {each["client_id"]: each for each in json.loads(told)}
    assert listed[client_id]["ended_at"]
    assert listed[client_id]["scopes"] == ["acts:issue", "acts:read"]
    assert listed[portal.strip()]["administration"] is None
    code, told = run("list", *data)
    assert (code, told.count("\n")) == (0, 2)
    assert "État civil 3" in told
