"""Buckets never give more than they may, in bounded memory; networks; addresses that only trusted proxies may name."""

from __future__ import annotations

import base64
import urllib.parse
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from api.peers import Peers
from storage.keys import LocalKeyWrapper
from vault.authorization.rates import Buckets, Limits, Rate, network_of
from vault.clock import SystemClock
from vault.core.keyring import Keyring
from vault.errors import Refused, SettingsRefused
from vault.settings import Settings


class Seconds:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    capacity=st.integers(1, 20),
    per_second=st.floats(0.01, 50),
    steps=st.lists(st.tuples(st.floats(0, 30), st.sampled_from([b"a", b"b", b"c", b"d"])), max_size=200),
    most=st.integers(1, 4),
)
def test_never_more_than_capacity_and_what_time_gives_back(capacity, per_second, steps, most):
    seconds = Seconds()
    buckets = Buckets(Rate(capacity, per_second), seconds, most)
    granted: dict[bytes, list[float]] = {}
    for pause, key in steps:
        seconds.now += pause
        if buckets.take(key) == 0.0:
            granted.setdefault(key, []).append(seconds.now)
        assert len(buckets) <= most + 1
    for times in granted.values():
        # One key may have had a bucket of its own and, before or after that, a part of the shared one.
        buckets_seen = 1 if len({key for _, key in steps}) <= most else 2
        for first, begun in enumerate(times):
            for last, ended in enumerate(times[first:], first):
                allowed = buckets_seen * (capacity + per_second * (ended - begun))
                assert last - first + 1 <= allowed + 1e-6


def test_a_refusal_says_when_to_come_back_and_that_is_true():
    seconds = Seconds()
    buckets = Buckets(Rate.per_minute(6), seconds)
    assert [buckets.take(b"k") for _ in range(6)] == [0.0] * 6
    wait = buckets.take(b"k")
    assert wait == pytest.approx(10)
    seconds.now += wait - 0.1
    assert buckets.take(b"k") > 0
    seconds.now += 0.2
    assert buckets.take(b"k") == 0.0
    assert buckets.take(b"another") == 0.0


def test_many_callers_cannot_make_the_service_forget_one_of_them():
    seconds = Seconds()
    buckets = Buckets(Rate.per_minute(2), seconds, most=100)
    assert [buckets.take(b"guesser") == 0.0 for _ in range(3)] == [True, True, False]
    for number in range(1000):
        buckets.take(b"other %d" % number)
    assert buckets.take(b"guesser") > 0
    assert len(buckets) <= 101
    seconds.now += 60
    assert buckets.take(b"guesser") == 0.0
    assert len(buckets) == 1


@pytest.fixture
def keyring(tmp_path):
    return Keyring(LocalKeyWrapper.create(tmp_path / "kek"), b"i" * 32)


def test_limits_are_by_kind_and_hold_no_address(keyring):
    seconds = Seconds()
    limits = Limits(keyring, {"lookups": Rate.per_minute(2)}, seconds)
    for _ in range(2):
        limits.demand("lookups", "192.0.2.1")
    with pytest.raises(Refused) as refused:
        limits.demand("lookups", "192.0.2.1")
    assert (refused.value.code, refused.value.params) == ("RATE_LIMITED", {"retry_after": 30})
    limits.demand("lookups", "192.0.2.2")
    for _ in range(10):
        limits.demand("no such kind", "192.0.2.1")
    assert b"192.0.2.1" not in b"".join(limits._buckets["lookups"]._levels)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "local"),
        ("testclient", "local"),
    ],
)
def test_whom_an_address_counts_for(address, network):
    assert network_of(address) == network


def asked(peer: str, *headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "client": (peer, 4711) if peer else None, "headers": raw, "app": _App()})


class _Parts:
    clock = SystemClock()


class _Vault:
    parts = _Parts()


class _State:
    vault = _Vault()


class _App:
    state = _State()


PROXIED = Settings(
    trusted_proxies="127.0.0.1, 198.51.100.0/24, 2001:db8::/32", client_certificate_header="X-Cert"
)


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", ["192.0.2.1"], "203.0.113.9"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["1.1.1.1, 2.2.2.2, 192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["1.1.1.1", "192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["9.9.9.9, 192.0.2.1, 198.51.100.7"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["192.0.2.1, <script>"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, unknown, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("127.0.0.1", ["[2a00::1]:4711"], "2a00::1"),
        ("::ffff:127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("2001:db8::5", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", [", ".join(["1.1.1.1"] * 1000 + ["192.0.2.1"])], "192.0.2.1"),
        ("", ["192.0.2.1"], ""),
    ],
)
def test_only_trusted_proxies_may_say_who_asks(peer, forwarded, counted):
    headers = [("X-Forwarded-For", value) for value in forwarded]
    assert Peers(PROXIED).address(asked(peer, *headers)) == counted


def test_by_default_nobody_is_believed():
    peers = Peers(Settings())
    request = asked("127.0.0.1", ("X-Forwarded-For", "192.0.2.1"), ("X-Cert", "anything"))
    assert peers.address(request) == "127.0.0.1"
    assert peers.certificate(request) is None


def certificate(days: int = 1) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "logiciel")])
    end = datetime.now(UTC) + timedelta(days=days)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), end - timedelta(days=9), end
    )
    return built.sign(key, hashes.SHA256())


def test_a_certificate_is_read_in_both_spellings_from_a_trusted_proxy_alone():
    shown = certificate()
    thumbprint = shown.fingerprint(hashes.SHA256())
    byte_sequence = f":{base64.b64encode(shown.public_bytes(Encoding.DER)).decode()}:"
    escaped = urllib.parse.quote(shown.public_bytes(Encoding.PEM))
    peers = Peers(PROXIED)
    for value in (byte_sequence, escaped):
        assert peers.certificate(asked("127.0.0.1", ("X-Cert", value))) == thumbprint
        assert peers.certificate(asked("203.0.113.9", ("X-Cert", value))) is None
        # A proxy further out is not the one at the socket: what it says came through somebody else.
        assert (
            peers.certificate(asked("203.0.113.9", ("X-Cert", value), ("X-Forwarded-For", "127.0.0.1")))
            is None
        )
    assert peers.certificate(asked("127.0.0.1")) is None
    assert peers.certificate(asked("127.0.0.1", ("X-Cert", ""))) is None


@pytest.mark.parametrize("value", ["x", "::", ":AAAA:", ":é:", "%2D%2D", "%FF", ":" + "A" * 20_000 + ":"])
def test_what_is_no_certificate_is_refused(value):
    with pytest.raises(Refused, match="certificate") as refused:
        Peers(PROXIED).certificate(asked("127.0.0.1", ("X-Cert", value)))
    assert refused.value.params["field"] == "X-Cert"


def test_an_outdated_certificate_or_two_of_them_are_refused():
    old = f":{base64.b64encode(certificate(-1).public_bytes(Encoding.DER)).decode()}:"
    with pytest.raises(Refused, match="outdated"):
        Peers(PROXIED).certificate(asked("127.0.0.1", ("X-Cert", old)))
    new = f":{base64.b64encode(certificate().public_bytes(Encoding.DER)).decode()}:"
    with pytest.raises(Refused, match="more than once"):
        Peers(PROXIED).certificate(asked("127.0.0.1", ("X-Cert", new), ("X-Cert", new)))


@pytest.mark.parametrize("proxies", ["localhost", "198.51.100.1/8", "1.2.3.4;5.6.7.8", "300.1.1.1"])
def test_settings_that_name_no_network_are_refused(proxies):
    with pytest.raises(SettingsRefused, match="PROBANS_TRUSTED_PROXIES"):
        Peers(Settings(trusted_proxies=proxies))


def test_a_certificate_header_that_nobody_may_send_is_refused():
    with pytest.raises(SettingsRefused, match="PROBANS_TRUSTED_PROXIES"):
        Settings(client_certificate_header="X-Cert").check()
