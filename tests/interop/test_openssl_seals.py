"""OpenSSL and unzip, the tools anyone has, on the container and its parts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms

from vault.documents.specimens import specimen_xml

pytestmark = [pytest.mark.needs("openssl"), pytest.mark.needs("unzip")]
NAME = "demande-échéance.xml"


@pytest.fixture(scope="module", params=["p256", "rsa-pss"])
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bench: Any) -> Path:
    """The members of a container as plain unzip gives them, the token and the anchor beside them."""
    folder = tmp_path_factory.mktemp("container")
    (folder / NAME).write_bytes(specimen_xml())
    container, revision = bench.seal_file(folder / NAME, "application/xml", bench.act_seal(request.param))
    (folder / NAME).unlink()
    done = subprocess.run(
        ["unzip", "-q", str(container), "-d", str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (folder / "token.tst").write_bytes(revision.token)
    return folder


def verify_seal(parts: Path, bench: Any, openssl: Any) -> subprocess.CompletedProcess[str]:
    return openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile", bench.roots),
        *("-in", parts / "META-INF/signature001.p7s", "-content", parts / "META-INF/ASiCManifest001.xml"),
        *("-out", "/dev/null"),
    )


def test_openssl_verifies_the_seal_over_the_manifest_and_the_manifest_names_the_file(
    parts: Path, bench: Any, openssl: Any
) -> None:
    done = verify_seal(parts, bench, openssl)
    assert done.returncode == 0, done.stderr
    digest = openssl("dgst", "-sha256", "-binary", "-out", parts / "digest", parts / "document" / NAME)
    assert digest.returncode == 0
    base64 = openssl("base64", "-A", "-in", parts / "digest").stdout.strip()
    manifest = parts / "META-INF" / "ASiCManifest001.xml"
    content = manifest.read_bytes()
    assert base64.encode() in content
    manifest.write_bytes(content.replace(b"sha256", b"sha384"))
    assert verify_seal(parts, bench, openssl).returncode != 0
    manifest.write_bytes(content)


def test_openssl_verifies_the_token_over_the_signature_value(parts: Path, bench: Any, openssl: Any) -> None:
    seal = cms.ContentInfo.load((parts / "META-INF/signature001.p7s").read_bytes())
    (parts / "value").write_bytes(seal["content"]["signer_infos"][0]["signature"].native)
    (parts / "other").write_bytes(b"other")
    arguments = ("ts", "-verify", "-in", parts / "token.tst", "-token_in", "-CAfile", bench.roots, "-data")
    done = openssl(*arguments, parts / "value")
    assert done.returncode == 0, done.stderr
    assert openssl(*arguments, parts / "other").returncode != 0
