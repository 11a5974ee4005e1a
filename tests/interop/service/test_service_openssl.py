"""OpenSSL on everything the service seals and stamps, as it lies in documents and bundles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.dev_pki import DevPki

pytestmark = [pytest.mark.needs("openssl"), pytest.mark.needs("unzip")]


def anchors_of(seal: Any, roots: Path) -> Path:
    """The roots, and the revocation lists that the bundle carries."""
    anchors = seal.token.with_name("anchors.pem")
    lists = sorted(seal.bundle.glob("revocation/*.crl"))
    pem = [x509.load_der_x509_crl(path.read_bytes()).public_bytes(Encoding.PEM) for path in lists]
    anchors.write_bytes(roots.read_bytes() + b"".join(pem))
    return anchors


def verify_token(seal: Any, roots: Path, openssl: Any) -> Any:
    arguments = ("-in", seal.token, "-token_in", "-data", seal.value, "-CAfile", roots)
    return openssl("ts", "-verify", *arguments)


def verify_cms(seal: Any, roots: Path, openssl: Any) -> Any:
    """Signature, path to the root, and revocation by the bundle's own lists."""
    return openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-crl_check_all"),
        *("-in", seal.signature, "-content", seal.covered, "-out", "/dev/null"),
        *("-CAfile", anchors_of(seal, roots)),
    )


def test_nothing_is_left_out(service: Any, seals: list[Any]) -> None:
    """Each sealed PDF, each bundle's evidence seal, and one more in the bundles of files sealed beside."""
    beside = [item for item in service.items if not item.is_sealed_pdf]
    acts = [item for item in beside if item.for_third_party]
    demo = {"act.pdf": 1, "act.asice": 1, "attachment.asice": 2}
    of_items = 2 * len(service.items) - len([item for item in beside if not item.is_act])
    assert len(seals) == sum(demo.values()) + len(service.sealed_pdfs) + of_items + len(beside) + len(acts)
    assert {item.algorithm for item in service.sealed_pdfs} == {"p256", "rsa-pss"}


def test_openssl_verifies_every_token(service: Any, seals: list[Any], openssl: Any) -> None:
    for seal in seals:
        done = verify_token(seal, service.roots, openssl)
        assert (done.returncode, "Verification: OK" in done.stdout) == (0, True), (seal.found_in, done.stderr)


def test_openssl_verifies_every_seal(service: Any, seals: list[Any], openssl: Any) -> None:
    for seal in seals:
        done = verify_cms(seal, service.roots, openssl)
        assert done.returncode == 0, (seal.found_in, done.stderr)
        assert "CMS Verification successful" in done.stderr


def test_openssl_can_say_no(service: Any, seals: list[Any], openssl: Any, tmp_path: Path) -> None:
    """A judge that accepts everything proves nothing: one bit, another's signature, a stranger's root."""
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(DevPki.open(tmp_path / "pki", datetime.now(UTC)).roots_pem())
    for algorithm in ("p256", "rsa-pss"):
        seal, other = [each for each in seals if f"/{algorithm}/" in each.found_in][:2]
        content = bytearray(seal.covered.read_bytes())
        content[len(content) // 2] ^= 1
        flipped = tmp_path / "flipped"
        flipped.write_bytes(content)
        assert verify_cms(replace(seal, covered=flipped), service.roots, openssl).returncode != 0
        assert verify_cms(replace(seal, signature=other.signature), service.roots, openssl).returncode != 0
        assert verify_cms(seal, stranger, openssl).returncode != 0
        assert verify_token(replace(seal, value=other.value), service.roots, openssl).returncode != 0
        assert verify_token(seal, stranger, openssl).returncode != 0
