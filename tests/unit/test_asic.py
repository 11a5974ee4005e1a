"""ASiC-E manifests: one form for ours, a narrow door for others, hostile XML outside."""

from __future__ import annotations

import hashlib
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.asic import Manifest, Reference, build_manifest, check_references, parse_manifest
from signing.errors import ContainerRefused, SignatureRefused
from signing.strict_zip import name_problem

SIGNATURE = "META-INF/signature001.p7s"
DIGEST = hashlib.sha256(b"content").digest()
ONE = Reference("document/Acte de naissance – Zoé + Théo & Cie.pdf", "application/pdf", DIGEST)
TWO = Reference("ledger/entries/7.json", "application/json", hashlib.sha256(b"").digest())
DATA = Path(__file__).parents[1] / "data" / "asic"


def test_round_trip_in_one_form() -> None:
    data = build_manifest(SIGNATURE, [ONE, TWO])
    assert parse_manifest(data) == Manifest(SIGNATURE, (ONE, TWO))
    assert build_manifest(SIGNATURE, [ONE, TWO]) == data


def test_the_form_is_that_of_the_standard() -> None:
    root = ET.fromstring(build_manifest(SIGNATURE, [ONE]))
    asic, ds = "{http://uri.etsi.org/02918/v1.2.1#}", "{http://www.w3.org/2000/09/xmldsig#}"
    assert root.tag == f"{asic}ASiCManifest"
    signature, reference = root
    assert (signature.tag, signature.get("URI")) == (f"{asic}SigReference", SIGNATURE)
    assert signature.get("MimeType") == "application/pkcs7-signature"
    assert (reference.tag, reference.get("MimeType")) == (f"{asic}DataObjectReference", "application/pdf")
    # As EU DSS decodes: form decoding, where a bare + would become a space.
    assert unquote_plus(reference.get("URI", "")) == ONE.name
    assert reference[0].get("Algorithm") == "http://www.w3.org/2001/04/xmlenc#sha256"
    assert reference[1].tag == f"{ds}DigestValue"


@given(
    st.lists(
        st.text(min_size=1, max_size=20).filter(lambda name: name_problem(name) is None),
        unique=True,
        min_size=1,
    )
)
def test_any_fit_name_survives(names: list[str]) -> None:
    references = [Reference(name, "text/plain", DIGEST) for name in names]
    data = build_manifest(SIGNATURE, references)
    assert data.isascii()
    assert parse_manifest(data).references == tuple(references)


@pytest.mark.parametrize(
    "references",
    [
        [],
        [ONE, ONE],
        [Reference("../etc/passwd", "text/plain", DIGEST)],
        [Reference("a\x00", "text/plain", DIGEST)],
        [Reference("a", "text", DIGEST)],
        [Reference("a", 'text/plain" Rootfile="true', DIGEST)],
        [Reference("a", "text/plain", DIGEST[:31])],
    ],
)
def test_unfit_references_are_not_written(references: list[Reference]) -> None:
    with pytest.raises(ContainerRefused):
        build_manifest(SIGNATURE, references)


GOOD = build_manifest(SIGNATURE, [ONE, TWO]).decode()
LOL = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GOOD.replace(HEAD, HEAD + LOL), id="entity-bomb"),
        pytest.param(GOOD.replace(HEAD, HEAD + FILE), id="external-entity"),
        pytest.param(GOOD.replace(HEAD, HEAD + "<!DOCTYPE asic SYSTEM 'http://x.example/'>"), id="doctype"),
        pytest.param(GOOD.replace(HEAD, HEAD + "<!-- -->"), id="comment"),
        pytest.param(GOOD.replace(HEAD, HEAD + "<?php ?>"), id="processing-instruction"),
        pytest.param(GOOD.replace("<ds:DigestValue>", "<ds:DigestValue><![CDATA[]]>"), id="cdata"),
        pytest.param(GOOD.replace("02918/v1.2.1#", "02918/v1.1.1#"), id="other-namespace"),
        pytest.param(GOOD.replace("xmldsig#", "xmldsig"), id="other-digest-namespace"),
        pytest.param(GOOD.replace(' xmlns:ds="http://www.w3.org/2000/09/xmldsig#"', ""), id="unbound-prefix"),
        pytest.param(GOOD.replace("xmlenc#sha256", "xmlenc#sha512"), id="other-digest"),
        pytest.param(GOOD.replace("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1"), id="sha1"),
        pytest.param(GOOD.replace("DataObjectReference", "Reference"), id="unknown-element"),
        pytest.param(
            GOOD.replace(' MimeType="application/json"', ' MimeType="application/json" Id="x"'),
            id="attribute",
        ),
        pytest.param(GOOD.replace("7.json", "..%2F7.json"), id="encoded-traversal"),
        pytest.param(GOOD.replace("7.json", "7%00.json"), id="encoded-nul"),
        pytest.param(GOOD.replace("7.json", "%FF.json"), id="not-utf8"),
        pytest.param(GOOD.replace("ledger/entries/7.json", "/etc/passwd"), id="absolute"),
        pytest.param(GOOD.replace("ledger/entries/7.json", "file:///etc/passwd"), id="scheme"),
        pytest.param(GOOD.replace("ledger/entries/7.json", ""), id="empty-uri"),
        pytest.param(
            GOOD.replace(
                f'<asic:SigReference URI="{SIGNATURE}" MimeType="application/pkcs7-signature"/>\n', ""
            ),
            id="no-signature",
        ),
        pytest.param(
            GOOD.replace(
                "</asic:ASiCManifest>", f'<asic:SigReference URI="{SIGNATURE}"/></asic:ASiCManifest>'
            ),
            id="two-signatures",
        ),
        pytest.param(
            GOOD.replace("</ds:DigestValue>", "</ds:DigestValue><ds:DigestValue>AA==</ds:DigestValue>"),
            id="two-digests",
        ),
        pytest.param(GOOD.replace("</ds:DigestValue>", "=</ds:DigestValue>", 1), id="not-base64"),
        pytest.param(GOOD.replace("<ds:DigestMethod", "text<ds:DigestMethod"), id="text-out-of-place"),
        pytest.param(GOOD + GOOD, id="twice"),
        pytest.param(GOOD[:-5], id="cut"),
        pytest.param("", id="empty"),
        pytest.param("<a>" * 100_000, id="deep"),
        pytest.param(" " * (17 << 20), id="huge"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_hostile_manifests(data: str, strict: bool) -> None:
    assert data != GOOD
    with pytest.raises(SignatureRefused) as caught:
        parse_manifest(data.encode(), strict=strict)
    assert caught.value.code == "FORMAT_FAILURE"


@pytest.mark.parametrize(
    "data",
    [
        GOOD.replace("\n", ""),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("%20", "+"),
        GOOD.replace("asic:", "a:").replace(":asic=", ":a="),
        GOOD.replace('URI="META', "URI='META").replace('.p7s"', ".p7s'"),
        GOOD.replace("%C3%A9", "%c3%a9"),
        GOOD.replace("%C3%A9", "&#37;C3%A9"),
        GOOD.replace("document", "%64ocument"),
        GOOD.replace("/>", " />"),
        GOOD.encode("utf-16").decode("latin-1"),
        GOOD.replace(HEAD, ""),
    ],
)
def test_ours_has_no_second_spelling(data: str) -> None:
    if data == GOOD:
        pytest.fail("nothing was changed")
    with pytest.raises(SignatureRefused):
        parse_manifest(data.encode("latin-1"))


def test_every_bit_of_ours_matters() -> None:
    """A flip is refused, or changes what the manifest says."""
    good = build_manifest(SIGNATURE, [ONE])
    meaning = parse_manifest(good)
    for position in range(len(good)):
        for bit in range(8):
            mutant = bytearray(good)
            mutant[position] ^= 1 << bit
            with suppress(SignatureRefused):
                assert parse_manifest(bytes(mutant)) != meaning


@given(st.binary(max_size=300))
def test_garbage_ends_in_a_refusal(data: bytes) -> None:
    for strict in (True, False):
        with pytest.raises(SignatureRefused):
            parse_manifest(data, strict=strict)


def test_a_manifest_of_other_software() -> None:
    with zipfile.ZipFile(DATA / "dss-onefile-ok.asice") as archive:
        data = archive.read("META-INF/ASiCManifest.xml")
        content = archive.read("test.text")
    manifest = parse_manifest(data, strict=False)
    assert manifest.signature_name == SIGNATURE
    check_references(manifest, {"test.text": hashlib.sha256(content).digest()})
    with pytest.raises(SignatureRefused):
        parse_manifest(data, strict=True)


def test_files_are_checked_against_the_manifest() -> None:
    manifest = Manifest(SIGNATURE, (ONE, TWO))
    files = {ONE.name: ONE.sha256, TWO.name: TWO.sha256}
    check_references(manifest, files, whole=files)
    check_references(manifest, files | {"more": DIGEST})
    for digests, whole, code in (
        ({ONE.name: ONE.sha256}, (), "SIGNED_DATA_NOT_FOUND"),
        (files | {TWO.name: ONE.sha256}, (), "HASH_FAILURE"),
        (files | {"more": DIGEST}, ("more",), "FORMAT_FAILURE"),
    ):
        with pytest.raises(SignatureRefused) as caught:
            check_references(manifest, digests, whole=whole)
        assert caught.value.code == code
