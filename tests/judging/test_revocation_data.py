"""What CRLs and OCSP responses are believed to say of a certificate, and what they are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.ocsp import read_ocsps
from signing.revocation_data import Known, Moment, RevocationData, Standing, status
from tests.services.certificates import key_usage

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
AT = Moment(NOW, NOW, proven=False)
DELEGATED = ExtendedKeyUsageOID.OCSP_SIGNING


def asked(
    world: Any,
    *,
    crls: tuple[bytes, ...] = (),
    ocsps: tuple[bytes, ...] = (),
    moment: Moment = AT,
    holder: Any = None,
    others: tuple[x509.Certificate, ...] = (),
    timestamps: bool = False,
) -> Known:
    return status(
        (holder or world.signer).certificate,
        world.ca.certificate,
        RevocationData(crls, ocsps),
        others,
        moment,
        timestamps=timestamps,
    )


@pytest.fixture(scope="module")
def revoking(world: Any) -> bytes:
    state = ocsp.OCSPCertStatus.REVOKED
    made: bytes = world.ocsp(world.signer.certificate, world.ca, status=state, revoked=NOW - 2 * DAY)
    return made


class TestCrl:
    def test_good_unchecked_stale(self, world: Any) -> None:
        crl = world.crl(world.ca)
        known = asked(world, crls=(crl,))
        assert (known.standing, known.source, known.until) == (Standing.GOOD, crl, NOW + DAY)
        assert asked(world).standing is Standing.UNCHECKED
        for start, end in ((NOW - 3 * DAY, NOW - 2 * DAY), (NOW - 3 * DAY, NOW), (NOW - 5 * YEAR, NOW + DAY)):
            assert asked(world, crls=(world.crl(world.ca, start=start, end=end),)).standing is Standing.STALE
        later = world.crl(world.ca, start=NOW + DAY, end=NOW + 2 * DAY)
        assert asked(world, crls=(later,)).standing is Standing.UNCHECKED
        moment = Moment(NOW, NOW + 3 * DAY, proven=True)
        assert asked(world, crls=(later,), moment=moment).standing is Standing.GOOD

    def test_lists_of_others_say_nothing(self, world: Any) -> None:
        look_alike = world.authority("Signers CA", world.root)
        entry = [(world.signer.certificate, NOW - DAY, None)]
        for issuer in (look_alike, world.root):
            assert asked(world, crls=(world.crl(issuer, entry),)).standing is Standing.UNCHECKED
        assert asked(world, crls=(b"junk",)).standing is Standing.UNCHECKED

    def test_a_key_that_may_not_sign_lists(self, world: Any) -> None:
        key = world.key()
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        usage = key_usage("key_cert_sign")
        issuer = world.build("No CRLs", world.root, key, [(constraints, True), (usage, True)])
        holder = world.leaf("Under it", issuer)
        data = RevocationData((world.crl(issuer),))
        assert status(holder.certificate, issuer.certificate, data, (), AT).standing is Standing.UNCHECKED

    def test_revoked_when(self, world: Any) -> None:
        crl = world.crl(world.ca, [(world.signer.certificate, NOW - 5 * DAY, x509.ReasonFlags.superseded)])
        known = asked(world, crls=(crl,))
        assert (known.standing, known.revoked_at) == (Standing.REVOKED, NOW - 5 * DAY)
        before = Moment(NOW - 6 * DAY, NOW, proven=True)
        assert asked(world, crls=(crl,), moment=before).standing is Standing.GOOD
        assert asked(world, crls=(crl,), moment=before, timestamps=True).standing is Standing.GOOD
        compromised = world.crl(
            world.ca, [(world.signer.certificate, NOW - 5 * DAY, x509.ReasonFlags.key_compromise)]
        )
        assert asked(world, crls=(compromised,), moment=before, timestamps=True).standing is Standing.REVOKED

    def test_an_old_list_still_revokes(self, world: Any) -> None:
        entry = [(world.signer.certificate, NOW - 5 * DAY, None)]
        old = world.crl(world.ca, entry, start=NOW - 4 * DAY, end=NOW - 3 * DAY)
        assert asked(world, crls=(old, world.crl(world.ca))).standing is Standing.REVOKED

    def test_the_newest_decides_on_hold(self, world: Any) -> None:
        entry = [(world.signer.certificate, NOW - 5 * DAY, x509.ReasonFlags.certificate_hold)]
        held = world.crl(world.ca, entry)
        assert asked(world, crls=(held,)).standing is Standing.HELD
        old = world.crl(world.ca, entry, start=NOW - 4 * DAY, end=NOW + DAY)
        assert asked(world, crls=(old, world.crl(world.ca))).standing is Standing.GOOD
        assert asked(world, crls=(world.crl(world.ca, start=NOW - 4 * DAY), held)).standing is Standing.HELD

    @pytest.mark.parametrize(
        ("more", "good"),
        [
            ((x509.CRLNumber(7), False), True),
            ((x509.DeltaCRLIndicator(3), True), False),
            ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True), False),
            ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False), True),
        ],
    )
    def test_scope_by_extension(self, world: Any, more: Any, good: bool) -> None:
        crl = world.crl(world.ca, more=[more])
        assert (asked(world, crls=(crl,)).standing is Standing.GOOD) == good
        entry = [(world.signer.certificate, NOW - 5 * DAY, None)]
        assert asked(world, crls=(world.crl(world.ca, entry, more=[more]),)).standing is Standing.REVOKED

    @staticmethod
    def point(**members: Any) -> tuple[x509.ExtensionType, bool]:
        plain = {
            "full_name": None,
            "relative_name": None,
            "only_contains_user_certs": False,
            "only_contains_ca_certs": False,
            "only_some_reasons": None,
            "indirect_crl": False,
            "only_contains_attribute_certs": False,
        }
        return x509.IssuingDistributionPoint(**{**plain, **members}), True

    def test_scope_by_distribution_point(self, world: Any) -> None:
        def good(crl: bytes, holder: Any = None) -> bool:
            return asked(world, crls=(crl,), holder=holder).standing is Standing.GOOD

        assert good(world.crl(world.ca, more=[self.point(only_contains_user_certs=True)]))
        for members in (
            {"only_contains_ca_certs": True},
            {"indirect_crl": True},
            {"only_contains_attribute_certs": True},
            {"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})},
        ):
            assert not good(world.crl(world.ca, more=[self.point(**members)]))
        shard = [x509.UniformResourceIdentifier("http://ca.example/1.crl")]
        other = [x509.UniformResourceIdentifier("http://ca.example/2.crl")]
        pointing = world.leaf(
            "Pointing",
            world.ca,
            more=[x509.CRLDistributionPoints([x509.DistributionPoint(shard, None, None, None)])],
        )
        assert good(world.crl(world.ca, more=[self.point(full_name=shard)]), pointing)
        assert not good(world.crl(world.ca, more=[self.point(full_name=other)]), pointing)
        assert not good(world.crl(world.ca, more=[self.point(full_name=shard)]))

    def test_a_list_after_the_certificates_end(self, world: Any) -> None:
        holder = world.leaf("Old", world.ca, end=NOW - 5 * DAY)
        moment = Moment(NOW - 6 * DAY, NOW, proven=True)
        crl = world.crl(world.ca)
        assert asked(world, crls=(crl,), holder=holder, moment=moment).standing is Standing.STALE
        for since, standing in ((b"20200101000000Z", Standing.GOOD), (b"20260601000000Z", Standing.STALE)):
            value = b"\x18\x0f" + since
            keeps = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.60"), value)
            crl = world.crl(world.ca, more=[(keeps, False)])
            assert asked(world, crls=(crl,), holder=holder, moment=moment).standing is standing

    @pytest.mark.parametrize("oid", ["0.4.0.194121.2.1", "2.5.29.56"])
    def test_certificates_that_are_never_revoked(self, world: Any, oid: str) -> None:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00")
        holder = world.leaf("Short", world.ca, more=[extension])
        assert asked(world, holder=holder).standing is Standing.GOOD

    def test_sha1_lists_have_their_time(self, world: Any) -> None:
        weak = world.weak_crl(world.ca)
        assert asked(world, crls=(weak,)).standing is Standing.STALE
        entry = world.weak_crl(world.ca, [(world.signer.certificate, NOW - 5 * DAY, None)])
        assert asked(world, crls=(entry,)).standing is Standing.REVOKED


class TestOcsp:
    @pytest.mark.parametrize("by_name", [False, True])
    @pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()])
    def test_the_issuer_answers(self, world: Any, by_name: bool, digest: hashes.HashAlgorithm) -> None:
        response = world.ocsp(world.signer.certificate, world.ca, by_name=by_name, digest=digest)
        known = asked(world, ocsps=(response,))
        assert (known.standing, known.source) == (Standing.GOOD, response)
        basic = asn1_ocsp.OCSPResponse.load(response)["response_bytes"]["response"].parsed.dump()
        assert asked(world, ocsps=(basic,)).standing is Standing.GOOD

    def test_a_delegated_responder(self, world: Any) -> None:
        certificate = world.signer.certificate
        unchecked = world.leaf("OCSP", world.ca, usage=DELEGATED, more=[x509.OCSPNoCheck()])
        assert asked(world, ocsps=(world.ocsp(certificate, world.ca, unchecked),)).standing is Standing.GOOD
        plain = world.leaf("OCSP", world.ca, usage=DELEGATED)
        response = world.ocsp(certificate, world.ca, plain)
        assert asked(world, ocsps=(response,)).standing is Standing.STALE
        assert asked(world, ocsps=(response,), crls=(world.crl(world.ca),)).standing is Standing.GOOD
        outside = world.ocsp(certificate, world.ca, unchecked, inside=False)
        assert asked(world, ocsps=(outside,)).standing is Standing.UNCHECKED
        found = asked(world, ocsps=(outside,), others=(unchecked.certificate,))
        assert found.standing is Standing.GOOD

    def test_a_revoked_responder(self, world: Any) -> None:
        responder = world.leaf("OCSP", world.ca, usage=DELEGATED)
        response = world.ocsp(world.signer.certificate, world.ca, responder)
        old = world.crl(
            world.ca, [(responder.certificate, NOW - 5 * DAY, None)], start=NOW - 4 * DAY, end=NOW - 3 * DAY
        )
        assert asked(world, ocsps=(response,), crls=(old,)).standing is Standing.STALE

    def test_strangers_do_not_answer(self, world: Any) -> None:
        certificate = world.signer.certificate
        for responder in (
            world.leaf("No usage", world.ca),
            world.leaf("Elsewhere", world.root, usage=DELEGATED, more=[x509.OCSPNoCheck()]),
            world.leaf("Ended", world.ca, usage=DELEGATED, more=[x509.OCSPNoCheck()], end=NOW - 9 * DAY),
            world.root,
        ):
            for state in (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED):
                revoked = NOW - 2 * DAY if state is ocsp.OCSPCertStatus.REVOKED else None
                response = world.ocsp(certificate, world.ca, responder, status=state, revoked=revoked)
                assert asked(world, ocsps=(response,)).standing is Standing.UNCHECKED

    def test_answers_about_others_say_nothing(self, world: Any) -> None:
        other = world.leaf("Other", world.ca)
        assert asked(world, ocsps=(world.ocsp(other.certificate, world.ca),)).standing is Standing.UNCHECKED
        twin = world.authority("Signers CA", world.root)
        response = world.ocsp(world.signer.certificate, twin, world.ca)
        assert asked(world, ocsps=(response,)).standing is Standing.UNCHECKED

    def test_times(self, world: Any) -> None:
        certificate = world.signer.certificate

        def at(this: datetime, following: datetime | None, moment: Moment = AT) -> Standing:
            response = world.ocsp(certificate, world.ca, at=this, until=following)
            return asked(world, ocsps=(response,), moment=moment).standing

        assert at(NOW - 3 * DAY, NOW - 2 * DAY) is Standing.STALE
        assert at(NOW - 5 * YEAR, NOW + DAY) is Standing.STALE
        assert at(NOW - 3 * DAY, None) is Standing.STALE
        earlier = Moment(NOW - 4 * DAY, NOW, proven=True)
        assert at(NOW - 3 * DAY, None, earlier) is Standing.GOOD
        assert at(NOW - 3 * DAY, NOW - 2 * DAY, earlier) is Standing.GOOD

    def test_revoked_and_unknown(self, world: Any) -> None:
        certificate = world.signer.certificate
        revoked = world.ocsp(
            certificate,
            world.ca,
            status=ocsp.OCSPCertStatus.REVOKED,
            revoked=NOW - 2 * DAY,
            reason=x509.ReasonFlags.superseded,
        )
        known = asked(world, ocsps=(revoked,))
        assert (known.standing, known.revoked_at, known.reason) == (
            Standing.REVOKED,
            NOW - 2 * DAY,
            "superseded",
        )
        earlier = Moment(NOW - 4 * DAY, NOW, proven=True)
        assert asked(world, ocsps=(revoked,), moment=earlier).standing is Standing.GOOD
        unknown = world.ocsp(certificate, world.ca, status=ocsp.OCSPCertStatus.UNKNOWN)
        assert asked(world, ocsps=(unknown,)).standing is Standing.STALE
        held = world.ocsp(
            certificate,
            world.ca,
            status=ocsp.OCSPCertStatus.REVOKED,
            revoked=NOW - 2 * DAY,
            reason=x509.ReasonFlags.certificate_hold,
        )
        assert asked(world, ocsps=(held,)).standing is Standing.HELD

    def test_no_success_and_junk(self, world: Any) -> None:
        later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        assert read_ocsps([later.public_bytes(Encoding.DER), b"", b"junk", b"\x30\x80" * 300]) == []

    @settings(max_examples=150, deadline=None)
    @given(place=st.integers(0, 10_000), change=st.integers(1, 255))
    def test_a_changed_octet_never_makes_it_say_more(
        self, world: Any, revoking: bytes, place: int, change: int
    ) -> None:
        response = bytearray(revoking)
        response[place % len(response)] ^= change
        known = asked(world, ocsps=(bytes(response),))
        assert known.standing in {Standing.UNCHECKED, Standing.REVOKED}
