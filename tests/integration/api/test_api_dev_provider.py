"""The development provider over HTTP: a client of another kind logs in there; nobody else is answered."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi import FastAPI
from joserfc import jwk, jwt
from starlette.testclient import TestClient

from api.app import create_app
from identity.oidc import challenge_of
from vault.domain.actors import Role
from vault.errors import SettingsRefused
from vault.service import Vault
from vault.settings import Settings

ORIGIN = "http://127.0.0.1"
VERIFIER = "v" * 43


def asked(**changed: str) -> dict[str, str]:
    return {
        "response_type": "code",
        "client_id": "probans",
        "redirect_uri": f"{ORIGIN}/connexion/retour",
        "scope": "openid",
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        **changed,
    }


def chosen(client: TestClient, page: str, **fields: str) -> dict[str, str]:
    """Send the page's form as a browser does; return the parameters of the answer."""
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    sent = {name: value.replace("&amp;", "&") for name, value in hidden.items()} | fields
    answer = client.post("/dev-identity/authorize", data=sent, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].startswith(f"{ORIGIN}/connexion/retour?")
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def test_a_person_is_chosen_and_logged_in(client: TestClient, safe: Vault) -> None:
    described = client.get("/dev-identity/.well-known/openid-configuration").json()
    assert described["issuer"] == f"{ORIGIN}/dev-identity"
    page = client.get(described["authorization_endpoint"], params=asked(acr_values="high"))
    assert page.status_code == 200
    assert "Délégué à la protection des données" in page.text
    assert '<option value="high" selected>' in page.text
    assert "made up" in client.get(described["authorization_endpoint"], params=asked(lang="en")).text
    answer = chosen(client, page.text, persona="delegue", assurance="high")
    assert (answer["state"], answer["iss"]) == ("a state", described["issuer"])
    development = safe.parts.identities.development
    assert development is not None
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": f"{ORIGIN}/connexion/retour",
        "code_verifier": VERIFIER,
    }
    assert client.post(described["token_endpoint"], data=form).json() == {"error": "invalid_client"}
    secret = ("probans", development.client_secret)
    tokens = client.post(described["token_endpoint"], data=form, auth=secret).json()
    keys = jwk.KeySet.import_key_set(client.get(described["jwks_uri"]).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
    assert (claims["sub"], claims["role"], claims["acr"]) == ("delegue", Role.OFFICER.value, "high")
    assert "d" not in client.get(described["jwks_uri"]).json()["keys"][0]
    again = client.post(described["token_endpoint"], data=form, auth=secret)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})
    back = {"post_logout_redirect_uri": f"{ORIGIN}/", "state": "x"}
    left = client.get(described["end_session_endpoint"], params=back, follow_redirects=False)
    assert left.headers["Location"] == f"{ORIGIN}/?state=x"
    evil = {"post_logout_redirect_uri": "https://evil.example/"}
    left = client.get(described["end_session_endpoint"], params=evil, follow_redirects=False)
    assert left.headers["Location"] == "/"


def test_the_usual_relying_party_logs_in(client: TestClient, safe: Vault) -> None:
    (provider,) = safe.parts.identities.providers.all()
    start = provider.begin(f"{ORIGIN}/connexion/retour")
    page = client.get(start.url)
    answer = chosen(client, page.text, persona="agent-paie", assurance="low")
    proven = provider.finish(start, answer, f"{ORIGIN}/connexion/retour")
    assert proven.attributes == {"role": "agent", "administration": "employeur-specimen", "service": "paie"}
    assert proven.assurance == "low"
    start = provider.begin(f"{ORIGIN}/connexion/retour")
    assert chosen(client, client.get(start.url).text, persona="", assurance="low")["error"] == "access_denied"


def test_requests_that_lead_elsewhere_and_forms_of_others_are_refused(client: TestClient) -> None:
    for changed in ({"redirect_uri": "https://evil.example/"}, {"client_id": "x"}, {"code_challenge": ""}):
        assert client.get("/dev-identity/authorize", params=asked(**changed)).status_code == 422
    page = client.get("/dev-identity/authorize", params=asked()).text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    sent = {**hidden, "asked": "", "persona": "camille", "assurance": "low"}
    assert client.post("/dev-identity/authorize", data=sent, follow_redirects=False).status_code == 422
    (token_field,) = [name for name in hidden if name != "asked"]
    forged = {**sent, "asked": hidden["asked"].replace("&amp;", "&"), token_field: "x" * 43}
    assert client.post("/dev-identity/authorize", data=forged, follow_redirects=False).status_code >= 400


def test_it_answers_this_machine_alone(app: FastAPI) -> None:
    far = TestClient(app, base_url=ORIGIN, client=("203.0.113.7", 50000), raise_server_exceptions=False)
    for path in ("/.well-known/openid-configuration", "/jwks", "/authorize", "/logout"):
        assert far.get(f"/dev-identity{path}").status_code == 404
    assert far.post("/dev-identity/token").status_code == 404
    assert far.post("/dev-identity/authorize").status_code == 404


def test_with_a_providers_file_it_is_not_there(
    safe: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vault import bootstrap

    named = tmp_path / "providers.toml"
    (tmp_path / "secret").write_text("a secret of a test provider")
    named.write_text(
        '[[provider]]\nname = "un"\nissuer = "https://un.example"\nclient_id = "c"\n'
        'client_secret_file = "secret"\nlabel_fr = "Un"\nlabel_en = "One"\n'
    )
    settings = Settings(data=tmp_path, identity_providers=named)
    identities = bootstrap.open_identities(settings, safe.parts.clock)
    assert identities.development is None
    assert [each.config.name for each in identities.providers.all()] == ["un"]
    monkeypatch.setattr(safe.parts, "identities", identities)
    without = TestClient(create_app(safe), base_url=ORIGIN, client=("127.0.0.1", 50000))
    assert without.get("/dev-identity/jwks").status_code == 404
    named.write_text("[[provider]]\nnom = 1\n")
    with pytest.raises(SettingsRefused, match=r"providers\.toml: `provider\.1\."):
        bootstrap.open_identities(settings, safe.parts.clock)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "dev-identity.pem").write_text("nonsense")
    with pytest.raises(SettingsRefused, match="key cannot be read"):
        bootstrap.open_identities(Settings(data=tmp_path), safe.parts.clock)
