"""Certified keys in production: where they come from, when they change, and what is refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from signing.base import KeyPurpose
from signing.cabinet import HeldCertificate
from signing.cabinet_sources import Sources
from signing.cabinet_table import RETIRED, Entry, changing, read_table
from signing.crl_cache import CrlCache
from signing.dev_pki import DevPki
from signing.errors import KeyUnusable, SealKeyMissing
from signing.held_cabinet import HeldCabinet, read_chain
from tests.services.authority import Authority
from tests.services.postgresql import Server
from tests.services.softhsm import Tokens
from vault.bootstrap import open_parts, open_vault
from vault.cli.main import build
from vault.clock import SystemClock
from vault.core import faults
from vault.db import models
from vault.db.repositories import Safes
from vault.domain.actors import Actor, Assurance, Role
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.errors import SettingsRefused, Unavailable, VaultError
from vault.observability.expiry import endings
from vault.people.administrations import Administrations
from vault.people.safe_opening import open_safe_within
from vault.service import Vault
from vault.settings import Settings

MAIRIE, OTHER = "mairie-essai", "autre-essai"
PROVIDERS = """
[[provider]]
name = "essai"
issuer = "https://idp.example"
client_id = "coffre"
client_secret_file = "secret"
label_fr = "Essai"
label_en = "Test"
"""


@pytest.fixture
def authority() -> Iterator[Authority]:
    authority = Authority()
    yield authority
    authority.close()


@pytest.fixture
def production(authority: Authority, tmp_path: Path) -> Settings:
    """Settings of production with a whole cabinet, on this machine alone."""
    table = authority.cabinet(tmp_path / "cabinet", MAIRIE)
    (tmp_path / "secret").write_text("a secret of the provider, long enough\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "providers.toml").write_text(PROVIDERS)
    return Settings(
        environment="production",
        data=tmp_path / "data",
        keys=tmp_path / "keys",
        address="https://coffre.example",
        identity_providers=tmp_path / "providers.toml",
        key_cabinet=table,
        key_roots=table.parent / "roots.pem",
        publish_interval=0.05,
    )


def prepare(settings: Settings) -> None:
    open_parts(settings, first_keys=True).close()


@pytest.fixture
def vault(production: Settings) -> Iterator[Vault]:
    prepare(production)
    opened = open_vault(production, background=False)
    furnish(opened)
    yield opened
    faults.install(None)
    opened.close()


def furnish(vault: Vault) -> None:
    """Two administrations and a holder, as an operator and a login bring them."""
    parts = vault.parts
    administrations = Administrations(parts.database, parts.records, parts.clock)
    administrations.add(MAIRIE, "Mairie d’essai")
    administrations.add(OTHER, "Autre administration")
    with parts.database.writing() as connection:
        open_safe_within(
            connection, parts.records, Safes(parts.keyring), "titulaire", "Essai", "2026-11-22T00:00:00.000Z"
        )


def issue(vault: Vault, administration: str, content: bytes, key: str = "k1") -> Outcome:
    agent = Actor("agent", Role.AGENT, administration_id=administration, assurance=Assurance.HIGH)
    new = NewDocument("titulaire", "Acte", "acte.xml", document_type="acte-de-naissance")
    return vault.issuing.issue(agent, administration, new, iter((content,)), Transfer(key))


def holder(vault: Vault) -> Actor:
    with vault.parts.database.reading() as connection:
        safe_id = Safes(vault.parts.keyring).of_holder(connection, "titulaire")
    return Actor("titulaire", Role.HOLDER, safe_id=safe_id, assurance=Assurance.HIGH)


def refusal(settings: Settings) -> SettingsRefused:
    with pytest.raises(SettingsRefused) as caught:
        open_parts(settings, first_keys=True)
    return caught.value


def change(settings: Settings, name: str, **values: object) -> None:
    assert settings.key_cabinet is not None
    with changing(settings.key_cabinet) as entries:
        place = next(index for index, each in enumerate(entries) if each.id == name)
        entries[place] = replace(entries[place], **values)  # type: ignore[arg-type]


# --- a whole start


def seals(vault: Vault) -> None:
    """Act, attachment and evidence bundle, each sealed by the key of its purpose."""
    cabinet = vault.parts.pki
    act = issue(vault, MAIRIE, b"<acte/>")
    assert act.status_code == 201
    person = holder(vault)
    new = NewDocument("titulaire", "Pièce", "demande.xml")
    piece = vault.submissions.deposit(person, new, iter((b"<a/>",)), Transfer("d1"))
    assert piece.status_code == 201
    for outcome, key in (
        (act, cabinet.act_seal(MAIRIE, "")),
        (piece, cabinet.reception_seal),
    ):
        bundle = b"".join(vault.reading.bundle(person, outcome.document_id, "").read(0, None))
        assert key.certificate.public_bytes(Encoding.DER) in bundle
        verdict = vault.verifying.upload(iter((bundle,)))
        assert verdict.as_dict()["verdict"] == "PASSED", verdict.as_json()


def test_production_starts_and_seals_with_the_keys_of_the_cabinet(vault: Vault) -> None:
    assert not isinstance(vault.parts.pki, DevPki)
    assert vault.personas.all() == ()
    assert not (vault.settings.keys_folder / "pki").exists()
    assert not (vault.settings.keys_folder / "personas.json").exists()
    seals(vault)
    stated = {each["sha256"] for each in vault.parts.first_entry()["keys"]["seals"]}
    assert stated == {key.certificate.fingerprint(SHA256()).hex() for key in vault.parts.pki.service_keys()}


@pytest.mark.needs("postgresql")
def test_production_starts_on_a_replicated_postgresql(production: Settings) -> None:
    server = Server()
    standby = server.standby()
    try:
        on_server = production.model_copy(update={"database_url": server.create("safe")})
        assert "synchronous_standby_names" in str(refusal(on_server))
        server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.execute("SELECT pg_reload_conf()")
        while not server.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
            time.sleep(0.05)
        prepare(on_server)
        vault = open_vault(on_server, background=False)
        try:
            furnish(vault)
            seals(vault)
        finally:
            vault.close()
    finally:
        standby.remove()
        server.remove()


def test_production_makes_no_keys_by_itself(production: Settings) -> None:
    """Two hosts that start at once would each make their own."""
    with pytest.raises(SettingsRefused) as caught:
        open_parts(production)
    assert caught.value.code == "KEYS_MISSING"
    assert not production.keys_folder.exists() or not any(production.keys_folder.glob("*.key"))
    prepare(production)
    open_parts(production).close()
    # Of a safe that has begun, keys that are missing are never made again.
    vault = open_vault(production, background=False)
    vault.close()
    (production.keys_folder / "key-encryption.key").unlink()
    assert refusal(production).code == "KEYS_MISSING"


def test_the_cabinet_serves_development_too(production: Settings) -> None:
    settings = production.model_copy(update={"environment": "development", "identity_providers": None})
    vault = open_vault(settings, background=False)
    try:
        assert vault.personas.named("camille")
        agent = vault.personas.named("agent-etat-civil").actor
        new = NewDocument("camille", "Acte", "a.xml")
        with pytest.raises(Unavailable) as caught:
            vault.issuing.issue(agent, "mairie-specimen", new, iter((b"<a/>",)), Transfer("k"))
        assert caught.value.code == "SEAL_KEY_MISSING"
    finally:
        vault.close()


# --- refusals at the start


def development(folder: Path) -> DevPki:
    return DevPki.open(folder / "dev", datetime.now(UTC))


def test_development_roots_are_refused(production: Settings, authority: Authority, tmp_path: Path) -> None:
    assert production.key_roots is not None
    production.key_roots.write_bytes(authority.roots_pem + development(tmp_path).roots_pem())
    caught = refusal(production)
    assert (caught.code, "development PKI" in str(caught)) == ("KEYS_UNUSABLE", True)


@pytest.mark.parametrize("state", ["active", RETIRED])
def test_development_certificates_are_refused_wherever_they_stand(
    production: Settings, authority: Authority, tmp_path: Path, state: str
) -> None:
    assert production.key_cabinet is not None
    key = development(tmp_path).act_seal("x", "X")
    pem = production.key_cabinet.parent / "dev.pem"
    pem.write_bytes(key.certificate.public_bytes(Encoding.PEM))
    authority.key(production.key_cabinet.parent, "old", KeyPurpose.ACT_SEAL, OTHER)
    change(production, "old", state=state, certificates="dev.pem")
    caught = refusal(production)
    assert (caught.code, "development PKI" in str(caught)) == ("KEYS_UNUSABLE", True)


@pytest.mark.parametrize("name", ["reception", "evidence", "timestamp"])
def test_each_key_of_the_service_is_demanded(production: Settings, name: str) -> None:
    change(production, name, state=RETIRED)
    caught = refusal(production)
    assert caught.code == "KEYS_UNUSABLE"
    assert ("PROBANS_TSA_URL" if name == "timestamp" else f"{name}-seal") in str(caught)


def test_an_outside_authority_needs_no_timestamp_key(production: Settings) -> None:
    change(production, "timestamp", state=RETIRED)
    settings = production.model_copy(update={"tsa_url": "https://tsa.example/"})
    prepare(settings)


def spoil_passphrase(folder: Path) -> None:
    (folder / "passphrase").write_text("wrong\n")


def open_passphrase(folder: Path) -> None:
    (folder / "passphrase").chmod(0o644)


def lose_key(folder: Path) -> None:
    (folder / "reception.p12").unlink()


def swap_key(folder: Path) -> None:
    (folder / "reception.p12").write_bytes((folder / "evidence.p12").read_bytes())


def swap_certificate(folder: Path) -> None:
    """Of another reception key."""
    other = Authority()
    other.key(folder, "other", KeyPurpose.RECEPTION_SEAL)
    other.close()
    (folder / "reception.pem").write_bytes((folder / "other.pem").read_bytes())


def spoil_certificate(folder: Path) -> None:
    (folder / "reception.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def spoil_table(folder: Path) -> None:
    (folder / "cabinet.json").write_text('{"format": "probans/key-cabinet/v1", "keys": [{}]}')


def spoil_roots(folder: Path) -> None:
    (folder / "roots.pem").write_bytes((folder / "reception.pem").read_bytes())


def other_roots(folder: Path) -> None:
    other = Authority()
    (folder / "roots.pem").write_bytes(other.roots_pem)
    other.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_passphrase, "does not open"),
        (open_passphrase, "closed to other users"),
        (lose_key, "cannot be read"),
        (swap_key, "another key"),
        (swap_certificate, "belongs to another key"),
        (spoil_certificate, "no certificate"),
        (spoil_table, "a key of the cabinet has"),
        (spoil_roots, "no root"),
        (other_roots, "NO_CERTIFICATE_CHAIN_FOUND"),
    ],
)
def test_what_is_wrong_in_the_cabinet_is_said(
    production: Settings, spoil: Callable[[Path], None], words: str
) -> None:
    assert production.key_cabinet is not None
    spoil(production.key_cabinet.parent)
    caught = refusal(production)
    assert caught.code == "KEYS_UNUSABLE"
    assert words in str(caught)


def test_a_certificate_without_its_purpose_is_refused(production: Settings, authority: Authority) -> None:
    """One key per purpose, said in the certificate: an authority that leaves the policy out serves nobody."""
    assert production.key_cabinet is not None
    folder = production.key_cabinet.parent
    authority.key(folder, "unsaid", KeyPurpose.RECEPTION_SEAL, policies=("2.5.29.32.0",))  # type: ignore[arg-type]
    caught = refusal(production)
    assert "does not state the purpose" in str(caught)


def test_an_expired_certificate_is_none(production: Settings, authority: Authority) -> None:
    assert production.key_cabinet is not None
    change(production, "evidence", state=RETIRED)
    folder = production.key_cabinet.parent
    authority.key(folder, "over", KeyPurpose.EVIDENCE_SEAL, days=-0.01)
    assert "evidence-seal" in str(refusal(production))


# --- one administration's seal is never another's


def test_an_administration_without_a_key_is_refused_until_it_has_one(
    vault: Vault, authority: Authority
) -> None:
    with pytest.raises(Unavailable) as caught:
        issue(vault, OTHER, b"<acte/>")
    assert caught.value.code == "SEAL_KEY_MISSING"
    assert caught.value.params == {"purpose": "act-seal", "administration": OTHER}
    with vault.parts.database.reading() as connection:
        assert connection.execute(select(models.documents)).all() == []
    assert vault.settings.key_cabinet is not None
    authority.key(vault.settings.key_cabinet.parent, "act-other", KeyPurpose.ACT_SEAL, OTHER)
    # Without a restart: and the same idempotency key, since nothing was kept.
    assert issue(vault, OTHER, b"<acte/>").status_code == 201


def test_what_waits_for_a_lost_key_holds_up_nobody_else(
    vault: Vault, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.down = True
    first, second = issue(vault, MAIRIE, b"<a/>", "k1"), None
    new = NewDocument("titulaire", "Pièce", "demande.xml")
    second = vault.submissions.deposit(holder(vault), new, iter((b"<a/>",)), Transfer("d1"))
    assert (first.status_code, second.status_code) == (202, 202)
    authority.down = False
    change(vault.settings, f"act-{MAIRIE}", state=RETIRED)
    assert heal(vault) == 1, "the attachment behind it"
    change(vault.settings, f"act-{MAIRIE}", state="active")
    assert vault.healer.heal() == 0, "it is not tried at each turn"
    monkeypatch.setattr(vault.healer, "_keyless", {})
    assert heal(vault) == 1


def heal(vault: Vault) -> int:
    # A list that could not be had is asked for again after some seconds.
    deadline = time.monotonic() + 20
    while (sealed := vault.healer.heal()) == 0 and time.monotonic() < deadline:
        time.sleep(0.5)
    return sealed


# --- several certificates in time


def test_of_several_certificates_the_newest_that_is_valid_seals(vault: Vault, authority: Authority) -> None:
    assert vault.settings.key_cabinet is not None
    folder, cabinet = vault.settings.key_cabinet.parent, vault.parts.pki
    before = cabinet.reception_seal.certificate
    authority.key(folder, "older", KeyPurpose.RECEPTION_SEAL, began=timedelta(hours=30))  # type: ignore[arg-type]
    authority.key(folder, "future", KeyPurpose.RECEPTION_SEAL, began=-timedelta(hours=1))  # type: ignore[arg-type]
    assert cabinet.reception_seal.certificate == before
    authority.key(folder, "newer", KeyPurpose.RECEPTION_SEAL, began=timedelta(minutes=10))  # type: ignore[arg-type]
    (newer,) = (each for each in cabinet.overview() if each.id == "newer")
    assert cabinet.reception_seal.certificate == newer.chain[0] != before
    new = NewDocument("titulaire", "Pièce", "demande.xml")
    piece = vault.submissions.deposit(holder(vault), new, iter((b"<a/>",)), Transfer("d1"))
    assert piece.status_code == 201
    used = {each.id for each in cabinet.overview() if each.in_use}
    assert used == {"newer", "evidence", "timestamp", f"act-{MAIRIE}"}


def test_nothing_is_sealed_once_an_issuer_is_over(tmp_path: Path, authority: Authority) -> None:
    entry = authority.key(tmp_path, "evidence", KeyPurpose.EVIDENCE_SEAL, days=3000.0)
    now = datetime.now(UTC)
    cabinet = HeldCabinet(tmp_path / "cabinet.json", [authority.root], lambda: now, 1.0)
    assert cabinet.evidence_seal.certificate == cabinet.overview()[0].chain[0]
    now = authority.issuing.not_valid_after_utc + timedelta(days=1)
    assert cabinet.overview()[0].chain[0].not_valid_after_utc > now
    with pytest.raises(SealKeyMissing):
        cabinet.evidence_seal  # noqa: B018 - whether it can be had
    assert not cabinet.overview()[0].in_use, entry.id


def test_a_table_that_is_spoiled_while_the_service_runs_stops_nothing(vault: Vault) -> None:
    assert vault.settings.key_cabinet is not None
    whole = vault.settings.key_cabinet.read_bytes()
    vault.settings.key_cabinet.write_text("{")
    assert issue(vault, MAIRIE, b"<a/>").status_code == 201
    vault.settings.key_cabinet.write_bytes(whole)
    assert vault.parts.pki.reception_seal


def test_anchors_of_a_development_pki_date_nothing_in_production(
    production: Settings, tmp_path: Path
) -> None:
    prepare(production)
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(DevPki.open(tmp_path / "pki", datetime.now(UTC)).roots_pem())
    list_of_them = tmp_path / "authorities.json"
    named = {"name": "essai", "url": "http://127.0.0.1:9/", "trust": "anchors.pem"}
    list_of_them.write_text(json.dumps([named]))
    for change_of in (
        {"tsa_url": "http://127.0.0.1:9/", "tsa_trust": anchors},
        {"tsa_authorities": list_of_them},
        {"anchor_tsa_url": "http://127.0.0.1:9/", "anchor_tsa_trust": anchors},
    ):
        with pytest.raises(SettingsRefused, match="development"):
            open_vault(production.model_copy(update=change_of), background=False)


def test_a_service_that_ends_logs_out_of_its_tokens(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(production)
    closed: list[Sources] = []

    def close(sources: Sources) -> None:
        closed.append(sources)

    monkeypatch.setattr(Sources, "close", close)
    open_vault(production, background=False).close()
    assert len(closed) == 1


def test_in_production_a_token_s_time_is_held_to_the_clock(production: Settings) -> None:
    with pytest.raises(SettingsRefused, match="TSA_TOLERANCE"):
        production.model_copy(update={"tsa_tolerance": 61.0}).check_timestamps(production=True)
    production.check_timestamps(production=True)


def test_revocation_lists_are_fetched_when_they_are_due(vault: Vault, authority: Authority) -> None:
    issue(vault, MAIRIE, b"<a/>", "k1")
    asked = authority.asked
    for number in range(3):
        issue(vault, MAIRIE, f"<a>{number}</a>".encode(), f"n{number}")
    assert authority.asked == asked
    cabinet = vault.parts.pki
    later = datetime.now(UTC) + timedelta(hours=13)
    assert len(cabinet.crls(later)) == 2
    deadline = time.monotonic() + 10
    while authority.asked < asked + 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert authority.asked == asked + 2, "half of their life has passed"
    cabinet.crls(later + timedelta(seconds=30))
    time.sleep(0.2)
    assert authority.asked == asked + 2, "not at every seal"


def test_a_list_that_is_fresh_is_not_waited_for(authority: Authority) -> None:
    hanging = threading.Event()
    certificate = authority.issuing
    lists = [authority.crl("root.crl")]

    def fetch(_chains: object, _timeout: float) -> list[bytes]:
        if hanging.is_set():
            time.sleep(5)
        return lists

    cache, now = CrlCache(1.0, [authority.root], fetch), datetime.now(UTC)
    assert cache.crls([certificate], now) == lists
    hanging.set()
    began = time.monotonic()
    assert cache.crls([certificate], now + timedelta(hours=20)) == lists
    assert time.monotonic() - began < 2


def test_a_revoked_seal_seals_nothing(vault: Vault, authority: Authority) -> None:
    certificate = vault.parts.pki.act_seal(MAIRIE, "").certificate
    authority.revoked[certificate.serial_number] = datetime.now(UTC) - timedelta(minutes=1)
    with pytest.raises(VaultError) as caught:
        issue(vault, MAIRIE, b"<a/>")
    assert caught.value.code == "KEY_UNUSABLE"


# --- the ceremony


class Operator:
    """The command line on a cabinet that is empty at first."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        assert settings.key_cabinet is not None
        self.settings, self.folder = settings, settings.key_cabinet.parent
        for name in ("environment", "keys", "address", "identity_providers", "key_cabinet", "key_roots"):
            monkeypatch.setenv(f"PROBANS_{name.upper()}", str(getattr(settings, name)))
        self.passphrase = self.folder / "new-passphrase"
        self.passphrase.write_text("a passphrase\n")
        self.passphrase.chmod(0o600)

    def run(self, *arguments: str, code: int = 0, group: str = "keys") -> str:
        command = [group, *arguments, "--data", str(self.settings.data)]
        result = CliRunner().invoke(build([group]), command)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    def request(
        self, name: str, purpose: str, *more: str, code: int = 0
    ) -> x509.CertificateSigningRequest | None:
        out = self.folder / f"{name}.csr"
        source = () if "--module" in more else ("--passphrase-file", str(self.passphrase))
        self.run(
            "csr", name, "--purpose", purpose, "--organization", "Mairie d’essai", "--organization-id",
            "NTRFR-123456789", "--common-name", "Cachet", "-o", str(out), *source, *more, code=code,
        )  # fmt: skip
        return x509.load_pem_x509_csr(out.read_bytes()) if code == 0 else None

    def install(self, pem: bytes, code: int = 0) -> str:
        path = self.folder / "given.pem"
        path.write_bytes(pem)
        return self.run("install", str(path), code=code)


@pytest.fixture
def operator(production: Settings, monkeypatch: pytest.MonkeyPatch) -> Operator:
    return Operator(production, monkeypatch)


def test_a_key_is_asked_for_installed_and_used(operator: Operator, authority: Authority) -> None:
    request = operator.request("act-other", "act-seal", "--administration", OTHER)
    assert request is not None
    assert request.is_signature_valid
    entry = read_table(operator.folder / "cabinet.json")[-1]
    assert (entry.state, entry.purpose, entry.administration) == ("waiting", KeyPurpose.ACT_SEAL, OTHER)
    assert (operator.folder / "act-other.p12").stat().st_mode & 0o777 == 0o600
    again = operator.request("act-other", "act-seal", "--administration", OTHER)
    assert again is not None
    assert again.public_key() == request.public_key(), "asked again, the same key"
    operator.request("act-other", "act-seal", "--administration", MAIRIE, code=1)
    operator.install(authority.issue(request))
    listed = json.loads(operator.run("list", "--json"))
    (row,) = (each for each in listed["keys"] if each["id"] == "act-other")
    assert (row["in_use"], row["source"], row["algorithm"]) == (True, "pkcs12", "ecdsa-p256-sha256")
    assert row["days"] in (364, 365)
    assert "Mairie d’essai" in row["subject"]
    assert "act-other" in operator.run("list")
    prepare(operator.settings)
    checked = json.loads(operator.run("check", "--json"))
    assert {each["key"] for each in checked["keys"]} >= {"act-other", "reception", "key-encryption"}
    assert not any(each["problem"] for each in checked["keys"])
    vault = open_vault(operator.settings, background=False)
    try:
        furnish(vault)
        assert issue(vault, OTHER, b"<a/>").status_code == 201
        operator.run("retire", "act-other")
        with pytest.raises(Unavailable):
            issue(vault, OTHER, b"<b/>", "k2")
    finally:
        vault.close()


def test_an_rsa_key_and_a_renewed_certificate(operator: Operator, authority: Authority) -> None:
    request = operator.request("evidence-2", "evidence-seal", "--kind", "rsa-3072")
    assert request is not None
    operator.install(authority.issue(request, began=timedelta(minutes=30)))
    first = read_table(operator.folder / "cabinet.json")[-1]
    operator.install(authority.issue(request, began=timedelta(minutes=20)))
    second = read_table(operator.folder / "cabinet.json")[-1]
    assert (first.id, second.id) == ("evidence-2", "evidence-2")
    assert first.certificates != second.certificates
    assert (operator.folder / first.certificates).exists(), "the certificate before stays"
    row = next(
        each for each in json.loads(operator.run("list", "--json"))["keys"] if each["id"] == "evidence-2"
    )
    assert (row["algorithm"], row["in_use"]) == ("rsassa-pss-sha256", True)


def test_certificates_that_will_not_do_are_refused(
    operator: Operator, authority: Authority, tmp_path: Path
) -> None:
    request = operator.request("reception-2", "reception-seal")
    assert request is not None
    table = (operator.folder / "cabinet.json").read_bytes()

    def refused(pem: bytes, words: str) -> None:
        assert words in " ".join(operator.install(pem, code=1).split())
        assert (operator.folder / "cabinet.json").read_bytes() == table

    other = Authority()
    refused(other.issue(request), "NO_CERTIFICATE_CHAIN_FOUND")
    other.close()
    refused(authority.issue(request, policies=("2.5.29.32.0",)), "does not state the purpose")
    refused(authority.issue(request, days=-0.01), "EXPIRED")
    refused(authority.issue(request, began=timedelta(0)), "TRY_LATER")
    pem = authority.issue(request)
    serial = x509.load_pem_x509_certificates(pem)[0].serial_number
    authority.revoked[serial] = datetime.now(UTC) - timedelta(minutes=1)
    refused(pem, "REVOKED")
    authority.down = True
    refused(authority.issue(request), "TRY_LATER")
    authority.down = False
    strange = development(tmp_path).reception_seal.certificate.public_key()
    refused(authority.issue(strange, purpose=KeyPurpose.RECEPTION_SEAL), "no key of the cabinet")  # type: ignore[arg-type]
    refused(b"nothing", "no certificate")
    operator.install(authority.issue(request))


def test_secrets_come_from_files_that_others_cannot_read(operator: Operator) -> None:
    operator.passphrase.chmod(0o644)
    operator.request("reception-2", "reception-seal", code=1)
    assert not (operator.folder / "reception-2.p12").exists()
    operator.run(
        "csr", "x", "--purpose", "timestamp", "--organization", "O", "--organization-id", "NTRFR-1",
        "--common-name", "C", "-o", str(operator.folder / "x.csr"), code=2,
    )  # fmt: skip


@pytest.mark.needs("softhsm2")
def test_a_key_in_a_token_seals(operator: Operator, authority: Authority, softhsm_tokens: Tokens) -> None:
    place = softhsm_tokens.new("cabinet-seal")
    request = operator.request(
        "act-token", "act-seal", "--administration", OTHER, "--module", str(place.module), "--token", place.label,
        "--pin-file", str(softhsm_tokens.pin_file),
    )  # fmt: skip
    assert request is not None
    assert request.is_signature_valid
    operator.install(authority.issue(request))
    prepare(operator.settings)
    assert "act-token" in operator.run("check")
    vault = open_vault(operator.settings, background=False)
    try:
        furnish(vault)
        assert issue(vault, OTHER, b"<a/>").status_code == 201
    finally:
        vault.close()


@pytest.mark.needs("softhsm2")
def test_a_key_of_a_token_that_is_not_the_certificate_s_is_told(
    operator: Operator, authority: Authority, softhsm_tokens: Tokens
) -> None:
    place = softhsm_tokens.new("cabinet-mistaken")
    there = ("--module", str(place.module), "--token", place.label)
    pin = ("--pin-file", str(softhsm_tokens.pin_file))
    request = operator.request("act-right", "act-seal", "--administration", OTHER, *there, *pin)
    operator.request("act-wrong", "act-seal", "--administration", MAIRIE, *there, *pin)
    assert request is not None
    operator.install(authority.issue(request))
    table = operator.settings.key_cabinet
    assert table is not None
    source = next(each.source for each in read_table(table) if each.id == "act-right")
    change(operator.settings, "act-right", source={**source, "key": "act-wrong"})
    assert "act-right : KEY_UNUSABLE" in operator.run("check", code=1)


@pytest.mark.needs("softhsm2")
def test_key_encryption_keys_in_a_token_are_made_and_changed(
    operator: Operator, softhsm_tokens: Tokens
) -> None:
    place = softhsm_tokens.new("cabinet-encryption")
    operator.run(
        "prepare",
        "--module",
        str(place.module),
        "--token",
        place.label,
        "--pin-file",
        str(softhsm_tokens.pin_file),
    )
    vault = open_vault(operator.settings, background=False)
    try:
        furnish(vault)
        document = issue(vault, MAIRIE, b"<a/>").document_id
        before = vault.parts.keyring._wrapper.active
        assert "clé active" in operator.run("rotate-encryption")
        assert vault.parts.keyring._wrapper.active != before
        assert b"".join(vault.reading.original(holder(vault), document, "").read(0, None)) == b"<a/>"
        operator.run("rotate-encryption", "--retire", before.hex(), code=1)
        with vault.parts.database.reading() as connection:
            wrapped = connection.scalars(select(models.documents.c.wrapped_key)).all()
        assert {each[1:9] for each in wrapped} == {vault.parts.keyring._wrapper.active}
    finally:
        vault.close()
    listed = json.loads(operator.run("list", "--json"))
    assert listed["encryption"]["others"] == [before.hex()]


# --- expiry


class Held:
    """A cabinet of certificates with given ends."""

    def __init__(self, authority: Authority, folder: Path, days: dict[str, float]) -> None:
        self._roots = [authority.root]
        self._held = []
        for name, left in days.items():
            purpose = KeyPurpose(name.split("/")[0])
            entry = authority.key(folder, name.replace("/", "-"), purpose, name.partition("/")[2], days=left)
            chain = read_chain(folder / entry.certificates)
            self._held.append(
                HeldCertificate(
                    entry.id, purpose, entry.administration, chain, "pkcs12", "active", in_use=left > 0
                )
            )

    def roots(self) -> list[x509.Certificate]:
        return self._roots

    def overview(self) -> list[HeldCertificate]:
        return self._held


def test_ends_are_told_in_time(authority: Authority, tmp_path: Path) -> None:
    days = {
        "reception-seal": 100.5,
        "evidence-seal": 29.5,
        "timestamp": 6.5,
        "act-seal/a": 60.5,
        "act-seal/b": -0.01,
    }
    found = {each.what: each for each in endings(Held(authority, tmp_path, days), datetime.now(UTC))}  # type: ignore[arg-type]
    assert {what: each.level for what, each in found.items()} == {
        "act-seal": "over",
        "timestamp": "urgent",
        "evidence-seal": "warning",
        "reception-seal": "",
        "issuer": "",
        "root": "",
    }
    assert (found["timestamp"].days, found["act-seal"].days) == (6, -1)
    # One administration's seal that is over takes no process out of service.
    assert not any(each.is_down for each in found.values())
    later = datetime.now(UTC) + timedelta(days=7)
    down = [each.what for each in endings(Held(authority, tmp_path / "b", days), later) if each.is_down]  # type: ignore[arg-type]
    assert down == ["timestamp"]


def test_readiness_and_metrics_tell_of_ends(vault: Vault, authority: Authority) -> None:
    client = TestClient(create_app(vault), base_url="https://coffre.example")
    answer = client.get("/readyz").json()["parts"]["keys"]
    assert answer["ok"] is True
    assert "ends in" in answer["note"]
    text = client.get("/metrics").text
    assert 'probans_certificate_days_left{purpose="reception-seal"} 36' in text
    assert MAIRIE not in text
    assert MAIRIE not in answer["note"]
    assert vault.settings.key_cabinet is not None
    authority.key(
        vault.settings.key_cabinet.parent,
        "soon",
        KeyPurpose.EVIDENCE_SEAL,
        began=timedelta(minutes=9),
        days=3.5,  # type: ignore[arg-type]
    )
    answer = client.get("/readyz").json()["parts"]["keys"]
    assert (answer["ok"], answer["note"]) == (True, "evidence-seal: 3 days left (urgent)")
    for name in ("evidence", "soon"):
        change(vault.settings, name, state=RETIRED)
    authority.key(vault.settings.key_cabinet.parent, "gone", KeyPurpose.EVIDENCE_SEAL, days=-0.01)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["parts"]["keys"]["ok"]) == (503, False)


# --- smaller things


def test_a_table_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    good = {
        "id": "a",
        "purpose": "reception-seal",
        "state": "waiting",
        "source": {"kind": "pkcs12", "file": "a.p12", "passphrase_file": "p"},
    }
    path = tmp_path / "cabinet.json"

    def table(*keys: object, **members: object) -> str:
        path.write_text(json.dumps({"format": "probans/key-cabinet/v1", "keys": list(keys), **members}))
        try:
            read_table(path)
        except KeyUnusable as error:
            return str(error)
        return ""

    assert table(good) == ""
    assert "twice" in table(good, good)
    assert "not a key cabinet" in table(good, format="x")
    assert "not a key cabinet" in table(good, more=1)
    for wrong in (
        {"id": "A b"},
        {"purpose": "tls"},
        {"purpose": "act-seal"},
        {"administration": "x"},
        {"state": "active"},
        {"state": "gone"},
        {"certificates": "a.pem"},
        {"source": {"kind": "disk"}},
        {"source": {"kind": "pkcs12", "file": "a.p12"}},
        {"source": {"kind": "pkcs12", "file": "a.p12", "passphrase_file": "p", "pin": "1"}},
        {"source": {"kind": "pkcs12", "file": 1, "passphrase_file": "p"}},
        {"source": None},
        {"more": "x"},
    ):
        assert table({**good, **wrong}), wrong
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(KeyUnusable):
        read_table(path)
    with pytest.raises(KeyUnusable):
        read_table(tmp_path / "none")


def test_an_unused_purpose_is_missing_and_says_whose(authority: Authority, tmp_path: Path) -> None:
    cabinet = HeldCabinet(authority.cabinet(tmp_path, MAIRIE), [authority.root], SystemClock().now, 5.0)
    with pytest.raises(SealKeyMissing, match=OTHER):
        cabinet.act_seal(OTHER, "")
    assert cabinet.act_seal(MAIRIE, "").purpose is KeyPurpose.ACT_SEAL
    assert len(cabinet.service_keys()) == 3
    with pytest.raises(SealKeyMissing):
        cabinet.key("none")
    cabinet.close()


def test_an_administration_is_registered_once_and_renamed(operator: Operator) -> None:
    prepare(operator.settings)
    vault = open_vault(operator.settings, background=False)
    vault.close()

    def stop(point: str) -> None:
        if point == "administrations.recorded":
            raise KeyboardInterrupt

    faults.install(stop)
    result = CliRunner().invoke(
        build(["administrations"]),
        ["administrations", "add", MAIRIE, "--name", "Mairie", "--data", str(operator.settings.data)],
    )
    faults.install(None)
    assert result.exit_code != 0
    assert operator.run("list", group="administrations") == ""
    operator.run("add", MAIRIE, "--name", "Mairie", group="administrations")
    operator.run("add", MAIRIE, "--name", "Mairie d’essai", group="administrations")
    assert operator.run("list", group="administrations") == f"{MAIRIE}  Mairie d’essai\n"
    operator.run("add", "Mairie X", "--name", "Mairie", group="administrations", code=1)
    operator.run("add", "mairie-x", "--name", " ", group="administrations", code=1)


def test_an_entry_says_what_it_may_be() -> None:
    with pytest.raises(KeyUnusable, match="administration"):
        Entry("a", KeyPurpose.TIMESTAMP, "waiting", "pkcs12", {"file": "f", "passphrase_file": "p"}, MAIRIE)
