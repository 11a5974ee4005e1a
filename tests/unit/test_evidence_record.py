"""Evidence records: those of other software, and ours made here with every fault that a step must see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.algorithms import TABLE
from signing.dev_pki import DevPki
from signing.judgement import JudgingPolicy
from signing.revocation_data import RevocationData
from signing.trust import TrustStore
from timestamping import der
from timestamping.authority import EmbeddedAuthority
from timestamping.errors import RecordRefused
from timestamping.evidence_record import DataDigest, RecordReport, verify_record
from timestamping.verify import Rfc3161Verifier

DATA = Path(__file__).parents[1] / "data" / "ers"
NOW = datetime(2026, 11, 22, 4, 48, 1, tzinfo=UTC)
SHA256 = "2.16.840.1.101.3.4.2.1"
SHA512 = "2.16.840.1.101.3.4.2.3"
IDS = {"sha256": SHA256, "sha512": SHA512}


@dataclass
class Clock:
    moment: datetime = NOW - timedelta(hours=10)

    def now(self) -> datetime:
        self.moment += timedelta(hours=1)
        return self.moment


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("pki"), NOW - timedelta(days=1))


@pytest.fixture(scope="module")
def verifier(pki: DevPki) -> Rfc3161Verifier:
    return make_verifier(TrustStore(pki.roots()))


@pytest.fixture
def maker(pki: DevPki) -> Maker:
    key = pki.timestamp
    return Maker(EmbeddedAuthority(key, (key.certificate, *key.chain), "1.2.3", Clock()))


def make_verifier(trust: TrustStore) -> Rfc3161Verifier:
    return Rfc3161Verifier(trust.judging(RevocationData((), ()), JudgingPolicy(NOW)), rule=TABLE)


def sha(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data).digest()


def document(data: bytes) -> DataDigest:
    return DataDigest("it", lambda algorithm: sha(algorithm, data))


def algorithm_id(name: str) -> bytes:
    return der.sequence(der.object_id(IDS[name]))


@dataclass
class Maker:
    """Makes records; the imprint of a token is always SHA-256, so chains are SHA-256 too."""

    authority: EmbeddedAuthority
    chains: list[list[bytes]] = field(default_factory=list)
    tokens: list[bytes] = field(default_factory=list)

    def stamp(self, tree: Sequence[Sequence[bytes]], imprint: bytes | None = None, **how: bool) -> bytes:
        value: bytes | None = None
        for node in tree:
            everything = [*node] if value is None else [*node, value]
            value = everything[0] if len(everything) == 1 else sha("sha256", b"".join(sorted(everything)))
        token = self.authority.token(imprint or value or b"").der
        self.tokens.append(token)
        nodes = der.tlv(0xA2, *(der.sequence(*(der.octets(item) for item in node)) for node in tree))
        stated = b"" if how.get("unstated") else der.tlv(0xA0, algorithm_id("sha256")[2:])
        return der.sequence(stated, nodes if tree else b"", token)

    def chain(self, *stamps: bytes) -> Maker:
        self.chains.append(list(stamps))
        return self

    @property
    def sequence(self) -> bytes:
        return der.sequence(*(der.sequence(*chain) for chain in self.chains))

    def record(self, algorithms: Sequence[str] = ("sha256",)) -> bytes:
        listed = der.sequence(*(algorithm_id(name) for name in algorithms))
        return der.sequence(der.integer(1), listed, self.sequence)


def codes(report: RecordReport) -> dict[str, str]:
    return {step.name: step.error.code for step in report.steps if step.error is not None}


@pytest.fixture
def check(verifier: Rfc3161Verifier) -> Callable[..., dict[str, str]]:
    def run(record: bytes, *documents: bytes, control: datetime = NOW) -> dict[str, str]:
        report = verify_record(
            record, [document(item) for item in documents], verifier, rule=TABLE, control=control
        )
        return codes(report)

    return run


A, B, C = b"un", b"deux", b"trois"
HA, HB, HC = (sha("sha256", item) for item in (A, B, C))


# ---- other software's


def given_digest(text: str) -> DataDigest:
    return DataDigest("it", {"sha256": bytes.fromhex(text)}.get)


@pytest.mark.parametrize(
    ("name", "documents", "time"),
    [
        ("1_0_Initial.er", [document(b"123456")], "2023-05-09T08:59:45+00:00"),
        ("1_1_Renew_Unsorted.er", [document(b"123456")], "2023-05-09T08:52:58+00:00"),
        ("er-asn1-simple.ers", [document(b"1")], "2022-08-15T11:40:10+00:00"),
        ("er-asn1-full-renewal.ers", [document(b"\x03"), document(b"\x01")], "2022-08-23T12:47:20+00:00"),
        (
            "BIN-1_ER.ers",
            [document((DATA / "dss-BIN-1.bin").read_bytes())],
            "2017-02-10T14:07:52.500000+00:00",
        ),
        (
            "er-asn1-tst-renewal.ers",
            [
                given_digest("9ce2d7d350f9418407439f0ca11dcc12ab9f7cdb15f9ecc5eca935482602b872"),
                given_digest("eecc4d3352c0e965fd88795edfd1a60c5ac09b3c1100c052ebb6ae0bd3432b26"),
            ],
            "2017-03-08T16:48:10+00:00",
        ),
    ],
)
def test_records_of_other_software(name: str, documents: list[DataDigest], time: str) -> None:
    """Without trust only the tokens' paths are open: every hash leads where it must."""
    record = (DATA / f"dss-{name}").read_bytes()
    verifier = make_verifier(TrustStore([]))
    report = verify_record(record, documents, verifier, rule=TABLE, control=NOW)
    assert set(codes(report).values()) == {"NO_CERTIFICATE_CHAIN_FOUND"}
    assert all(name.endswith(".token") for name in codes(report))
    assert report.stamps[0].gen_time == datetime.fromisoformat(time)
    assert report.proof_time is None
    # Another document is not covered by it.
    other = verify_record(record, [*documents, document(b"0")], verifier, rule=TABLE, control=NOW)
    assert "HASH_FAILURE" in codes(other).values()
    # Without any document the record may be sound, and proves nothing.
    bare = verify_record(record, [], verifier, rule=TABLE, control=NOW)
    assert codes(bare)["data"] == "SIGNED_DATA_NOT_FOUND"
    assert "HASH_FAILURE" not in codes(bare).values()


@pytest.mark.parametrize("name", ["er-asn1-simple-invalid.ers", "er-asn1-tst-renewal-invalid.ers"])
def test_broken_records_of_other_software(name: str) -> None:
    report = verify_record(
        (DATA / f"dss-{name}").read_bytes(), [], make_verifier(TrustStore([])), rule=TABLE, control=NOW
    )
    assert "HASH_FAILURE" in codes(report).values()


def test_a_malformed_record() -> None:
    data = (DATA / "dss-BIN-1_ER_malformed.ers").read_bytes()
    with pytest.raises(RecordRefused) as caught:
        verify_record(data, [], make_verifier(TrustStore([])), rule=TABLE, control=NOW)
    assert (caught.value.code, caught.value.indeterminate) == ("FORMAT_FAILURE", False)


# ---- ours


def test_trees(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    for tree in ([[HA]], [[HA, HB]], [[HA], [HC]], [[HA, HB], [HC], [HB, HC]], []):
        maker.chains.clear()
        record = maker.chain(maker.stamp(tree, HA if not tree else None)).record()
        assert check(record, A) == {}, tree
        assert check(record, B) == ({} if tree and HB in tree[0] else {"data[0]": "HASH_FAILURE"})
        assert check(record, A, b"x") == {"data[1]": "HASH_FAILURE"}
        assert check(record) == {"data": "SIGNED_DATA_NOT_FOUND"}


def test_an_algorithm_that_is_not_stated_is_the_timestamp_s(
    maker: Maker, check: Callable[..., dict[str, str]]
) -> None:
    assert check(maker.chain(maker.stamp([[HA, HB]], unstated=True)).record(), A) == {}


def test_renewals(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    first = maker.stamp([[HA, HB], [HC]])
    renewed = maker.stamp([[sha("sha256", maker.tokens[0]), HC]])
    assert check(maker.chain(first, renewed).record(), A, B) == {}
    before = sha("sha256", maker.sequence)
    over = [sha("sha256", digest + before) for digest in (HA, HB)]
    assert check(maker.chain(maker.stamp([over])).record(), A, B) == {}
    # The same two values sorted before hashing are those of another standard.
    maker.chains.pop()
    swapped = [
        sha("sha256", b"".join(sorted((digest, before), reverse=digest < before))) for digest in (HA, HB)
    ]
    assert check(maker.chain(maker.stamp([swapped])).record(), A, B) == {
        "stamp[2].data[0]": "HASH_FAILURE",
        "stamp[2].data[1]": "HASH_FAILURE",
    }


def test_a_renewal_without_tree(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    first = maker.stamp([[HA]])
    second = maker.stamp([], sha("sha256", maker.tokens[0]))
    assert check(maker.chain(first, second).record(), A) == {}


def test_what_renews_nothing(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    record = maker.chain(maker.stamp([[HA]]), maker.stamp([[HB, HC]])).record()
    assert check(record, A) == {"stamp[1].renews": "HASH_FAILURE"}
    # A renewal of the other chain's timestamp, or of the same one twice, is none.
    one, two = maker.stamp([[HA]]), maker.stamp([[sha("sha256", b"another token")]])
    maker.chains.clear()
    assert check(maker.chain(one, two).record(), A)["stamp[1].renews"] == "HASH_FAILURE"


def test_a_chain_that_leaves_a_document_out(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    maker.chain(maker.stamp([[HA, HB]]))
    before = sha("sha256", maker.sequence)
    record = maker.chain(maker.stamp([[sha("sha256", HA + before)]])).record()
    assert check(record, A) == {}
    assert check(record, A, B) == {"stamp[1].data[1]": "HASH_FAILURE"}


def test_a_tree_that_leads_elsewhere(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    record = maker.chain(maker.stamp([[HA, HB], [HC]], imprint=HA)).record()
    assert check(record, A) == {"stamp[0].imprint": "HASH_FAILURE"}
    assert check(record)["stamp[0].imprint"] == "HASH_FAILURE"


def test_values_of_another_length_are_no_hashes(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    """Sorted and joined, values of free lengths could be cut elsewhere."""
    pair = sorted((HA, HB))
    imprint = sha("sha256", b"".join(pair))
    honest = maker.chain(maker.stamp([[HA, HB]], imprint)).record()
    assert check(honest, A) == {}
    cut = der.sequence(der.octets(pair[0][:8]), der.octets(pair[0][8:] + pair[1]))
    forged = honest.replace(der.sequence(der.octets(HA), der.octets(HB)), cut)
    if forged == honest:
        forged = honest.replace(der.sequence(*(der.octets(item) for item in pair)), cut)
    assert forged != honest
    assert check(forged, A)["stamp[0].imprint"] == "FORMAT_FAILURE"


def test_times_out_of_order(maker: Maker, check: Callable[..., dict[str, str]], pki: DevPki) -> None:
    first = maker.stamp([[HA]])
    key = pki.timestamp
    early = Maker(
        EmbeddedAuthority(key, (key.certificate, *key.chain), "1.2.3", Clock(NOW - timedelta(hours=20)))
    )
    second = early.stamp([[sha("sha256", maker.tokens[0])]])
    assert check(maker.chain(first, second).record(), A) == {"order": "TIMESTAMP_ORDER_FAILURE"}
    maker.chains.clear()
    record = maker.chain(first).record()
    assert check(record, A, control=NOW - timedelta(hours=15)) == {"order": "TIMESTAMP_ORDER_FAILURE"}


def test_algorithms_must_be_listed_and_one(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    record = maker.chain(maker.stamp([[HA]])).record(["sha512"])
    assert check(record, A)["chain[0].algorithm"] == "FORMAT_FAILURE"
    maker.chains.clear()
    stamp = maker.stamp([[HA]]).replace(
        der.tlv(0xA0, algorithm_id("sha256")[2:]), der.tlv(0xA0, algorithm_id("sha512")[2:])
    )
    record = maker.chain(stamp).record(["sha256", "sha512"])
    assert check(record, A)["chain[0].algorithm"] == "FORMAT_FAILURE"


def test_digests_that_are_not_known(maker: Maker, verifier: Rfc3161Verifier) -> None:
    maker.chain(maker.stamp([[HA]]))
    known = DataDigest("it", {"sha512": sha("sha512", A)}.get)
    report = verify_record(maker.record(), [known], verifier, rule=TABLE, control=NOW)
    assert codes(report) == {"data[0]": "SIGNED_DATA_NOT_FOUND"}


def test_a_stranger_s_timestamp_leaves_no_proof(maker: Maker) -> None:
    report = verify_record(
        maker.chain(maker.stamp([[HA]])).record(),
        [document(A)],
        make_verifier(TrustStore([])),
        rule=TABLE,
        control=NOW,
    )
    assert codes(report) == {"stamp[0].token": "NO_CERTIFICATE_CHAIN_FOUND"}
    assert report.proof_time is None


def test_forms_that_are_refused(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    good = maker.chain(maker.stamp([[HA]])).record()
    assert check(good, A) == {}
    body = good[4:]
    listed = der.sequence(algorithm_id("sha256"))
    wrong = {
        "trailing": good + b"\0",
        "version": good.replace(der.integer(1) + listed, der.integer(2) + listed, 1),
        "no algorithm": der.sequence(der.integer(1), der.sequence(), maker.sequence),
        "no chain": der.sequence(der.integer(1), listed, der.sequence()),
        "empty chain": der.sequence(der.integer(1), listed, der.sequence(der.sequence())),
        "empty node": der.sequence(
            der.integer(1),
            listed,
            der.sequence(der.sequence(der.sequence(der.tlv(0xA2, der.sequence()), maker.tokens[0]))),
        ),
        "no tree in the tree": der.sequence(
            der.integer(1), listed, der.sequence(der.sequence(der.sequence(der.tlv(0xA2), maker.tokens[0])))
        ),
        "integer in a node": der.sequence(
            der.integer(1),
            listed,
            der.sequence(
                der.sequence(der.sequence(der.tlv(0xA2, der.sequence(der.integer(1))), maker.tokens[0]))
            ),
        ),
        "indefinite length": b"\x30\x80" + body + b"\0\0",
        "twice": der.sequence(der.integer(1), listed, maker.sequence, maker.sequence),
    }
    for name, record in wrong.items():
        with pytest.raises(RecordRefused) as caught:
            check(record, A)
        assert caught.value.code == "FORMAT_FAILURE", name
    secret = der.sequence(der.integer(1), listed, der.tlv(0xA1, der.integer(1)), maker.sequence)
    with pytest.raises(RecordRefused) as caught:
        check(secret, A)
    assert (caught.value.code, caught.value.indeterminate) == ("SIGNATURE_FORMAT_UNSUPPORTED", True)
    passed_over = der.sequence(
        der.integer(1), listed, der.tlv(0xA0, der.sequence(der.integer(1))), maker.sequence
    )
    assert check(passed_over, A) == {}


def test_a_token_that_is_none(maker: Maker, check: Callable[..., dict[str, str]]) -> None:
    stamp = der.sequence(der.tlv(0xA0, algorithm_id("sha256")[2:]), der.sequence(der.integer(1)))
    assert "FORMAT_FAILURE" in check(maker.chain(stamp).record(), A).values()


@given(data=st.data())
@settings(max_examples=150)
def test_no_change_of_a_record_passes(data: st.DataObject, pki: DevPki) -> None:
    """One octet changed anywhere: refused, or (in the authority's unsigned parts) still about the same data."""
    key = pki.timestamp
    maker = Maker(EmbeddedAuthority(key, (key.certificate, *key.chain), "1.2.3", Clock()))
    record = maker.chain(maker.stamp([[HA, HB], [HC]])).record()
    at = data.draw(st.integers(0, len(record) - len(maker.tokens[0]) - 1))
    value = data.draw(st.integers(1, 255))
    changed = bytes((*record[:at], record[at] ^ value, *record[at + 1 :]))
    verifier = make_verifier(TrustStore(pki.roots()))
    try:
        report = verify_record(changed, [document(A)], verifier, rule=TABLE, control=NOW)
    except RecordRefused:
        return
    assert report.errors
