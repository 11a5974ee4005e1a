"""A safe with several outside authorities: seals fit whoever answered, and what nobody dated follows by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.trust import TrustStore
from tests.services.clocks import Shifted
from tests.services.timestamps import POLICY, Outside, OutsideOpenssl, until
from vault.backends.tsa import dating
from vault.bootstrap import open_vault
from vault.config.tsa_file import load_authorities
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import SettingsRefused
from vault.evidence.report import Outcome
from vault.evidence.verify import verify_file
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture
def first() -> Iterator[Outside]:
    made = Outside("premiere")
    yield made
    made.close()


@pytest.fixture
def second() -> Iterator[Outside]:
    made = Outside("seconde")
    yield made
    made.close()


def named(folder: Path, *authorities: Outside, **more: Any) -> Path:
    """Write the file that names authorities."""
    listed = [
        {"name": each.name, "url": each.url, "trust": each.anchors(folder).name, **more}
        for each in authorities
    ]
    path = folder / "authorities.json"
    path.write_text(json.dumps(listed))
    return path


def settings(folder: Path, *authorities: Outside, **changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "data": folder / "data",
        "publish_interval": 0.02,
        "tsa_authorities": named(folder, *authorities),
        "tsa_timeout": 2.0,
        "tsa_pause": 1.0,
    }
    return Settings(**{**fields, **changes})


@contextmanager
def running(chosen: Settings, clock: Any = None, *, background: bool = False) -> Iterator[Vault]:
    vault = open_vault(chosen, clock, background=background)
    try:
        yield vault
    finally:
        vault.close()


def issue(vault: Vault, content: bytes, key: str = "k1") -> tuple[str, int]:
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.pdf", document_type="acte-de-naissance")
    outcome = vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer(key))
    return outcome.document_id, outcome.status_code


def original(vault: Vault, document: str) -> bytes:
    download = vault.reading.original(vault.personas.named("camille").actor, document, "")
    return b"".join(download.read(0, None))


def judged(vault: Vault, folder: Path, document: str, *authorities: Outside) -> tuple[Outcome, bytes]:
    """Judge a sealed act with the roots of some authorities alone; revocation data must be inside."""
    content = original(vault, document)
    path = folder / f"{document}.pdf"
    path.write_bytes(content)
    verdict = verify_file(
        path,
        trust=TrustStore(vault.parts.pki.roots()),
        tsa_trust=TrustStore([root for each in authorities for root in each.roots]),
        policy=vault.parts.policy,
        require_revocation=True,
    )
    return verdict.verdict, content


def holds(content: bytes, certificate: x509.Certificate) -> bool:
    """Tell whether a PDF's seal embeds a certificate, in its dictionary or in the seal."""
    encoded = certificate.public_bytes(Encoding.DER)
    return encoded in content or encoded.hex().encode() in content


def test_the_preferred_one_dates_and_what_proves_it_is_inside(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    with running(settings(tmp_path, first, second)) as vault:
        document, status = issue(vault, act_pdf)
        assert status == 201
        verdict, content = judged(vault, tmp_path, document, first)
        assert verdict is Outcome.PASSED
        assert holds(content, first.unit)
        assert not holds(content, second.unit)
        assert judged(vault, tmp_path, document, second)[0] is not Outcome.PASSED


def test_one_that_fails_between_its_chain_and_its_token_leaves_nothing_of_it(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    with running(settings(tmp_path, first, second)) as vault:
        assert issue(vault, act_pdf)[1] == 201
        # Its chain is known and was prepared for; now it goes.
        first.mode = "down"
        document, status = issue(vault, act_pdf, "k2")
        assert status == 201
        verdict, content = judged(vault, tmp_path, document, second)
        assert verdict is Outcome.PASSED
        assert holds(content, second.unit)
        assert not holds(content, first.unit)


def test_one_whose_revocation_list_is_not_to_be_had_is_passed_over(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    first.crl_up = False
    with running(settings(tmp_path, first, second)) as vault:
        document, status = issue(vault, act_pdf)
        assert status == 201
        assert judged(vault, tmp_path, document, second)[0] is Outcome.PASSED


def test_one_whose_certificate_is_revoked_is_passed_over(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    first.revoked = True
    with running(settings(tmp_path, first, second)) as vault:
        document, status = issue(vault, act_pdf)
        assert status == 201
        assert judged(vault, tmp_path, document, second)[0] is Outcome.PASSED
        second.mode = "down"
        assert issue(vault, act_pdf, "k2")[1] == 202, "revoked is no reason to refuse the file"


def test_a_new_key_of_the_authority_is_prepared_for_before_it_is_used(
    tmp_path: Path, first: Outside, act_pdf: bytes
) -> None:
    with running(settings(tmp_path, first)) as vault:
        assert issue(vault, act_pdf)[1] == 201
        first.new_key()
        document, status = issue(vault, act_pdf, "k2")
        assert status == 201
        verdict, content = judged(vault, tmp_path, document, first)
        assert verdict is Outcome.PASSED
        assert holds(content, first.unit)


def test_an_authority_that_signs_with_several_keys_in_turn_is_no_hindrance(
    tmp_path: Path, first: Outside, act_pdf: bytes
) -> None:
    one = first._authority
    first.new_key()
    units = [one, first._authority]

    def respond(request: bytes) -> bytes:
        units.reverse()
        return units[0].respond(request)

    first.respond = respond  # type: ignore[method-assign]
    with running(settings(tmp_path, first)) as vault:
        for number in range(3):
            document, status = issue(vault, act_pdf, f"k{number}")
            assert status == 201
            assert judged(vault, tmp_path, document, first)[0] is Outcome.PASSED


@pytest.mark.needs("openssl")
def test_the_other_implementation_dates_when_ours_is_down(
    tmp_path: Path, first: Outside, act_pdf: bytes
) -> None:
    openssl = OutsideOpenssl("openssl", tmp_path / "openssl")
    try:
        with running(settings(tmp_path, first, openssl)) as vault:
            first.mode = "down"
            document, status = issue(vault, act_pdf)
            assert status == 201
            assert judged(vault, tmp_path, document, openssl)[0] is Outcome.PASSED
    finally:
        openssl.close()


def test_both_down_is_received_and_follows_by_itself(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    first.mode = second.mode = "down"
    with running(settings(tmp_path, first, second)) as vault:
        documents = [issue(vault, act_pdf, f"k{number}") for number in range(3)]
        assert [status for _, status in documents] == [202] * 3
        health = vault.health()["timestamps"]
        assert (health.ok, health.needed) == (False, False)
        assert "premiere: last answer TSA_UNAVAILABLE" in health.note or "left alone" in health.note
        assert vault.healer.heal() == 0
        second.mode = "well"
        until(lambda: vault.healer.heal() or None)
        until(lambda: not vault.healer.heal())
        for document, _ in documents:
            assert judged(vault, tmp_path, document, second)[0] is Outcome.PASSED
        assert vault.health()["timestamps"].ok


def test_a_clock_of_ours_that_is_off_lets_sealing_wait_and_is_named(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    clock = Shifted()
    with running(settings(tmp_path, first, second), clock) as vault:
        assert issue(vault, act_pdf)[1] == 201
        clock.ahead = timedelta(minutes=3)
        document, status = issue(vault, act_pdf, "k2")
        assert status == 202
        vault.healer.heal()
        health = vault.health()["timestamps"]
        assert not health.ok
        assert "this service's clock is off" in health.note
        assert "180 s behind" in health.note or "179 s behind" in health.note
        clock.ahead = timedelta()
        assert vault.healer.heal() == 1
        assert judged(vault, tmp_path, document, first)[0] is Outcome.PASSED


def test_an_authority_that_drifts_alone_is_named_and_skipped(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    first.clock.skew = timedelta(minutes=-4)
    with running(settings(tmp_path, first, second)) as vault:
        document, status = issue(vault, act_pdf)
        assert status == 201
        assert judged(vault, tmp_path, document, second)[0] is Outcome.PASSED
        health = vault.health()["timestamps"]
        assert health.ok
        assert "the time of premiere is off, while others agree" in health.note


@pytest.mark.parametrize(("days", "told"), [(400, None), (89, 90), (29, 30), (6, 7)])
def test_the_end_of_an_authoritys_certificate_is_told_ahead(
    tmp_path: Path, act_pdf: bytes, days: int, told: int | None
) -> None:
    soon = Outside("bientot", days=days)
    try:
        with running(settings(tmp_path, soon)) as vault:
            assert issue(vault, act_pdf)[1] == 201
            note = vault.health()["timestamps"].note
            expected = None if told is None else f"its certificate ends in {days - 1} days (less than {told})"
            assert ("ends in" in note) is (told is not None), note
            assert expected is None or expected in note, note
    finally:
        soon.close()


def test_anchors_are_dated_by_whoever_answers(
    tmp_path: Path, first: Outside, second: Outside, act_pdf: bytes
) -> None:
    only = Outside("actes")
    try:
        file = named(tmp_path, first, second)
        chosen = Settings(
            data=tmp_path / "data", publish_interval=0.02, tsa_url=only.url, tsa_trust=only.anchors(tmp_path),
            anchor_tsa_authorities=file, tsa_timeout=2.0,
        )  # fmt: skip
        with running(chosen) as vault:
            issue(vault, act_pdf)
            first.mode = "wrong nonce"
            until(lambda: vault.anchoring.anchor(force=True))
            assert vault.health()["timestamps"].ok
            note = vault.health()["anchor-timestamps"].note
            assert "premiere: last answer TSA_NONCE" in note
            assert "seconde: answers" in note
    finally:
        only.close()


# The file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "at least 1 item"),
        ("{}", "valid array"),
        ("[", "cannot be used"),
        ('[{"name": "a", "url": "http://x/"}]', "trust"),
        ('[{"name": "A b", "url": "http://x/", "trust": "t"}]', "name"),
        ('[{"name": "a", "url": "http://x/", "trust": "t", "timeuot": 3}]', "timeuot"),
        ('[{"name": "a", "url": "http://x/", "trust": "t", "timeout": 0}]', "timeout"),
        ('[{"name": "a", "name": "b", "url": "http://x/", "trust": "t"}]', "twice"),
        ('[{"name":"a","url":"http://x/","trust":"t"},{"name":"a","url":"http://y/","trust":"t"}]', "name a"),
        ("[" * 100_000, "cannot be used"),
    ],
    ids=range(10),
)
def test_a_file_that_is_not_good_is_refused_and_says_where(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "authorities.json"
    path.write_text(content)
    with pytest.raises(SettingsRefused) as refused:
        load_authorities(path)
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"trust": "missing.pem"}, "missing.pem"),
        ({"bearer_file": "missing"}, "missing"),
        ({"url": "http://tsa.example/", "bearer_file": "secret"}, "need https"),
        ({"url": "ftp://tsa.example/"}, "http or https"),
        ({"policy": "no policy"}, "settings"),
        ({"username": "u", "bearer_file": "secret"}, "bearer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_authorities_that_cannot_work_are_refused_at_start(
    tmp_path: Path, first: Outside, more: dict[str, Any], said: str
) -> None:
    (tmp_path / "secret").write_text("s3cr3t-of-the-safe\n")
    chosen = settings(tmp_path, first)
    named(tmp_path, first, **more)
    with pytest.raises(SettingsRefused) as refused, running(chosen):
        pass
    assert said in refused.value.detail
    assert "s3cr3t" not in refused.value.detail


def test_one_and_several_are_not_named_at_once(tmp_path: Path, first: Outside) -> None:
    with pytest.raises(SettingsRefused, match="set one of them"):
        settings(tmp_path, first, tsa_url=first.url).check()


def test_credentials_go_to_their_authority(tmp_path: Path, first: Outside, act_pdf: bytes) -> None:
    (tmp_path / "secret").write_text("s3cr3t.of.the.safe\n")
    chosen = settings(tmp_path, first)
    named(tmp_path, first, bearer_file="secret", policy=POLICY, own=True)
    with running(chosen) as vault:
        assert issue(vault, act_pdf)[1] == 201
        assert first.authorizations[-1] == "Bearer s3cr3t.of.the.safe"
        assert dating(vault.parts).authority.own
