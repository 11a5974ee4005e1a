"""Attacks on sealed and signed PDFs: none may end in a valid signature over the whole document."""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pikepdf
import pytest
from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Name

from signing.algorithms import TABLE
from signing.base import KeyPurpose
from signing.cms_form import SignedDataForm, issuer_and_serial
from signing.cms_read import parse_cms
from signing.der import tlv
from signing.dev_pki import DevPki
from signing.errors import SignatureRefused
from signing.foreign_paths import Assessment, ForeignPaths
from signing.judge import judge_pdf
from signing.judgement import JudgingPolicy, OutsideData
from signing.pdf_signatures import pdf_signatures
from signing.trust import TrustStore
from signing.validate import (
    Evidence,
    validate_cms_signature,
    validate_pdf_signature,
)
from timestamping.authority import EmbeddedAuthority
from timestamping.verify import Rfc3161Verifier

SIGNED = Path(__file__).resolve().parents[1] / "data" / "pdf-signed"
MANIFEST = [line.split("\t") for line in (SIGNED / "manifest.tsv").read_text().splitlines()[1:]]
HOSTILE_VERDICTS = ("NOT_VALID", "MODIFIED", "MALFORMED")
HOSTILE_FILES = [row[0] for row in MANIFEST if row[3].startswith(HOSTILE_VERDICTS)]


class Credulous(TrustStore):
    """Trusts every certificate, so that only the rules about PDF and CMS are left."""

    def validate(self, certificate: Any, others: Any, crls: Any, at: Any) -> Any:
        return (certificate,)


class CredulousPaths(ForeignPaths):
    """The same for judging."""

    def assess(self, certificate: Any, *_: Any, **__: Any) -> Assessment:
        return Assessment((certificate,))


def judged_verdicts(path: Path, trust: TrustStore, now: Any) -> list[str]:
    """One word for each signature, as judging other makers' says."""
    try:
        found = judge_pdf(
            path,
            trust,
            trust,
            OutsideData(),
            JudgingPolicy(now),
            tokens=lambda paths: Rfc3161Verifier(paths, rule=TABLE),
        )
    except SignatureRefused as error:
        return [error.code]
    return ["PASSED" if item.error is None else item.error.code for item in found]


def verdicts(path: Path, trust: TrustStore, now: Any) -> list[str]:
    """One word for each signature; no exception but the package's own may come out."""
    timestamps = Rfc3161Verifier(trust)
    try:
        found = pdf_signatures(path)
    except SignatureRefused as error:
        return [error.code]
    said = []
    for item in found:
        try:
            validate_pdf_signature(item, trust, timestamps, now=now)
            said.append("PASSED")
        except SignatureRefused as error:
            said.append(error.code)
    return said


def passed(said: list[str]) -> bool:
    return bool(said) and set(said) == {"PASSED"}


def test_the_manifest_names_every_file() -> None:
    assert sorted(path.name for path in SIGNED.glob("*.pdf")) == sorted(row[0] for row in MANIFEST)
    assert len(HOSTILE_FILES) >= 19


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_files_never_pass_even_when_every_certificate_is_trusted(name: str, pdf_bench: Any) -> None:
    started = time.perf_counter()
    credulous = Credulous([])
    said = verdicts(SIGNED / name, credulous, pdf_bench.now)
    assert not passed(said), said
    credulous.foreign = CredulousPaths([])
    said = judged_verdicts(SIGNED / name, credulous, pdf_bench.now)
    assert not passed(said), said
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: row[0])
def test_signed_files_with_their_own_certificates_as_anchors(row: list[str], pdf_bench: Any) -> None:
    anchors = []
    for item in pdf_signatures(SIGNED / row[0]):
        for start in (match.start() for match in re.finditer(rb"\x30\x82", item.contents)):
            try:
                size = 4 + int.from_bytes(item.contents[start + 2 : start + 4], "big")
                anchors.append(x509.load_der_x509_certificate(item.contents[start : start + size]))
            except ValueError:
                continue
    said = judged_verdicts(SIGNED / row[0], TrustStore(anchors), pdf_bench.now)
    if row[3].startswith(HOSTILE_VERDICTS):
        assert not passed(said), said


# What follows the seal


def update(data: bytes, objects: dict[int, bytes], **trailer: bytes) -> bytes:
    """Append a correct incremental update, as an attacker would."""
    out = bytearray(data)
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n"
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d 00000 n \n" % (number, offset)
    previous = re.findall(rb"startxref\s+(\d+)", data)[-1]
    size = max(int(re.findall(rb"/Size (\d+)", data)[-1]), max(objects, default=0) + 1)
    root = re.findall(rb"/Root (\d+ \d+ R)", data)[-1]
    entries = {b"Size": b"%d" % size, b"Prev": previous, b"Root": root}
    entries |= {key.encode(): value for key, value in trailer.items()}
    out += b"trailer\n<< " + b" ".join(b"/%b %b" % item for item in entries.items()) + b" >>\n"
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def attacks_after(sealed: Path) -> Iterator[tuple[str, bytes]]:
    data = sealed.read_bytes()
    for tail in (b"\n", b" ", b"\x00", b"%", b"%%EOF\n", b"x" * 5000, data):
        yield f"tail {tail[:6]!r}", data + tail
    yield "empty update", update(data, {})
    with pikepdf.open(sealed) as pdf:
        page = pdf.pages[0].obj
        number = page.objgen[0]
        page.MediaBox = Array([0, 0, 5, 5])
        yield "page replaced", update(data, {number: page.unparse(resolved=True)})
    with pikepdf.open(sealed) as pdf:
        signature = pdf.Root.Perms.DocMDP
        number = signature.objgen[0]
        same = signature.unparse(resolved=True)
        yield "signature again", update(data, {number: same})
        # The same value under a byte range that pretends to reach the new end.
        begin, gap, after, rest = (int(value) for value in signature.ByteRange)
        for _ in range(3):
            signature.ByteRange = Array([begin, gap, after, rest])
            grown = update(data, {number: signature.unparse(resolved=True)})
            rest = len(grown) - after
        yield "byte range stretched", grown
        signature.ByteRange = Array([0, gap, after, len(grown) - after, 0, 0])
        yield "six integers", update(data, {number: signature.unparse(resolved=True)})
    with pikepdf.open(sealed) as pdf:
        root = pdf.Root
        del root["/Perms"]
        root.AcroForm = pdf.make_indirect(pikepdf.Dictionary(Fields=Array([])))
        yield (
            "signature hidden",
            update(
                data,
                {
                    root.objgen[0]: root.unparse(resolved=True),
                    root.AcroForm.objgen[0]: root.AcroForm.unparse(resolved=True),
                },
            ),
        )


def test_nothing_may_follow_a_seal(sealed_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    names = []
    for name, data in attacks_after(sealed_pdf):
        path = tmp_path / "attacked.pdf"
        path.write_bytes(data)
        for trust in (pdf_bench.trust, Credulous([])):
            assert not passed(verdicts(path, trust, pdf_bench.now)), name
        names.append(name)
    assert len(names) == 13


def test_octets_before_the_header(sealed_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "before.pdf"
    path.write_bytes(b"x" + sealed_pdf.read_bytes())
    assert not passed(verdicts(path, pdf_bench.trust, pdf_bench.now))


def test_saved_anew_by_another_program(sealed_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "saved.pdf"
    with pikepdf.open(sealed_pdf) as pdf:
        pdf.save(path)
    assert not passed(verdicts(path, pdf_bench.trust, pdf_bench.now))


def test_cut_anywhere(sealed_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    data = sealed_pdf.read_bytes()
    path = tmp_path / "cut.pdf"
    for size in {*range(0, len(data), 331), *range(len(data) - 30, len(data))}:
        path.write_bytes(data[:size])
        assert not passed(verdicts(path, pdf_bench.trust, pdf_bench.now)), size


# What is inside the gap


def gap(data: bytes) -> tuple[int, int]:
    found = re.search(rb"/Contents <([0-9a-f]+)>", data)
    assert found is not None
    return found.span(1)


def with_cms(sealed: Path, cms: bytes, target: Path) -> Path:
    """Put another CMS in the gap, which is neither signed nor moved."""
    data = bytearray(sealed.read_bytes())
    start, end = gap(bytes(data))
    assert 2 * len(cms) <= end - start
    data[start:end] = cms.hex().encode().ljust(end - start, b"0")
    target.write_bytes(bytes(data))
    return target


@pytest.fixture(scope="module")
def roomy(pdf_bench: Any, simple_pdf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A sealed file and its CMS."""
    revision = pdf_bench.revision(simple_pdf)
    path = tmp_path_factory.mktemp("roomy") / "sealed.pdf"
    path.write_bytes(simple_pdf.read_bytes() + revision.appended)
    return path, revision.signature


def test_the_seal_of_another_act(pdf_bench: Any, simple_pdf: Path, make_pdf: Any, tmp_path: Path) -> None:
    other = make_pdf(lambda pdf: pdf.Root.update({"/Other": Name.X}))
    first, second = (pdf_bench.seal(path) for path in (simple_pdf, other))
    assert passed(verdicts(second, pdf_bench.trust, pdf_bench.now))
    [signature] = pdf_signatures(first)
    path = with_cms(second, signature.contents, tmp_path / "swapped.pdf")
    assert verdicts(path, pdf_bench.trust, pdf_bench.now) == ["HASH_FAILURE"]


class Parts:
    """The parts of a CMS of ours, to be put together otherwise."""

    def __init__(self, encoded: bytes) -> None:
        data = asn1_cms.ContentInfo.load(encoded)["content"]
        info = data["signer_infos"][0]
        self.values: dict[str, Any] = {
            "version": int(data["version"]),
            "digest_algorithm": info["digest_algorithm"].dump(),
            "content": data["encap_content_info"].dump(),
            "certificates": [item.chosen.dump() for item in data["certificates"]],
            "crls": [],
            "sid": info["sid"].dump(),
            "signed_attributes": info["signed_attrs"].contents,
            "signature_algorithm": info["signature_algorithm"].dump(),
            "signature": info["signature"].native,
            "unsigned_attributes": info["unsigned_attrs"].contents or b"",
        }

    def encode(self, **changes: Any) -> bytes:
        return SignedDataForm(**{**self.values, **changes}).encode()


def test_parts_that_no_signature_covers(
    roomy: tuple[Path, bytes], pdf_bench: Any, simple_pdf: Path, tmp_path: Path
) -> None:
    """Everything an attacker can add, drop or order otherwise without touching what is signed."""
    path, cms = roomy
    parts = Parts(cms)
    assert parts.encode() == cms
    certificates = parts.values["certificates"]
    token = Parts(
        asn1_cms.ContentInfo.load(cms)["content"]["signer_infos"][0]["unsigned_attrs"][0]["values"][0].dump()
    )
    token_bytes = token.encode()
    assert token_bytes in cms
    kind = bytes.fromhex("060b2a864886f70d010910020e")

    def stamped(*tokens: bytes) -> bytes:
        return parts.encode(unsigned_attributes=tlv(0x30, kind, tlv(0x31, *tokens)))

    other_token = pdf_bench.authority.token(bytes(32)).der
    unit, *issuers = token.values["certificates"]
    reception = pdf_bench.pki.reception_seal.certificate.public_bytes(Encoding.DER)
    broken = issuers[0][:-1] + bytes([issuers[0][-1] ^ 1])
    crl = pdf_bench.pki.crls(pdf_bench.now)[0]
    hostile = {
        "no token": parts.encode(unsigned_attributes=b""),
        "a token over something else": stamped(other_token),
        "two tokens": stamped(token_bytes, other_token),
        "a second attribute": parts.encode(
            unsigned_attributes=parts.values["unsigned_attributes"]
            + tlv(0x30, bytes.fromhex("06032a0304"), tlv(0x31))
        ),
        "another order": parts.encode(certificates=certificates[::-1]),
        "a certificate twice": parts.encode(certificates=[*certificates, certificates[0]]),
        "a certificate that serves nothing": parts.encode(certificates=sorted([*certificates, reception])),
        "a broken certificate": parts.encode(certificates=sorted([*certificates, broken])),
        "no certificate": parts.encode(certificates=[]),
        "a CRL inside": parts.encode(crls=[crl]),
        "the version of signed data": parts.encode(version=3),
        "the signer by another name": parts.encode(sid=issuer_and_serial(pdf_bench.pki.authority)),
        "a token of version 1": stamped(token.encode(version=1)),
        "a token with a certificate that serves nothing": stamped(
            token.encode(certificates=[unit, *issuers, reception])
        ),
        "a token with a certificate twice": stamped(token.encode(certificates=[unit, unit, *issuers])),
        "a token with a broken certificate": stamped(token.encode(certificates=[unit, *issuers, broken])),
        "a token with an unsigned attribute": stamped(
            token.encode(unsigned_attributes=tlv(0x30, bytes.fromhex("06032a0304"), tlv(0x31, b"\x05\x00")))
        ),
        "a token with a cut CRL": stamped(token.encode(crls=[crl[:-1] + b"\x00"])),
    }
    for name, encoded in hostile.items():
        start, end = gap(path.read_bytes())
        if 2 * len(encoded) <= end - start:
            target = with_cms(path, encoded, tmp_path / "hostile.pdf")
            assert not passed(verdicts(target, pdf_bench.trust, pdf_bench.now)), name
        # CAdES may carry CRLs; the rule against them in an act is the PDF's.
        if name != "a CRL inside":
            assert_cms_refused(encoded, pdf_bench, name)


def assert_cms_refused(encoded: bytes, bench: Any, name: str) -> None:
    """Whatever its length, and in whatever file, such a CMS is no seal of ours."""
    material = bench.material(bench.key())

    def judge() -> None:
        parsed = parse_cms(encoded, strict=True)
        validate_cms_signature(
            parsed,
            parsed.message_digest,
            bench.trust,
            bench.timestamps,
            evidence=Evidence(material.certificates, material.crls),
            purposes={KeyPurpose.ACT_SEAL},
            now=bench.now,
        )
        pytest.fail(name)

    with pytest.raises(SignatureRefused):
        judge()


def test_a_timestamp_of_another_authority(roomy: tuple[Path, bytes], pdf_bench: Any, tmp_path: Path) -> None:
    path, cms = roomy
    parts = Parts(cms)
    other = DevPki.open(tmp_path / "pki", pdf_bench.now - timedelta(minutes=1))
    unit = other.timestamp
    clock = SimpleNamespace(now=lambda: pdf_bench.now)
    authority = EmbeddedAuthority(unit, (unit.certificate, *unit.chain), "1.3.6.1.4.1.99999.1", clock)
    token = authority.token(hashlib.sha256(parts.values["signature"]).digest()).der
    kind = bytes.fromhex("060b2a864886f70d010910020e")
    encoded = parts.encode(unsigned_attributes=tlv(0x30, kind, tlv(0x31, token)))
    start, end = gap(path.read_bytes())
    if 2 * len(encoded) <= end - start:
        target = with_cms(path, encoded, tmp_path / "other.pdf")
        assert not passed(verdicts(target, pdf_bench.trust, pdf_bench.now))


# Flips


def flipped(path: Path, positions: Iterator[tuple[int, bytes]], bench: Any) -> int:
    """Write octets one position at a time, judge, put back; returns how many were judged."""
    data = path.read_bytes()
    handle = os.open(path, os.O_RDWR)
    count = 0
    try:
        for position, octets in positions:
            before = data[position : position + len(octets)]
            assert before != octets
            os.pwrite(handle, octets, position)
            assert not passed(verdicts(path, bench.trust, bench.now)), (position, before, octets)
            os.pwrite(handle, before, position)
            count += 1
    finally:
        os.close(handle)
    assert path.read_bytes() == data
    assert passed(verdicts(path, bench.trust, bench.now))
    return count


def test_one_bit_flipped_anywhere(roomy: tuple[Path, bytes], pdf_bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "flip.pdf"
    path.write_bytes(roomy[0].read_bytes())
    data = path.read_bytes()
    chance = random.Random(20261122)
    spots = [(chance.randrange(len(data)), 1 << chance.randrange(8)) for _ in range(400)]
    start, end = gap(data)
    # The edges of the gap and the whole padding, bit by bit.
    spots += [(where, 1 << bit) for where in (start - 1, start, end - 40, end - 1, end) for bit in range(8)]
    assert flipped(path, ((at, bytes([data[at] ^ bit])) for at, bit in spots), pdf_bench) == 440


def test_one_bit_flipped_throughout_the_cms(
    roomy: tuple[Path, bytes], pdf_bench: Any, tmp_path: Path
) -> None:
    """The hexadecimal digits stay digits, so that every flip reaches the CMS and the token inside.

    In one octet of three, from which one on changes with each day; in all of them, every bit, in the long form.
    """
    path = tmp_path / "flip.pdf"
    path.write_bytes(roomy[0].read_bytes())
    data = path.read_bytes()
    start, end = gap(data)
    chance = random.Random(7)
    contents = bytes.fromhex(data[start:end].decode())
    first = datetime.now(UTC).toordinal() % 3

    def flips() -> Iterator[tuple[int, bytes]]:
        for index in range(first, len(contents), 3):
            octet = contents[index]
            yield start + 2 * index, b"%02x" % (octet ^ (1 << chance.randrange(8)))

    assert flipped(path, flips(), pdf_bench) == len(range(first, len(contents), 3))


@pytest.mark.soak("flips")
@pytest.mark.timeout(3600)
def test_every_bit_of_a_sealed_act(roomy: tuple[Path, bytes], pdf_bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "flip.pdf"
    path.write_bytes(roomy[0].read_bytes())
    data = path.read_bytes()
    spots = ((at, bytes([data[at] ^ (1 << bit)])) for at in range(len(data)) for bit in range(8))
    assert flipped(path, spots, pdf_bench) == 8 * len(data)


@settings(max_examples=200)
@given(data=st.data())
def test_splices_are_refused_and_nothing_else(data: st.DataObject, sealed_pdf: Path, pdf_bench: Any) -> None:
    original = sealed_pdf.read_bytes()
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(original) - 1))
        changed[at : at + data.draw(st.integers(0, 40))] = data.draw(
            st.one_of(
                st.binary(max_size=20), st.sampled_from([b"endobj", b"/Kids [1 0 R]", b"[0 0 0 0]", b"null"])
            )
        )
    path = sealed_pdf.with_name("spliced.pdf")
    path.write_bytes(bytes(changed))
    if bytes(changed) != original:
        assert not passed(verdicts(path, pdf_bench.trust, pdf_bench.now))
