"""CAdES seals over a manifest: made without reading the file, refused when anything is another."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from cryptography.hazmat.primitives.serialization import Encoding

from signing.asic import Reference, build_manifest
from signing.base import KeyPurpose, Prepared, Revision, SealSource, ValidationMaterial
from signing.cades import MANIFEST_NAME, SIGNATURE_NAME, CadesSealer, validate_cades
from signing.cms import CmsSigner
from signing.dev_pki import DevPki
from signing.errors import ContainerRefused, KeyUnusable, SignatureRefused
from signing.keys import SealKey
from signing.revocation import RevocationSource
from signing.strict_zip import Member, StrictZip, generate
from signing.trust import TrustStore
from signing.validate import ValidatedSignature
from timestamping.authority import EmbeddedAuthority
from timestamping.verify import Rfc3161Verifier

CONTENT = "<démarche>état civil</démarche>\n".encode()
NAME = "Pièce jointe – état civil.xml"
POLICY = "1.3.6.1.4.1.99999.1"


class SystemTime:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Bench:
    pki: DevPki
    authority: EmbeddedAuthority
    trust: TrustStore
    verifier: Rfc3161Verifier
    revocation: RevocationSource

    def material(self, key: SealKey) -> ValidationMaterial:
        chains = [[key.certificate, *key.chain], list(self.authority.chain())]
        return self.revocation.material(chains, datetime.now(UTC))

    def seal(self, key: SealKey, name: str = NAME, content: bytes = CONTENT) -> Revision:
        sealer = CadesSealer(key)
        prepared = sealer.prepare(source(name, content), self.material(key), 4096, datetime.now(UTC))
        return sealer.complete(prepared, self.authority.token(prepared.imprint).der)

    def check(
        self,
        signature: bytes,
        manifest: bytes,
        digests: Mapping[str, bytes],
        *,
        purposes: frozenset[KeyPurpose] = frozenset({KeyPurpose.RECEPTION_SEAL}),
        whole: tuple[str, ...] = (),
        signature_name: str | None = SIGNATURE_NAME,
    ) -> ValidatedSignature:
        return validate_cades(
            signature,
            manifest,
            digests,
            self.trust,
            self.verifier,
            purposes=purposes,
            now=datetime.now(UTC),
            signature_name=signature_name,
            whole=whole,
        )

    def code(self, signature: bytes, manifest: bytes, digests: Mapping[str, bytes], **options: object) -> str:
        with pytest.raises(SignatureRefused) as caught:
            self.check(signature, manifest, digests, **options)  # type: ignore[arg-type]
        return caught.value.code


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    pki = DevPki.open(tmp_path_factory.mktemp("cades") / "pki", datetime.now(UTC))
    unit = pki.timestamp
    authority = EmbeddedAuthority(unit, [unit.certificate, *unit.chain], POLICY, SystemTime())
    trust = TrustStore(pki.roots())
    return Bench(
        pki, authority, trust, Rfc3161Verifier(trust, strict=True), RevocationSource(pki.crls, pki.roots())
    )


class Unreadable(io.RawIOBase):
    """A file that must not be touched."""

    def read(self, *_: object) -> bytes:
        pytest.fail("the file was read again")

    def seek(self, *_: object) -> int:
        pytest.fail("the file was read again")


def source(name: str, content: bytes, media_type: str = "application/xml") -> SealSource:
    return SealSource(
        stream=Unreadable(),  # type: ignore[arg-type]
        path=Path("/nonexistent"),
        size=len(content),
        sha256=hashlib.sha256(content).digest(),
        name=name,
        media_type=media_type,
    )


def digests(content: bytes = CONTENT, name: str = NAME) -> dict[str, bytes]:
    return {f"document/{name}": hashlib.sha256(content).digest()}


def test_seal_and_validate(bench: Bench) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    revision = bench.seal(bench.pki.reception_seal)
    assert (revision.appended, revision.size) == (b"", len(CONTENT))
    assert revision.sha256 == hashlib.sha256(CONTENT).digest()
    found = bench.check(revision.signature, revision.manifest, digests(), whole=tuple(digests()))
    assert (found.form, found.level) == ("CAdES", "B-T")
    assert found.purposes == {KeyPurpose.RECEPTION_SEAL}
    assert found.signer == revision.certificate == bench.pki.reception_seal.certificate
    assert found.path[-1] == bench.pki.root
    assert found.claimed_time is not None
    assert before <= found.claimed_time <= datetime.now(UTC)
    assert found.timestamps[0].der == revision.token


@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
def test_both_algorithms(bench: Bench, algorithm: str) -> None:
    revision = bench.seal(bench.pki.act_seal("mairie", "Mairie", algorithm=algorithm))
    purposes = frozenset({KeyPurpose.ACT_SEAL})
    assert bench.check(revision.signature, revision.manifest, digests(), purposes=purposes).level == "B-T"


def test_the_signature_carries_what_proves_it(bench: Bench) -> None:
    revision = bench.seal(bench.pki.reception_seal)
    signed = asn1_cms.ContentInfo.load(revision.signature)["content"]
    inside = {item.chosen.dump() for item in signed["certificates"]}
    expected = (bench.pki.reception_seal.certificate, bench.pki.authority, bench.pki.timestamp.certificate)
    assert inside == {certificate.public_bytes(Encoding.DER) for certificate in expected}
    assert len(signed["crls"]) == 2
    attributes = {item["type"].native for item in signed["signer_infos"][0]["signed_attrs"]}
    assert attributes == {"content_type", "message_digest", "signing_time", "signing_certificate_v2"}


def test_port_and_purposes(bench: Bench) -> None:
    for key in (bench.pki.reception_seal, bench.pki.evidence_seal, bench.pki.act_seal("mairie", "Mairie")):
        sealer = CadesSealer(key)
        assert (sealer.purpose, sealer.certificate) == (key.purpose, key.certificate)
    with pytest.raises(KeyUnusable):
        CadesSealer(bench.pki.timestamp)
    sealer = CadesSealer(bench.pki.reception_seal)
    material = bench.material(bench.pki.reception_seal)
    with pytest.raises(KeyUnusable):
        sealer.prepare_manifest([Reference("a", "text/plain", bytes(32))], material, datetime.now(UTC))
    with pytest.raises(KeyUnusable):
        sealer.prepare(source(NAME, CONTENT), material, 0, datetime.now(UTC) + timedelta(days=4000))
    with pytest.raises(TypeError):
        sealer.complete(Prepared(bytes(32), "another sealer's"), b"")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("../x", "text/plain"), ("a\u202eb", "text/plain"), ("", "text/plain"), ("a", "text")],
)
def test_unfit_names_and_types(bench: Bench, name: str, media_type: str) -> None:
    key = bench.pki.reception_seal
    with pytest.raises(ContainerRefused):
        CadesSealer(key).prepare(source(name, b"", media_type), bench.material(key), 0, datetime.now(UTC))


@pytest.fixture(scope="module")
def sealed(bench: Bench) -> Revision:
    return bench.seal(bench.pki.reception_seal)


class TestRefusals:
    def test_another_file(self, bench: Bench, sealed: Revision) -> None:
        assert bench.code(sealed.signature, sealed.manifest, digests(b"other")) == "HASH_FAILURE"

    def test_no_file(self, bench: Bench, sealed: Revision) -> None:
        assert bench.code(sealed.signature, sealed.manifest, {}) == "SIGNED_DATA_NOT_FOUND"

    def test_one_file_more(self, bench: Bench, sealed: Revision) -> None:
        files = digests() | {"extra": bytes(32)}
        assert bench.code(sealed.signature, sealed.manifest, files, whole=("extra",)) == "FORMAT_FAILURE"

    def test_another_manifest(self, bench: Bench, sealed: Revision) -> None:
        other = bench.seal(bench.pki.reception_seal, content=b"other")
        assert bench.code(sealed.signature, other.manifest, digests(b"other")) == "HASH_FAILURE"

    def test_manifest_of_another_signature(self, bench: Bench, sealed: Revision) -> None:
        name = "META-INF/signature002.p7s"
        assert (
            bench.code(sealed.signature, sealed.manifest, digests(), signature_name=name) == "FORMAT_FAILURE"
        )

    def test_another_purpose(self, bench: Bench, sealed: Revision) -> None:
        purposes = frozenset({KeyPurpose.ACT_SEAL})
        code = bench.code(sealed.signature, sealed.manifest, digests(), purposes=purposes)
        assert code == "SIG_CONSTRAINTS_FAILURE"

    def test_timestamp_of_another_signature(self, bench: Bench, sealed: Revision) -> None:
        key = bench.pki.reception_seal
        sealer = CadesSealer(key)
        prepared = sealer.prepare(source(NAME, CONTENT), bench.material(key), 0, datetime.now(UTC))
        forged = sealer.complete(prepared, sealed.token)
        assert bench.code(forged.signature, forged.manifest, digests()) == "HASH_FAILURE"

    def test_no_signing_time(self, bench: Bench, sealed: Revision) -> None:
        key = bench.pki.reception_seal
        material = bench.material(key)
        draft = CmsSigner(key).sign(
            hashlib.sha256(sealed.manifest).digest(),
            signing_time=None,
            certificates=material.certificates,
            crls=material.crls,
        )
        signature = draft.finish(bench.authority.token(draft.imprint).der)
        assert bench.code(signature, sealed.manifest, digests()) == "FORMAT_FAILURE"

    def test_no_revocation_data(self, bench: Bench) -> None:
        key = bench.pki.reception_seal
        bare = ValidationMaterial(bench.material(key).certificates, ())
        sealer = CadesSealer(key)
        prepared = sealer.prepare(source(NAME, CONTENT), bare, 0, datetime.now(UTC))
        revision = sealer.complete(prepared, bench.authority.token(prepared.imprint).der)
        assert bench.code(revision.signature, revision.manifest, digests()) == "TRY_LATER"

    def test_another_root(self, bench: Bench, sealed: Revision, tmp_path: Path) -> None:
        stranger = DevPki.open(tmp_path / "pki", datetime.now(UTC))
        trust = TrustStore(stranger.roots())
        with pytest.raises(SignatureRefused) as caught:
            validate_cades(
                sealed.signature,
                sealed.manifest,
                digests(),
                trust,
                bench.verifier,
                purposes={KeyPurpose.RECEPTION_SEAL},
                now=datetime.now(UTC),
            )
        assert caught.value.code == "NO_CERTIFICATE_CHAIN_FOUND"

    def test_flips(self, bench: Bench, sealed: Revision) -> None:
        """One bit of the signature or of the manifest, at places spread over both."""
        for part, position in (
            *(("signature", n) for n in range(0, len(sealed.signature), 37)),
            *(("manifest", n) for n in range(0, len(sealed.manifest), 37)),
        ):
            data = {"signature": bytearray(sealed.signature), "manifest": bytearray(sealed.manifest)}
            data[part][position] ^= 1 << (position % 8)
            with pytest.raises(SignatureRefused):
                bench.check(bytes(data["signature"]), bytes(data["manifest"]), digests())


def test_evidence_seal_over_a_bundle(bench: Bench) -> None:
    files = {"document/acte.pdf": b"%PDF", "ledger/entries/7.json": b"{}", "evidence.json": b"[]"}
    references = [
        Reference(name, "application/octet-stream", hashlib.sha256(content).digest())
        for name, content in files.items()
    ]
    signature_name, manifest_name = "META-INF/signature002.p7s", "META-INF/ASiCManifest002.xml"
    key = bench.pki.evidence_seal
    sealer = CadesSealer(key, signature_name=signature_name)
    prepared = sealer.prepare_manifest(references, bench.material(key), datetime.now(UTC))
    revision = sealer.complete(prepared, bench.authority.token(prepared.imprint).der)
    assert revision.manifest == build_manifest(signature_name, references)
    assert revision.sha256 == hashlib.sha256(revision.manifest).digest()

    members = [Member.of_bytes(name, content) for name, content in files.items()]
    members += [
        Member.of_bytes(manifest_name, revision.manifest),
        Member.of_bytes(signature_name, revision.signature),
    ]
    container = StrictZip.open(io.BytesIO(b"".join(generate(members))))
    found = bench.check(
        container.read(signature_name, 1 << 20),
        container.read(manifest_name, 1 << 20),
        {name: hashlib.sha256(container.read(name, 1 << 20)).digest() for name in container.names},
        purposes=frozenset({KeyPurpose.EVIDENCE_SEAL}),
        whole=tuple(files),
        signature_name=signature_name,
    )
    assert found.purposes == {KeyPurpose.EVIDENCE_SEAL}


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
def test_openssl_agrees(bench: Bench, tmp_path: Path, algorithm: str) -> None:
    revision = bench.seal(bench.pki.act_seal("mairie", "Mairie", algorithm=algorithm))
    manifest, signature, roots = tmp_path / "manifest.xml", tmp_path / "signature.p7s", tmp_path / "roots.pem"
    manifest.write_bytes(revision.manifest)
    signature.write_bytes(revision.signature)
    roots.write_bytes(bench.pki.roots_pem())
    command = [
        "openssl",
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        signature,
        "-content",
        manifest,
        "-binary",
    ]
    command += ["-CAfile", roots, "-cades", "-crl_check_all", "-out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == revision.manifest
    manifest.write_bytes(revision.manifest.replace(b"application/xml", b"application/xmm"))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_names_in_the_bundle() -> None:
    assert (MANIFEST_NAME, SIGNATURE_NAME) == ("META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s")
