"""Revocation lists come over plain HTTP: what somebody on the way puts in their place is not held."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from signing.crl_cache import CrlCache
from tests.services.authority import Authority


@pytest.fixture
def authority() -> Iterator[Authority]:
    authority = Authority()
    yield authority
    authority.close()


class Served:
    """What is found at the address of a list."""

    def __init__(self, *lists: bytes) -> None:
        self.lists = lists

    def __call__(self, chains: Sequence[Sequence[x509.Certificate]], timeout: float) -> Sequence[bytes]:
        return self.lists


def test_a_forged_list_keeps_the_right_one_from_nobody(authority: Authority) -> None:
    forger = Authority()  # of the same names, with keys of its own
    forger.close()
    served, now = Served(forger.crl("root.crl")), datetime.now(UTC)
    cache = CrlCache(1.0, [authority.root], served)
    assert cache.crls([authority.issuing], now) == []
    served.lists = (authority.crl("root.crl"),)
    assert cache.crls([authority.issuing], now) == list(served.lists)


def test_a_list_of_before_does_not_take_a_newer_one_s_place(
    authority: Authority,
) -> None:
    now = datetime.now(UTC)
    old, newer = authority.crl("root.crl", now - timedelta(hours=20)), authority.crl("root.crl", now)
    served = Served(newer)
    cache = CrlCache(1.0, [authority.root], served)
    assert cache.crls([authority.issuing], now) == [newer]
    served.lists = (old,)
    later = now + timedelta(hours=13)
    for _ in range(20):  # it is asked for beside the work, since half of the newer one's life has passed
        assert cache.crls([authority.issuing], later) == [newer]
        time.sleep(0.01)
