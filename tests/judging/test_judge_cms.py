"""What judging says of CMS signatures of other makers, and of their times, paths and revocation data."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.algorithms import TABLE
from signing.foreign_cms import content_inside, signer_count
from signing.judge_times import hash_of, judge_token
from signing.judgement import JudgedSignature, JudgingPolicy, OutsideData
from signing.judging import gather
from signing.trust import TrustStore
from timestamping.verify import Rfc3161Verifier

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
CONTENT = b"what was signed"


def code(judged: JudgedSignature) -> str:
    error = judged.error
    return "" if error is None else error.code + (" ?" if error.indeterminate else "")


def step(judged: JudgedSignature, name: str) -> Any:
    return next(item for item in judged.steps if item.name == name)


class TestForm:
    def test_a_plain_signature_is_good_at_the_control_time(self, world: Any) -> None:
        judged = world.judge(world.sign())
        assert code(judged) == ""
        assert (judged.form, judged.level, judged.time_source) == ("CAdES", "B-B", "now")
        assert judged.signer == world.signer.certificate
        assert [item.subject for item in judged.path] == [
            holder.certificate.subject for holder in (world.signer, world.ca, world.root)
        ]
        assert judged.best_time == NOW
        assert judged.claimed_time == NOW - DAY
        assert step(judged, "revocation").unchecked

    def test_the_asked_time_is_named(self, world: Any) -> None:
        judged = world.judge(world.sign(), at=NOW - 30 * DAY)
        assert (code(judged), judged.time_source, judged.best_time) == ("", "asked", NOW - 30 * DAY)

    def test_another_content(self, world: Any) -> None:
        judged = world.judge(world.sign(), content=b"another")
        assert code(judged) == "HASH_FAILURE"
        assert judged.level == ""
        assert judged.path  # the other steps were made

    def test_a_broken_signature_value(self, world: Any) -> None:
        der = bytearray(world.sign())
        der[-1] ^= 1
        assert code(world.judge(bytes(der))) in {"SIG_CRYPTO_FAILURE", "CRYPTO_CONSTRAINTS_FAILURE ?"}

    def test_binding_is_demanded_of_cades_only(self, world: Any) -> None:
        der = world.sign(bound=False)
        assert code(world.judge(der)) == "SIG_CONSTRAINTS_FAILURE ?"
        plain = world.judge(der, form="PKCS7")
        assert (code(plain), plain.level) == ("", "B")

    @pytest.mark.parametrize("form", ["CAdES", "PKCS7"])
    def test_a_stated_certificate_must_be_the_signers(self, world: Any, form: str) -> None:
        der = world.sign(stated=world.ca.certificate)
        assert code(world.judge(der, form=form)) == "NO_SIGNING_CERTIFICATE_FOUND ?"

    def test_without_signed_attributes(self, world: Any) -> None:
        der = world.sign(attributes=False)
        assert code(world.judge(der, form="PKCS7")) == ""
        assert code(world.judge(der, form="PKCS7", content=b"another")) == "SIG_CRYPTO_FAILURE"
        assert code(world.judge(der)) == "SIG_CONSTRAINTS_FAILURE ?"

    def test_content_inside(self, world: Any) -> None:
        der = world.sign(inside=CONTENT)
        assert content_inside(der) == CONTENT
        assert code(world.judge(der)) == "FORMAT_FAILURE"
        assert code(world.judge(der, attached=True)) == ""
        assert code(world.judge(world.sign(), attached=True)) == "FORMAT_FAILURE"
        assert content_inside(world.sign()) is None

    def test_two_signers(self, world: Any) -> None:
        der = world.sign(signers=2)
        assert signer_count(der) == 2
        assert code(world.judge(der)) == "FORMAT_FAILURE"
        assert code(world.judge(der, number=1)) == ""

    def test_a_doubled_attribute(self, world: Any) -> None:
        for kind, value in (
            ("message_digest", hashlib.sha256(CONTENT).digest()),
            ("signing_time", cms.Time({"utc_time": core.UTCTime(NOW)})),
            ("content_type", "data"),
        ):
            more = cms.CMSAttribute({"type": kind, "values": [value]})
            assert code(world.judge(world.sign(more=[more]))) == "FORMAT_FAILURE"

    def test_an_unknown_attribute_may_have_several_values(self, world: Any) -> None:
        more = cms.CMSAttribute({"type": "1.2.3.4.5", "values": [core.Integer(1), core.Integer(2)]})
        assert code(world.judge(world.sign(more=[more]))) == ""

    def test_the_certificate_may_come_from_outside(self, world: Any) -> None:
        der = world.sign(certificates=())
        assert code(world.judge(der)) == "NO_SIGNING_CERTIFICATE_FOUND ?"
        outside = OutsideData(certificates=(world.signer.certificate, world.ca.certificate))
        assert code(world.judge(der, outside=outside)) == ""

    @pytest.mark.parametrize("octets", [b"", b"\x30\x80" * 500, b"junk", bytes(100)])
    def test_junk(self, world: Any, octets: bytes) -> None:
        judged = world.judge(octets)
        assert code(judged) == "FORMAT_FAILURE"
        assert judged.signer is None

    def test_trailing_octets(self, world: Any) -> None:
        assert code(world.judge(world.sign() + b"\x00")) == "FORMAT_FAILURE"


class TestRoles:
    @pytest.mark.parametrize(
        "usage",
        [
            ExtendedKeyUsageOID.TIME_STAMPING,
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.OCSP_SIGNING,
        ],
    )
    def test_certificates_for_other_things(self, world: Any, usage: Any) -> None:
        holder = world.leaf("Other", world.ca, usage=usage)
        assert code(world.judge(world.sign(signer=holder))) == "SIG_CONSTRAINTS_FAILURE ?"

    def test_an_authority_signs_no_documents(self, world: Any) -> None:
        assert code(world.judge(world.sign(signer=world.ca))) == "SIG_CONSTRAINTS_FAILURE ?"


class TestPath:
    def test_a_stranger(self, world: Any) -> None:
        judged = world.judge(world.sign(), anchors=())
        assert code(judged) == "NO_CERTIFICATE_CHAIN_FOUND ?"
        assert judged.signer == world.signer.certificate
        assert judged.path == ()

    def test_a_trusted_certificate_is_its_own_path(self, world: Any) -> None:
        alone = world.leaf("Alone", None)
        der = world.sign(signer=alone, certificates=[alone.certificate])
        judged = world.judge(der, anchors=[alone.certificate])
        assert (code(judged), judged.path) == ("", (alone.certificate,))
        assert (
            code(world.judge(der, anchors=[alone.certificate], at=NOW + 3 * YEAR)) == "OUT_OF_BOUNDS_NO_POE ?"
        )
        assert code(world.judge(der)) == "NO_CERTIFICATE_CHAIN_FOUND ?"

    def test_an_anchor_may_be_in_the_middle(self, world: Any) -> None:
        judged = world.judge(world.sign(), anchors=[world.ca.certificate])
        assert (code(judged), len(judged.path)) == ("", 2)

    def test_after_its_end(self, world: Any) -> None:
        holder = world.leaf("Old", world.ca, end=NOW - DAY)
        der = world.sign(signer=holder, claimed=NOW - 5 * DAY)
        judged = world.judge(der)
        assert code(judged) == "OUT_OF_BOUNDS_NO_POE ?"
        assert len(judged.path) == 3
        assert code(world.judge(der, at=NOW - 2 * DAY)) == ""
        crl = world.crl(world.ca, start=NOW - 2 * DAY)
        known = world.judge(der, outside=OutsideData(crls=(crl, world.crl(world.root))))
        assert code(known) == "OUT_OF_BOUNDS_NOT_REVOKED ?"
        assert code(world.judge(der, proofs=[NOW - 3 * DAY])) == ""

    def test_before_its_beginning(self, world: Any) -> None:
        holder = world.leaf("New", world.ca, start=NOW - DAY)
        der = world.sign(signer=holder)
        assert code(world.judge(der, at=NOW - 3 * DAY)) == "OUT_OF_BOUNDS_NO_POE ?"
        assert code(world.judge(der, proofs=[NOW - 3 * DAY])) == "NOT_YET_VALID"
        stamped = world.sign(signer=holder, tokens=[world.stamp(NOW - 3 * DAY)])
        assert code(world.judge(stamped)) == "NOT_YET_VALID"

    def test_expired_before_the_content_was_stamped(self, world: Any) -> None:
        holder = world.leaf("Old", world.ca, end=NOW - 5 * DAY)
        token = cms.ContentInfo.load(world.token(CONTENT, NOW - 3 * DAY))
        more = cms.CMSAttribute({"type": "1.2.840.113549.1.9.16.2.20", "values": [token]})
        judged = world.judge(world.sign(signer=holder, more=[more]))
        assert code(judged) == "EXPIRED"
        assert judged.timestamps[0].kind == "content"

    def test_small_keys(self, world: Any) -> None:
        key = rsa.generate_private_key(65537, 1024)
        holder = world.leaf("Small", world.ca, key=key)
        assert code(world.judge(world.sign(signer=holder))) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE ?"


class TestAlgorithms:
    def test_sha1_has_its_time(self, world: Any) -> None:
        old = datetime(2010, 5, 1, tzinfo=UTC)
        span = {"start": old - YEAR, "end": old + 20 * YEAR}
        root = world.authority("Old root", None, **span)
        holder = world.leaf("Old signer", root, **span)
        tsa = world.leaf("Old TSA", root, usage=ExtendedKeyUsageOID.TIME_STAMPING, **span)
        anchors = {"anchors": [root.certificate], "tsa_anchors": [root.certificate]}
        made = {"signer": holder, "certificates": [holder.certificate], "digest": "sha1"}
        der = world.sign(**made)
        assert code(world.judge(der, **anchors)) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE ?"
        assert code(world.judge(der, at=old, **anchors)) == ""
        stamped = world.sign(tokens=[world.stamp(old, tsa)], **made)
        assert code(world.judge(stamped, **anchors)) == ""
        late = world.sign(tokens=[world.stamp(datetime(2013, 1, 1, tzinfo=UTC), tsa)], **made)
        assert code(world.judge(late, **anchors)) == "CRYPTO_CONSTRAINTS_FAILURE ?"
        weak = world.sign(tokens=[world.stamp(old, tsa, digest="sha1")], **made)
        judged = world.judge(weak, **anchors)
        assert code(judged) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE ?"
        assert judged.timestamps[0].error is not None
        assert judged.timestamps[0].error.code == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
        assert code(world.judge(weak, proofs=[old + DAY], **anchors)) == ""

    def test_a_path_of_its_time(self, world: Any) -> None:
        old = datetime(2010, 5, 1, tzinfo=UTC)
        span = {"start": old - YEAR, "end": old + 20 * YEAR}
        root = world.authority("Old root", None, **span)
        holder = world.weaken(world.leaf("Old signer", root, **span), root)
        der = world.sign(signer=holder, certificates=[holder.certificate])
        judged = world.judge(der, anchors=[root.certificate])
        assert code(judged) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE ?"
        assert len(judged.path) == 2
        assert code(world.judge(der, anchors=[root.certificate], at=old)) == ""
        assert code(world.judge(der, anchors=[world.root.certificate])) == "NO_CERTIFICATE_CHAIN_FOUND ?"


class TestTimestamps:
    def test_the_time_that_a_timestamp_proves(self, world: Any) -> None:
        holder = world.leaf("Old", world.ca, end=NOW - DAY)
        der = world.sign(signer=holder, tokens=[world.stamp(NOW - 2 * DAY), world.stamp(NOW - 3 * DAY)])
        judged = world.judge(der)
        assert code(judged) == ""
        assert (judged.level, judged.time_source, judged.best_time) == ("B-T", "timestamp", NOW - 3 * DAY)
        assert [item.gen_time for item in judged.timestamps] == [NOW - 3 * DAY, NOW - 2 * DAY]

    def test_one_over_something_else_fails(self, world: Any) -> None:
        judged = world.judge(world.sign(tokens=[world.token(b"something else", NOW - DAY)]))
        assert code(judged) == "HASH_FAILURE"
        assert step(judged, "timestamp[0]").error is not None

    def test_one_of_an_unknown_authority_does_not_count(self, world: Any) -> None:
        der = world.sign(tokens=[world.stamp(NOW - 3 * DAY)])
        judged = world.judge(der, tsa_anchors=[world.signer.certificate])
        assert (code(judged), judged.level, judged.time_source) == ("", "B-B", "now")
        assert step(judged, "timestamp[0]").unchecked
        assert judged.timestamps[0].error is not None
        assert judged.timestamps[0].signer == world.tsa.certificate

    def test_one_later_than_the_asked_time_does_not_count(self, world: Any) -> None:
        judged = world.judge(world.sign(tokens=[world.stamp(NOW - DAY)]), at=NOW - 3 * DAY)
        assert (code(judged), judged.level, judged.best_time) == ("", "B-B", NOW - 3 * DAY)

    def test_one_by_a_certificate_for_documents_does_not_count(self, world: Any) -> None:
        judged = world.judge(world.sign(tokens=[world.stamp(NOW - DAY, world.signer)]))
        assert (code(judged), judged.level) == ("", "B-B")

    def test_a_trusted_authority_certificate(self, world: Any) -> None:
        judged = world.judge(world.sign(tokens=[world.stamp(NOW - DAY)]), tsa_anchors=[world.tsa.certificate])
        assert (code(judged), judged.level) == ("", "B-T")

    def test_an_expired_authority_does_not_hurt(self, world: Any) -> None:
        tsa = world.leaf("Old", world.root, usage=ExtendedKeyUsageOID.TIME_STAMPING, end=NOW - DAY)
        judged = world.judge(world.sign(tokens=[world.stamp(NOW - 2 * DAY, tsa)]))
        assert (code(judged), judged.level) == ("", "B-T")
        late = world.judge(world.sign(tokens=[world.stamp(NOW - timedelta(hours=1), tsa)]))
        assert (code(late), late.level) == ("", "B-B")

    def test_a_revoked_authority(self, world: Any) -> None:
        der = world.sign(tokens=[world.stamp(NOW - 3 * DAY)])
        compromised = x509.ReasonFlags.key_compromise
        for date, reason, level in (
            (NOW - DAY, compromised, "B-B"),
            (NOW - DAY, None, "B-B"),
            (NOW - DAY, x509.ReasonFlags.superseded, "B-T"),
            (NOW - 4 * DAY, x509.ReasonFlags.superseded, "B-B"),
        ):
            crl = world.crl(
                world.root, [(world.tsa.certificate, date, reason)], start=NOW - timedelta(hours=1)
            )
            judged = world.judge(der, outside=OutsideData(crls=(crl,)))
            assert (judged.timestamps[0].error is None) == (level == "B-T")

    def test_what_covers_more_is_not_older(self, world: Any) -> None:
        der = world.sign(tokens=[world.stamp(NOW - 2 * DAY)])
        assert code(world.judge(der, proofs=[NOW - 3 * DAY])) == "TIMESTAMP_ORDER_FAILURE ?"
        assert code(world.judge(der, proofs=[NOW - DAY])) == ""
        content = cms.ContentInfo.load(world.token(CONTENT, NOW - DAY))
        more = cms.CMSAttribute({"type": "1.2.840.113549.1.9.16.2.20", "values": [content]})
        der = world.sign(more=[more], tokens=[world.stamp(NOW - 2 * DAY)])
        assert code(world.judge(der)) == "TIMESTAMP_ORDER_FAILURE ?"

    def test_a_token_in_ber_is_not_judged(self, world: Any) -> None:
        token = world.token(b"x", NOW - DAY)
        assert token[1] == 0x82
        for octets, expected in ((token, ""), (b"\x30\x80" + token[4:] + b"\x00\x00", "UNSUPPORTED")):
            trust = TrustStore([world.root.certificate])
            judging = gather(
                trust,
                trust,
                lambda paths: Rfc3161Verifier(paths, rule=TABLE),
                JudgingPolicy(NOW),
                OutsideData(),
            )
            error = judge_token(judging, octets, hash_of(b"x"), kind="signature", existed=None).judged.error
            assert (error is None) == (not expected)
            assert error is None or (error.code, error.indeterminate) == (
                "SIGNATURE_FORMAT_UNSUPPORTED",
                True,
            )

    def test_junk_as_a_token_fails(self, world: Any) -> None:
        junk = cms.ContentInfo({"content_type": "data", "content": b"x"}).dump()
        assert code(world.judge(world.sign(tokens=[junk]))) == "FORMAT_FAILURE"


class TestRevocation:
    def test_good_needs_data_that_covers_the_time(self, world: Any) -> None:
        crls = (world.crl(world.ca), world.crl(world.root))
        judged = world.judge(world.sign(), outside=OutsideData(crls=crls), need=True)
        assert code(judged) == ""
        assert not step(judged, "revocation").unchecked
        assert code(world.judge(world.sign(), need=True)) == "TRY_LATER ?"
        old = world.crl(world.ca, start=NOW - 9 * DAY, end=NOW - 5 * DAY)
        assert code(world.judge(world.sign(), outside=OutsideData(crls=(old,)))) == "TRY_LATER ?"

    @pytest.mark.parametrize("ago", [1, 3, 5])
    def test_a_list_that_ended_before_the_timestamp_proves_nothing(self, world: Any, ago: int) -> None:
        crl = world.crl(world.ca, start=NOW - 9 * DAY, end=NOW - 4 * DAY)
        der = world.sign(crls=[crl], tokens=[world.stamp(NOW - ago * DAY)])
        assert code(world.judge(der)) == ("" if ago == 5 else "TRY_LATER ?")

    def test_revoked(self, world: Any) -> None:
        crl = world.crl(world.ca, [(world.signer.certificate, NOW - 2 * DAY, None)])
        outside = OutsideData(crls=(crl,))
        late = world.sign(claimed=NOW - DAY)
        assert code(world.judge(late, outside=outside)) == "REVOKED"
        early = world.sign(claimed=NOW - 3 * DAY)
        assert code(world.judge(early, outside=outside)) == "REVOKED_NO_POE ?"
        assert code(world.judge(world.sign(claimed=None), outside=outside)) == "REVOKED_NO_POE ?"
        proven = world.sign(claimed=NOW - 3 * DAY, tokens=[world.stamp(NOW - 3 * DAY)])
        assert code(world.judge(proven, outside=outside)) == ""

    def test_a_revoked_authority(self, world: Any) -> None:
        crl = world.crl(world.root, [(world.ca.certificate, NOW - 2 * DAY, None)])
        judged = world.judge(world.sign(), outside=OutsideData(crls=(crl,)))
        assert code(judged) == "REVOKED_CA_NO_POE ?"

    def test_the_level_is_proven(self, world: Any) -> None:
        crls = [world.crl(world.ca), world.crl(world.root)]
        certificates = [world.signer.certificate, world.ca.certificate]
        stamp = world.stamp(NOW - DAY / 2)
        full = world.sign(crls=crls, tokens=[stamp], certificates=certificates)
        assert world.judge(full).level == "B-LT"
        assert world.judge(world.sign(crls=crls)).level == "B-B"
        assert world.judge(world.sign(crls=crls[:1], tokens=[stamp])).level == "B-T"
        given = world.judge(world.sign(tokens=[stamp]), outside=OutsideData(crls=tuple(crls)))
        assert (code(given), given.level) == ("", "B-T")
        incomplete = world.sign(crls=crls, tokens=[stamp], certificates=[world.signer.certificate])
        outside = OutsideData(certificates=(world.ca.certificate,))
        assert world.judge(incomplete, outside=outside).level == "B-T"
        assert world.judge(full, form="PKCS7").level == "LT"


class TestArchive:
    @pytest.fixture
    def full(self, world: Any) -> bytes:
        crls = [world.crl(world.ca), world.crl(world.root)]
        made: bytes = world.sign(crls=crls, tokens=[world.stamp(NOW - DAY / 2)])
        return made

    def test_one_that_covers_everything(self, world: Any, full: bytes) -> None:
        judged = world.judge(world.archive(full, NOW - DAY / 4))
        assert (code(judged), judged.level) == ("", "B-LTA")
        assert [item.kind for item in judged.timestamps] == ["signature", "archive"]
        again = world.archive(world.archive(full, NOW - DAY / 4), NOW - DAY / 8)
        assert world.judge(again).level == "B-LTA"

    def test_without_revocation_data_it_is_no_more_than_a_timestamp(self, world: Any) -> None:
        der = world.archive(world.sign(tokens=[world.stamp(NOW - DAY / 2)]), NOW - DAY / 4)
        judged = world.judge(der)
        assert (code(judged), judged.level) == ("", "B-T")

    def test_a_weak_index_archives_nothing(self, world: Any, full: bytes) -> None:
        judged = world.judge(world.archive(full, NOW - DAY / 4, digest="sha1"))
        assert (code(judged), judged.level) == ("", "B-LT")
        assert judged.timestamps[-1].error.code == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"

    @pytest.mark.parametrize("part", ["certificates", "crls", "unsigned"])
    def test_what_it_leaves_out_is_not_archived(self, world: Any, full: bytes, part: str) -> None:
        judged = world.judge(world.archive(full, NOW - DAY / 4, **{part: False}))
        assert (code(judged), judged.level) == ("", "B-LT")

    def test_what_it_covered_must_still_be_there(self, world: Any, full: bytes) -> None:
        judged = world.judge(world.without_a_crl(world.archive(full, NOW - DAY / 4)))
        assert (code(judged), judged.level) == ("", "B-T")
        assert judged.timestamps[-1].error is not None
        assert judged.timestamps[-1].error.code == "HASH_FAILURE"

    def test_one_over_another_content_does_not_count(self, world: Any, full: bytes) -> None:
        judged = world.judge(world.archive(full, NOW - DAY / 4, content=b"another"))
        assert (code(judged), judged.level) == ("", "B-LT")
        assert step(judged, "timestamp[1]").unchecked

    def test_it_must_be_newer_than_what_it_covers(self, world: Any, full: bytes) -> None:
        assert code(world.judge(world.archive(full, NOW - DAY))) == "TIMESTAMP_ORDER_FAILURE ?"

    def test_it_keeps_older_algorithms_alive(self, world: Any) -> None:
        old = datetime(2010, 5, 1, tzinfo=UTC)
        span = {"start": old - YEAR, "end": old + 20 * YEAR}
        root = world.authority("Old root", None, **span)
        holder = world.leaf("Old signer", root, **span)
        tsa = world.leaf("Old TSA", root, usage=ExtendedKeyUsageOID.TIME_STAMPING, **span)
        der = world.sign(
            signer=holder,
            certificates=[holder.certificate],
            digest="sha1",
            tokens=[world.stamp(old, tsa, digest="sha1")],
        )
        anchors = {"anchors": [root.certificate], "tsa_anchors": [root.certificate]}
        assert code(world.judge(der, **anchors)) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE ?"
        kept = world.judge(world.archive(der, old + YEAR, tsa), **anchors)
        assert (code(kept), kept.best_time, kept.level) == ("", old, "B-T")
        late = world.judge(world.archive(der, old + 5 * YEAR, tsa), **anchors)
        assert code(late) == "CRYPTO_CONSTRAINTS_FAILURE ?"
