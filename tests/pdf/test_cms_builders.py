"""One contract and one property suite for both builders of the CMS of seals: ours, and pyHanko's as its judge."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms as asn1_cms
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from signing.cms import CmsSigner, parse_cms, verify_cms
from signing.cms_form import SignerForm, ascending, signed_attributes
from signing.cms_template import CmsTemplate
from signing.errors import SignatureRefused
from signing.pades import PadesSealer
from tests.pdf.pyhanko_cms import PyHankoCmsSigner, read
from timestamping.structure import assemble, own_attributes
from timestamping.template import TokenTemplate

# hypothesis adds the zone; from 2050 on pyHanko has no form for the time.
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
BUILDERS = {"prepared": CmsSigner, "pyhanko": PyHankoCmsSigner}
DIGEST = hashlib.sha256(b"content").digest()
AT = datetime(2026, 11, 22, 9, 30, 12, 345678, tzinfo=UTC)


@pytest.fixture(params=sorted(BUILDERS))
def builder(request: pytest.FixtureRequest) -> Any:
    return BUILDERS[request.param]


@pytest.fixture(params=["p256", "rsa-pss"])
def key(request: pytest.FixtureRequest, pdf_bench: Any) -> Any:
    return pdf_bench.key(request.param)


class Replayed:
    """A key that gives the same signature again and again, so that two builders can be compared octet for octet."""

    def __init__(self, key: Any) -> None:
        self.certificate = key.certificate
        self.chain = key.chain
        self.max_signature_size = key.max_signature_size
        self._key = key
        self._known: dict[bytes, bytes] = {}

    def sign(self, data: bytes) -> bytes:
        return self._known.setdefault(data, self._known.get(data) or self._key.sign(data))


@pytest.mark.parametrize("signing_time", [None, AT])
class TestContract:
    def test_it_is_our_own_form_and_verifies(
        self, builder: Any, key: Any, signing_time: datetime | None, pdf_bench: Any
    ) -> None:
        crls = () if signing_time is None else pdf_bench.pki.crls(pdf_bench.now)
        draft = builder(key).sign(DIGEST, signing_time=signing_time, certificates=key.chain, crls=crls)
        token = pdf_bench.authority.token(draft.imprint).der
        der = draft.finish(token)
        parsed = parse_cms(der, strict=True)
        report = verify_cms(parsed, DIGEST)
        assert set(report.certificates) == {key.certificate, *key.chain}
        assert (report.tokens, set(report.crls)) == ((token,), set(crls))
        assert report.signing_time == (signing_time and signing_time.replace(microsecond=0))
        with pytest.raises(SignatureRefused, match="content is not the one"):
            verify_cms(parsed, hashlib.sha256(b"other").digest())

    def test_pyhanko_finds_it_whole(
        self, builder: Any, key: Any, signing_time: datetime | None, pdf_bench: Any
    ) -> None:
        draft = builder(key).sign(DIGEST, signing_time=signing_time, certificates=key.chain, crls=())
        der = draft.finish(pdf_bench.authority.token(draft.imprint).der)
        info = asn1_cms.ContentInfo.load(der, strict=True)["content"]["signer_infos"][0]
        intact, valid = validate_sig_integrity(
            info,
            read(key.certificate),
            expected_content_type="data",
            actual_digest=DIGEST,
        )
        assert (intact, valid) == (True, True)

    def test_the_reserve_is_a_bound_and_nearly_reached(
        self, builder: Any, key: Any, signing_time: datetime | None, pdf_bench: Any
    ) -> None:
        signer = builder(key)
        size = pdf_bench.authority.expected_size
        bound = signer.max_size(key.chain, (), size, signing_time)
        for _ in range(3):
            draft = signer.sign(DIGEST, signing_time=signing_time, certificates=key.chain, crls=())
            used = len(draft.finish(pdf_bench.authority.token(draft.imprint).der))
            assert bound - 16 <= used <= bound


@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
def test_a_pdf_sealed_with_either_has_the_same_verdict(
    builder: Any, algorithm: str, pdf_bench: Any, simple_pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = PadesSealer.__init__

    def with_builder(self: PadesSealer, key: Any, **how: Any) -> None:
        made(self, key, **how)
        self._signer = builder(key)

    monkeypatch.setattr(PadesSealer, "__init__", with_builder)
    [signature] = pdf_bench.validate(pdf_bench.seal(simple_pdf, algorithm, state=True))
    assert (signature.level, signature.certification, signature.covers_whole_file) == ("B-T", 1, True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    digest=st.binary(min_size=32, max_size=32),
    signing_time=st.none() | st.datetimes(EPOCH, EPOCH.replace(year=2049), timezones=st.just(UTC)),
    issuers=st.integers(0, 3),
    lists=st.integers(0, 2),
    twice=st.booleans(),
)
def test_both_write_the_same_octets(
    digest: bytes,
    signing_time: datetime | None,
    issuers: int,
    lists: int,
    twice: bool,
    key: Any,
    pdf_bench: Any,
) -> None:
    replayed = Replayed(key)
    pki = pdf_bench.pki
    certificates = (*key.chain, pki.root, pki.timestamp.certificate)[:issuers] * (1 + twice)
    crls = pki.crls(pdf_bench.now)[:lists] * (1 + twice)
    drafts = [
        each(replayed).sign(digest, signing_time=signing_time, certificates=certificates, crls=crls)
        for each in (CmsSigner, PyHankoCmsSigner)
    ]
    token = pdf_bench.authority.token(drafts[0].imprint).der
    ours, theirs = (draft.finish(token) for draft in drafts)
    assert ours == theirs
    sizes = {
        each(replayed).max_size(certificates, crls, len(token), signing_time)
        for each in (CmsSigner, PyHankoCmsSigner)
    }
    assert len(sizes) == 1


def test_what_is_encoded_once_is_not_taken_for_something_else(key: Any, pdf_bench: Any) -> None:
    """Other tuples, and a list that grew, are encoded anew."""
    signer = CmsSigner(Replayed(key))
    changing = [*key.chain]
    for certificates in (key.chain, (), (*key.chain, pdf_bench.pki.root), changing, key.chain):
        draft = signer.sign(DIGEST, signing_time=None, certificates=certificates, crls=())
        assert len(draft.template.certificates) == 1 + len(certificates)
        bound = signer.max_size(certificates, (), 900, None)
        assert bound == CmsSigner(key).max_size(tuple(certificates), (), 900, None)
    changing.append(pdf_bench.pki.root)
    assert (
        len(signer.sign(DIGEST, signing_time=None, certificates=changing, crls=()).template.certificates) == 3
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    digest=st.binary(min_size=32, max_size=32),
    signing_time=st.none() | st.datetimes(EPOCH, EPOCH.replace(year=2049), timezones=st.just(UTC)),
    signature=st.binary(min_size=1, max_size=400),
    token=st.binary(min_size=1, max_size=400),
)
def test_a_cms_from_pieces_is_the_one_written_whole(
    digest: bytes, signing_time: datetime | None, signature: bytes, token: bytes, key: Any, pdf_bench: Any
) -> None:
    template = _template(key, pdf_bench)
    attributes = template.form.attributes(digest, signing_time)
    assert attributes == signed_attributes(digest, key.certificate, signing_time)
    whole = template.form.cms(attributes, signature, token, template.certificates, template.crls)
    for _ in range(2):
        assert template.cms(attributes, signature, token) == whole


@lru_cache
def _template(key: Any, bench: Any) -> CmsTemplate:
    certificates = [item.public_bytes(Encoding.DER) for item in (key.certificate, *key.chain)]
    return CmsTemplate(SignerForm.of(key.certificate), ascending(certificates), bench.pki.crls(bench.now))


@given(
    content=st.binary(min_size=32, max_size=300),
    signature=st.binary(min_size=1, max_size=400),
    certificates=st.lists(st.binary(max_size=60), max_size=3),
)
def test_tokens_from_pieces_are_the_assembled_ones(
    content: bytes, signature: bytes, certificates: list[bytes]
) -> None:
    fixed = (certificates, b"\x30\x00", hashlib.sha256(b"certificate").digest(), b"\x30\x01\x00")
    template = TokenTemplate(len(content), *fixed)
    digest = hashlib.sha256(content).digest()
    attributes = own_attributes(digest, fixed[2])
    for _ in range(2):
        whole = assemble(content, certificates, fixed[1], attributes, fixed[3], signature)
        assert template.token(content, digest, signature) == whole
    assert template.message(digest)[-len(attributes) :] == attributes
