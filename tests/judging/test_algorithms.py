"""The dated table of algorithms, as it is shipped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from signing.algorithms import OWN_DIGESTS, TABLE, describe_key, read_table
from signing.errors import SignatureRefused


def code(**asked: Any) -> str:
    try:
        TABLE.check(**asked)
    except SignatureRefused as error:
        return error.code if error.indeterminate else "FAILED"
    return ""


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        ({"digest": "md5"}, "2004-08-01"),
        ({"digest": "sha1"}, "2012-08-01"),
        ({"digest": "sha224"}, "2029-01-01"),
        ({"scheme": "rsa-pkcs1", "bits": 1024}, "2019-10-01"),
        ({"scheme": "rsa-pkcs1", "bits": 1023}, "2010-08-01"),
        ({"scheme": "rsa-pkcs1", "bits": 2048}, "2029-01-01"),
        ({"scheme": "rsa-pkcs1", "bits": 4096}, "2029-01-01"),
        ({"scheme": "rsa-pss", "bits": 2048}, "2029-01-01"),
        ({"scheme": "ecdsa", "bits": 224, "curve": "secp224r1"}, "2021-10-01"),
        ({"scheme": "dsa", "bits": 1024}, "2015-12-01"),
    ],
)
def test_ends(asked: dict[str, Any], end: str) -> None:
    last = day(end) - timedelta(seconds=1)
    assert code(**asked, at=last, proven=False) == ""
    assert code(**asked, at=last, proven=True) == ""
    assert code(**asked, at=day(end), proven=False) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    assert code(**asked, at=day(end), proven=True) == "CRYPTO_CONSTRAINTS_FAILURE"


@pytest.mark.parametrize(
    "asked",
    [
        {"digest": "sha256"},
        {"digest": "sha3_512"},
        {"scheme": "rsa-pss", "bits": 3000},
        {"scheme": "ecdsa", "bits": 256, "curve": "brainpoolP256r1"},
        {"scheme": "ed25519", "bits": 256},
    ],
)
def test_no_end(asked: dict[str, Any]) -> None:
    assert code(**asked, at=day("2099-01-01"), proven=False) == ""


@pytest.mark.parametrize(
    "asked",
    [
        {"digest": "md2"},
        {"scheme": "rsa-pkcs1", "bits": 512},
        {"scheme": "gost", "bits": 256},
        {"scheme": "ecdsa", "bits": 256, "curve": "secp256k1"},
    ],
)
def test_never_accepted(asked: dict[str, Any]) -> None:
    assert code(**asked, at=day("1990-01-01"), proven=True) == "CRYPTO_CONSTRAINTS_FAILURE"


@given(
    bits=st.integers(0, 20_000), year=st.integers(1990, 2100), scheme=st.sampled_from(sorted(TABLE.schemes))
)
def test_more_bits_and_earlier_times_never_hurt(bits: int, year: int, scheme: str) -> None:
    at = datetime(year, 1, 1, tzinfo=UTC)
    if code(scheme=scheme, bits=bits, at=at, proven=False) == "":
        assert code(scheme=scheme, bits=bits + 1, at=at, proven=False) == ""
        assert code(scheme=scheme, bits=bits, at=at - timedelta(days=400), proven=False) == ""


def test_keys_are_described() -> None:
    key = rsa.generate_private_key(65537, 1024).public_key()
    assert describe_key(key) == ("rsa-pkcs1", 1024, None)
    assert describe_key(key, pss=True) == ("rsa-pss", 1024, None)
    assert describe_key(ec.generate_private_key(ec.SECP384R1()).public_key()) == ("ecdsa", 384, "secp384r1")
    assert describe_key(ed25519.Ed25519PrivateKey.generate().public_key())[0] == "ed25519"
    other = x25519.X25519PrivateKey.generate().public_key()
    with pytest.raises(SignatureRefused):
        TABLE.check_key(other, at=day("2020-01-01"), proven=True)


def test_the_file_says_where_its_dates_come_from() -> None:
    text = resources.files("signing").joinpath("algorithms.json").read_text("utf-8")
    raw = json.loads(text)
    assert "DSS 6.4" in raw["source"]
    assert read_table(text) == TABLE
    assert all(TABLE.digests[name] is None for name in OWN_DIGESTS)
