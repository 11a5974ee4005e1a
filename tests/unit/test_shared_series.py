"""Counters in shared memory: what one process writes the others read, and nothing else."""

from __future__ import annotations

import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import shared_series
from api.shared_series import SLOT_OCTETS, SharedSeries

NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
SERIES = st.dictionaries(NAMES, st.floats(allow_nan=False), max_size=20)


@given(st.lists(SERIES, max_size=5), SERIES)
def test_what_is_put_is_what_is_read(puts: list[dict[str, float]], last: dict[str, float]) -> None:
    block = bytearray(3 * SLOT_OCTETS)
    own, sibling = SharedSeries(block, 1), SharedSeries(block, 2)
    told: dict[str, float] = {}
    for series in puts:
        own.put(series)
        told |= series
        assert own.own() == told
        assert list(sibling.others()) == [{}, told]
    own.keep_only(last)
    assert own.own() == last
    assert SharedSeries(block, 1).own() == last, "who comes after it finds them"
    assert sibling.own() == {}


def test_a_successor_writes_where_its_predecessor_did() -> None:
    block = bytearray(SLOT_OCTETS)
    SharedSeries(block, 0).put({"a": 1.0, "b": 2.0})
    successor = SharedSeries(block, 0)
    before = bytes(block[: SLOT_OCTETS // 2])
    successor.put({"b": 3.0})
    assert bytes(block[: SLOT_OCTETS // 2]) == before, "no reader finds the names gone meanwhile"
    assert successor.own() == {"a": 1.0, "b": 3.0}


@given(st.integers(0, 40), st.integers(1, 255))
def test_damaged_names_tell_nothing(place: int, change: int) -> None:
    block = bytearray(2 * SLOT_OCTETS)
    SharedSeries(block, 0).put({f"series_{number}": 1.0 for number in range(3)})
    block[place] ^= change
    assert list(SharedSeries(block, 1).others()) == [{}]
    assert SharedSeries(block, 0).own() == {}


def test_too_many_names_are_told_once_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_series, "_MOST", 2)
    own = SharedSeries(bytearray(SLOT_OCTETS), 0)
    own.put({"a": 1.0, "b": 1.0})
    for _ in range(2):
        own.put({"a": 2.0, "c": 1.0})
    assert own.own() == {"a": 2.0, "b": 1.0}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    own.put({"a": math.nan})
    assert own.own() == {"b": 1.0}
