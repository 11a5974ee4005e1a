"""The access table, every cell; purposes; descriptions; keys of requests; personas; settings."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vault.access import (
    HOLDER_PURPOSE,
    MANDATE_SCOPES,
    RULES,
    SYSTEM_SCOPES,
    Action,
    Relation,
    checked_purpose,
    demand,
    is_allowed,
    said_purpose,
)
from vault.core.keyring import Keyring
from vault.db.twins import TwinGuard
from vault.domain.actors import ANONYMOUS, Actor, Role
from vault.domain.documents import NewDocument
from vault.errors import Conflict, NotFound, Refused, SettingsRefused, VaultError
from vault.files.fields import check_description
from vault.people import personas
from vault.records.idempotency import Idempotency
from vault.settings import Settings

OWN, OTHER = "safe_own", "safe_other"
MAIRIE, EMPLOYEUR = "mairie", "employeur"

# Written out by hand, apart from the table in the code: who may do what to a document that is whose.
DOCUMENT_ACTIONS = (
    Action.ISSUE, Action.DEPOSIT, Action.LIST, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT,
    Action.KEYS, Action.REVOKE, Action.DESTROY,
)  # fmt: skip
_SEEN = {Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT}
ALLOWED = {
    Role.HOLDER: {"own": {Action.DEPOSIT, Action.LIST, Action.KEYS, *_SEEN}, "other": set()},
    Role.AGENT: {"own": {Action.ISSUE, Action.REVOKE, *_SEEN}, "other": set()},
    Role.SYSTEM: {"own": {Action.ISSUE, Action.REVOKE, *_SEEN}, "other": set()},
    Role.AUDITOR: {"own": {Action.DESCRIBE, Action.RECEIPT}, "other": {Action.DESCRIBE, Action.RECEIPT}},
    Role.OPERATOR: {"own": {Action.DESTROY}, "other": {Action.DESTROY}},
    Role.MANDATARY: {"own": set(), "other": set()},
    Role.OFFICER: {"own": set(), "other": set()},
    Role.BEARER: {"own": set(), "other": set()},
    Role.ANONYMOUS: {"own": set(), "other": set()},
}
SCOPES = frozenset(SYSTEM_SCOPES.values())


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, DOCUMENT_ACTIONS)))
def test_every_cell_of_the_table(role: Role, action: Action) -> None:
    """Whatever identifiers the actor carries beside the role, only the role's own relation counts."""
    actor = Actor("x", role, safe_id=OWN, administration_id=MAIRIE, scopes=SCOPES)
    own_safe = {"safe_id": OWN, "issuer_id": EMPLOYEUR}
    own_acts = {"safe_id": OTHER, "issuer_id": MAIRIE}
    neither = {"safe_id": OTHER, "issuer_id": EMPLOYEUR}
    of_office = role in {Role.AGENT, Role.SYSTEM}
    own = own_acts if of_office else own_safe
    foreign = own_safe if of_office else own_acts
    assert is_allowed(actor, action, **own) is (action in ALLOWED[role]["own"])
    assert is_allowed(actor, action, **foreign) is (action in ALLOWED[role]["other"])
    assert is_allowed(actor, action, **neither) is (action in ALLOWED[role]["other"])
    bare = Actor("x", role, scopes=SCOPES)
    for target in (own, foreign, neither, {"safe_id": None, "issuer_id": None}):
        assert is_allowed(bare, action, **target) is (action in ALLOWED[role]["other"])


@pytest.mark.parametrize("action", list(Action))
def test_a_system_needs_the_scope_of_each_action(action: Action) -> None:
    needed = SYSTEM_SCOPES.get(action)
    with_others = Actor("x", Role.SYSTEM, administration_id=MAIRIE, scopes=SCOPES - {needed})
    assert not is_allowed(with_others, action, safe_id=None, issuer_id=MAIRIE)
    with_it = Actor("x", Role.SYSTEM, administration_id=MAIRIE, scopes=frozenset({needed or ""}))
    allowed = (Role.SYSTEM, action, Relation.OWN_ADMINISTRATION) in RULES
    assert is_allowed(with_it, action, safe_id=None, issuer_id=MAIRIE) is (allowed and needed is not None)
    assert allowed is (needed is not None)


def test_operators_and_officers_never_read() -> None:
    content = {Action.READ, Action.EVIDENCE, Action.DESCRIBE, Action.LIST, Action.KEYS, Action.EXPORT}
    assert not {(role, action) for role, action, _ in RULES if role in {Role.OPERATOR, Role.OFFICER}} & set(
        itertools.product((Role.OPERATOR, Role.OFFICER), content)
    )
    assert {
        relation for role, action, relation in RULES if role is Role.AUDITOR and action is Action.READ
    } == {Relation.CONSENT, Relation.REQUISITION}


def test_no_mandate_gives_more_than_its_holder_has() -> None:
    of_holders = {action for role, action, _ in RULES if role is Role.HOLDER}
    given = set().union(*MANDATE_SCOPES.values())
    assert given <= of_holders
    assert given == {action for role, action, _ in RULES if role is Role.MANDATARY}
    assert not given & {Action.KEYS, Action.EXPORT, Action.CONTACTS, Action.MANDATE_GRANT, Action.CLOSURE_ASK}


def test_who_has_no_safe_is_not_at_home_in_a_document_without_one() -> None:
    for role in (Role.HOLDER, Role.AGENT):
        assert not is_allowed(Actor("x", role), Action.READ, safe_id=None, issuer_id=None)
    with pytest.raises(NotFound, match="NOT_FOUND"):
        demand(ANONYMOUS, Action.LIST, safe_id=OWN)


@pytest.mark.parametrize("purpose", ["", "Contrôle", "a b", "x" * 65, "-a", "a\n", "é"])
def test_purposes_of_another_shape_are_refused(purpose: str) -> None:
    with pytest.raises(Refused, match="PURPOSE_REQUIRED"):
        checked_purpose(Actor("x", Role.AGENT), purpose)
    assert said_purpose(purpose) == ""


def test_a_holder_need_not_say_why() -> None:
    assert checked_purpose(Actor("x", Role.HOLDER), "") == HOLDER_PURPOSE
    assert (
        checked_purpose(Actor("x", Role.HOLDER), "demarche-12")
        == said_purpose("demarche-12")
        == "demarche-12"
    )
    with pytest.raises(Refused):
        checked_purpose(Actor("x", Role.HOLDER), "Pas un motif")


GOOD = {"holder": "camille", "title": "Acte de naissance d’Élodie", "file_name": "a.pdf"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", " \u00a0"),
        ("title", "x" * 301),
        ("title", "a\x00b"),
        ("title", "a\nb"),
        ("title", "a\u202eb"),
        ("title", "a\u200bb"),
        ("title", "a\ud800"),
        ("title", "\ue000"),
        ("title", "\u0378"),
        ("title", "a\u2028b"),
        ("holder", ""),
        ("holder", "x" * 129),
        ("holder", "a\x7f"),
        ("case", "x" * 129),
        ("case", "\u2066"),
        ("document_type", "Acte"),
        ("document_type", "a" * 65),
        ("document_type", "-a"),
        ("document_type", "a\n"),
        ("language", "f"),
        ("language", "fr_FR"),
        ("language", "fr-" + "a" * 40),
        ("language", "fr\n"),
        ("supersedes", ""),
        ("supersedes", "doc_1"),
        ("supersedes", "safe_00000000000000000000000000"),
        ("supersedes", "doc_00000000000000000000000000\n"),
    ],
)
def test_a_field_of_another_shape_is_refused_by_name(field: str, value: str) -> None:
    with pytest.raises(Refused) as caught:
        check_description(NewDocument(**{**GOOD, field: value}))  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.params) == ("FIELD_INVALID", {"field": field})


def test_fields_as_people_write_them_are_accepted() -> None:
    new = NewDocument(
        **GOOD, document_type="acte-de-naissance", case="DEM-2026/001 é", language="fr-MC",
        supersedes="doc_00000000000000000000000000",
    )  # fmt: skip
    check_description(new)
    check_description(NewDocument(**GOOD))


@given(st.text(max_size=400))
def test_any_title_is_accepted_or_refused_by_name(title: str) -> None:
    with suppress(Refused):
        check_description(NewDocument("camille", title, "a.pdf"))
        title.encode()


class _Wrapper:
    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        return key

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        return wrapped


@pytest.fixture
def idempotency(tmp_path: Path) -> Idempotency:
    return Idempotency(Keyring(_Wrapper(), b"i" * 32), TwinGuard(tmp_path))


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "IDEMPOTENCY_KEY_REQUIRED"),
        (" ", "IDEMPOTENCY_KEY_INVALID"),
        ("a b", "IDEMPOTENCY_KEY_INVALID"),
        ("é", "IDEMPOTENCY_KEY_INVALID"),
        ("a\n", "IDEMPOTENCY_KEY_INVALID"),
        ("a" * 256, "IDEMPOTENCY_KEY_INVALID"),
        ("\ud800", "IDEMPOTENCY_KEY_INVALID"),
    ],
)
def test_keys_of_another_shape_are_refused(idempotency: Idempotency, key: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        idempotency.scope(Actor("x", Role.HOLDER), "acts", key)
    assert caught.value.code == code


def test_a_key_belongs_to_one_caller_and_route(idempotency: Idempotency) -> None:
    agent, holder = Actor("x", Role.AGENT), Actor("x", Role.HOLDER)
    scopes = {
        idempotency.scope(agent, "acts", "k" * 255),
        idempotency.scope(agent, "acts", "k"),
        idempotency.scope(agent, "attachments", "k"),
        idempotency.scope(holder, "acts", "k"),
        idempotency.scope(Actor("y", Role.AGENT), "acts", "k"),
        idempotency.scope(Actor("xa", Role.AGENT), "cts", "k"),
    }
    assert len(scopes) == 6
    assert idempotency.scope(agent, "acts", "k") in scopes


def test_a_twin_is_kept_out_by_any_thread_and_let_in_after(idempotency: Idempotency) -> None:
    scope = idempotency.scope(Actor("x", Role.AGENT), "acts", "k")
    other = idempotency.scope(Actor("x", Role.AGENT), "acts", "other")
    with idempotency.alone(scope):
        with pytest.raises(Conflict, match="TWIN_RUNNING"), idempotency.alone(scope):
            raise AssertionError("both ran")
        with idempotency.alone(other):
            pass
    with pytest.raises(ZeroDivisionError), idempotency.alone(scope):
        raise ZeroDivisionError
    with idempotency.alone(scope):
        pass


def test_requests_differ_by_body_and_by_each_member(idempotency: Idempotency) -> None:
    base = {"a": 1, "b": "x"}
    seen = {
        idempotency.request(base, b"\0" * 32),
        idempotency.request(base, b"\1" * 32),
        idempotency.request({**base, "b": "y"}, b"\0" * 32),
        idempotency.request({**base, "c": None}, b"\0" * 32),
    }
    assert len(seen) == 4
    assert idempotency.request({"b": "x", "a": 1}, b"\0" * 32) in seen


# Personas


@pytest.fixture
def people(tmp_path: Path) -> personas.Personas:
    tokens = personas.load_tokens(tmp_path / "personas.json")
    assert personas.load_tokens(tmp_path / "personas.json") == tokens  # drawn once
    assert (tmp_path / "personas.json").stat().st_mode & 0o077 == 0
    return personas.build_personas(tokens, {holder: f"safe_{holder}" for holder in personas.HOLDERS})


def test_each_persona_is_known_by_its_own_token_alone(people: personas.Personas) -> None:
    tokens = [persona.token for persona in people.all()]
    assert len(set(tokens)) == len(tokens)
    for persona in people.all():
        assert people.authenticate(persona.token) == persona.actor
        assert persona.token not in repr(persona)
        for wrong in (persona.token[:-1], persona.token + "x", persona.token.upper(), f" {persona.token}"):
            assert people.authenticate(wrong) is None
    for wrong in ("", "dev-camille-", "\0", "é", "\ud800"):
        assert people.authenticate(wrong) is None


def test_personas_have_the_rights_of_their_quality_only(people: personas.Personas) -> None:
    for persona in people.all():
        actor = persona.actor
        assert (actor.safe_id is not None) is (actor.role is Role.HOLDER)
        assert (actor.administration_id is not None) is (actor.role is Role.AGENT)
    with pytest.raises(VaultError):
        people.named("nobody")


# Settings


@pytest.mark.parametrize(
    "values",
    [
        {"environment": "staging"},
        {"retention_days": -1},
        {"retention_days": 146_098},
        {"max_upload_bytes": 0},
        {"publish_interval": float("inf")},
        {"tsa_tolerance": float("nan")},
        {"tsa_timeout": 0},
        {"seal_algorithm": "rsa"},
        {"access_window_minutes": 0},
        {"retntion_days": 1},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**values)  # type: ignore[arg-type]


def test_production_refuses_what_would_weaken_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    cabinet = {"key_cabinet": tmp_path / "cabinet.json", "key_roots": tmp_path / "roots.pem"}
    apart = {**cabinet, "keys": tmp_path / "keys"}
    for values, word in (
        ({}, "PROBANS_KEY_CABINET"),
        ({"key_cabinet": tmp_path / "cabinet.json"}, "PROBANS_KEY_ROOTS"),
        ({"key_roots": tmp_path / "roots.pem"}, "PROBANS_KEY_CABINET"),
        (cabinet, "PROBANS_KEYS"),
        ({**cabinet, "keys": data / "keys"}, "PROBANS_KEYS"),
        ({**cabinet, "keys": data / "x/../k"}, "PROBANS_KEYS"),
        ({**apart, "key_encryption": data / "kek"}, "PROBANS_KEY_ENCRYPTION"),
        ({**apart, "key_cabinet": data / "cabinet.json"}, "PROBANS_KEY_CABINET"),
        (apart, "PROBANS_ADDRESS"),
        ({**apart, "address": "http://coffre.example"}, "PROBANS_ADDRESS"),
        ({**apart, "address": "https://coffre.example"}, "PROBANS_IDENTITY_PROVIDERS"),
    ):
        with pytest.raises(SettingsRefused, match=word):
            Settings(data=data, environment="production", **values).check()  # type: ignore[arg-type]
    Settings(
        data=data,
        environment="production",
        **apart,  # type: ignore[arg-type]
        address="https://coffre.example",
        identity_providers=tmp_path / "providers.toml",
    ).check()


def test_settings_come_from_the_environment_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBANS_RETENTION_DAYS", "7")
    settings = Settings()
    assert settings.retention_days == 7
    with pytest.raises(ValidationError):
        settings.retention_days = 0  # type: ignore[misc]
