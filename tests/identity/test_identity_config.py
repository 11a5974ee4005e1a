"""The providers' file: strict, in plain words, without a secret in any of them; and what claims mean."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.base import ClaimMap
from identity.claims import attributes_of, email_of, name_of, shown
from identity.config import load_providers
from identity.errors import IdentityError, ProviderMisconfigured

ROOT = Path(__file__).resolve().parents[2]
SECRET = "the secret of a test provider"
GOOD: dict[str, Any] = {
    "name": "ville",
    "issuer": "https://id.example/oidc",
    "client_id": "coffre",
    "client_secret_file": "ville.secret",
    "label_fr": "Compte de la ville",
    "label_en": "Town account",
    "acr": {"eidas1": "low", "eidas2": "substantial"},
    "acr_default": "eidas1",
    "timeout_s": 3,
    "claims": {
        "name": ["given_name", "family_name"],
        "attributes": {"role": "groups", "administration": "site"},
        "values": {"role": {"GESTIONNAIRE": "agent"}},
        "fixed": {"service": "etat-civil"},
    },
}


def write(folder: Path, *providers: dict[str, Any], name: str = "providers.json") -> Path:
    (folder / "ville.secret").write_text(f"{SECRET}\n")
    path = folder / name
    path.write_text(json.dumps({"provider": providers}))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ProviderMisconfigured) as caught:
        load_providers(path)
    assert caught.value.code == "IDENTITY_MISCONFIGURED"
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_file_of_providers(tmp_path: Path) -> None:
    second = {**GOOD, "name": "etat", "issuer": "https://autre.example"}
    first, other = load_providers(write(tmp_path, GOOD, second))
    assert (first.name, other.name) == ("ville", "etat")
    assert first.client_secret == SECRET
    assert SECRET not in repr(first)
    assert first.timeout_s == 3.0
    assert first.acr == {"eidas1": "low", "eidas2": "substantial"}
    assert first.claims.fixed == {"service": "etat-civil"}
    assert first.authentication == "client_secret_basic"


def test_toml_says_the_same(tmp_path: Path) -> None:
    expected = load_providers(write(tmp_path, GOOD))
    lines = ["[[provider]]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in GOOD.items() if not isinstance(value, dict)]
    lines += ["[provider.acr]", *(f'{key} = "{value}"' for key, value in GOOD["acr"].items())]
    lines += ["[provider.claims]", 'name = ["given_name", "family_name"]']
    lines += ["[provider.claims.attributes]", 'role = "groups"', 'administration = "site"']
    lines += ["[provider.claims.values.role]", 'GESTIONNAIRE = "agent"']
    lines += ["[provider.claims.fixed]", 'service = "etat-civil"']
    path = tmp_path / "providers.toml"
    path.write_text("\n".join(lines))
    assert load_providers(path) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"isuer": "x"}, "`provider.1.isuer` is not known"),
        ({"issuer": None}, "`provider.1.issuer` is missing"),
        ({"issuer": "http://id.example"}, "neither https nor this machine"),
        ({"issuer": "https://id.example?x=1"}, "no query"),
        ({"name": "Ville"}, "`provider.1.name`"),
        ({"name": "ville\n"}, "`provider.1.name`"),
        ({"client_id": ""}, "`provider.1.client_id`"),
        ({"client_secret_file": None}, "client_secret_basic needs `client_secret_file`"),
        ({"client_secret_file": "absent"}, "absent cannot be read: No such file"),
        ({"client_key_file": "k.pem"}, "does not use `client_key_file`"),
        ({"authentication": "private_key_jwt"}, "private_key_jwt needs `client_key_file`"),
        ({"authentication": "none"}, "`provider.1.authentication`"),
        ({"algorithms": ["none"]}, "`none` is not accepted"),
        ({"algorithms": ["RS256", "HS256"]}, "`HS256` is not accepted"),
        ({"algorithms": []}, "`provider.1.algorithms`"),
        ({"scopes": ["a b"]}, "is no scope"),
        ({"acr": {"x": "strong"}}, "`provider.1.acr.x`"),
        ({"acr_default": "eidas9"}, "`acr_default` is not among `acr`"),
        ({"timeout_s": 0}, "`provider.1.timeout_s`"),
        ({"timeout_s": "3"}, "`provider.1.timeout_s`"),
        ({"login_s": 601}, "`provider.1.login_s`"),
        ({"userinfo": 1}, "`provider.1.userinfo`"),
        ({"claims": {"values": {"role": {}}}}, "`values` names role"),
        ({"claims": {"fixed": {"Role": "agent"}}}, "`Role` is no attribute"),
        ({"claims": {"name": "name"}}, "`provider.1.claims.name`"),
    ],
)
def test_what_is_not_understood_is_refused_in_plain_words(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    provider = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    assert words in refused(write(tmp_path, provider))


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "two providers have the name" in refused(
        write(tmp_path, GOOD, {**GOOD, "issuer": "https://b.example"})
    )
    assert "two providers have the issuer" in refused(write(tmp_path, GOOD, {**GOOD, "name": "autre"}))
    assert "`provider`" in refused(write(tmp_path))
    assert "cannot be read" in refused(tmp_path / "absent.json")
    (tmp_path / "ville.secret").write_text("short")
    path = tmp_path / "providers.json"
    path.write_text(json.dumps({"provider": [GOOD]}))
    assert "fewer than 16" in refused(path)
    for content in (b"{", b"\xff", b'{"provider":[],"provider":[]}', b"[" * 50_000, b"[]", b"x" * 300_000):
        path.write_bytes(content)
        refused(path)
    toml = tmp_path / "providers.toml"
    for content in (b"provider = 2026-01-01", b"x = inf", b"=", b"provider = [[["):
        toml.write_bytes(content)
        refused(toml)


@given(st.text(max_size=200))
def test_any_file_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(content, errors="replace")
    with pytest.raises(IdentityError):
        load_providers(path)


def test_the_examples_of_the_documentation_are_taken(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "identity.md").read_text("utf-8")
    blocks = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        for provider in tomllib.loads(block)["provider"]:
            for member in ("client_secret_file", "client_key_file"):
                if member in provider:
                    secret = tmp_path / provider[member]
                    secret.parent.mkdir(parents=True, exist_ok=True)
                    secret.write_text(SECRET)
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        assert load_providers(path)


def test_names_can_stand_anywhere() -> None:
    wanted = ClaimMap(name=("given_name", "family_name"))
    assert name_of({"given_name": "Camille", "family_name": "Exemple"}, wanted) == "Camille Exemple"
    assert (
        name_of({"given_name": " Zoe\u0308\r\nX-Header: 1 ", "family_name": None}, wanted)
        == "Zoë X-Header: 1"
    )
    assert name_of({"given_name": "a\u202eb\u200b\x00c\u2028d\ud800"}, wanted) == "ab c d"
    assert len(name_of({"given_name": "x" * 5000}, wanted)) == 200
    assert name_of({"given_name": ["Camille"]}, wanted) == ""


@given(st.text())
def test_shown_texts_have_one_line_and_stay_as_they_are(text: str) -> None:
    once = shown(text)
    assert once == shown(once)
    assert once.isprintable()


@pytest.mark.parametrize(
    ("claims", "address"),
    [
        ({"email": "a@b.example", "email_verified": True}, "a@b.example"),
        ({"email": "a@b.example"}, ""),
        ({"email": "a@b.example", "email_verified": "true"}, ""),
        ({"email": "a@b.example", "email_verified": False}, ""),
        ({"email": "a@b.example\r\nBcc: c@d.example", "email_verified": True}, ""),
        ({"email": "a@b", "email_verified": True}, ""),
        ({"email": "<a@b.example>", "email_verified": True}, ""),
        ({"email": "a" * 65 + "@b.example", "email_verified": True}, ""),
        ({"email": ["a@b.example"], "email_verified": True}, ""),
        ({"email_verified": True}, ""),
    ],
)
def test_addresses_count_when_verified(claims: dict[str, Any], address: str) -> None:
    assert email_of(claims, ClaimMap()) == address


def test_an_address_may_be_trusted_by_configuration() -> None:
    assert email_of({"email": "a@b.example"}, ClaimMap(email_trusted=True)) == "a@b.example"
    assert email_of({"email": "a@b.example"}, ClaimMap(email="")) == ""


def test_attributes() -> None:
    wanted = ClaimMap(
        attributes={"role": "groups", "administration": "site"},
        values={"role": {"CHEF": "officer", "GESTIONNAIRE": "agent"}},
        fixed={"service": "paie"},
    )
    assert attributes_of({"groups": ["GESTIONNAIRE", "CHEF", "x"], "site": 12}, wanted) == {
        "role": "officer",
        "administration": "12",
        "service": "paie",
    }
    assert attributes_of({"groups": "operator", "site": ["a", "b"]}, wanted) == {"service": "paie"}
    assert attributes_of({"groups": {"x": 1}, "site": "a\nb"}, wanted) == {"service": "paie"}
    assert attributes_of({"service": "rh", "site": True}, wanted)["service"] == "paie"
    escalated = ClaimMap(attributes={"role": "role"}, fixed={"role": "holder"})
    assert attributes_of({"role": "operator"}, escalated) == {"role": "holder"}
