"""Codes and secrets: how much chance is in them, how they are read, which slips are noticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.sharing.codes import (
    ALPHABET,
    CODE_BITS,
    CODE_LENGTH,
    SECRET_BITS,
    SECRET_LENGTH,
    check_character,
    draw_code,
    draw_secret,
    grouped,
    read_code,
    read_secret,
)

CODES = st.text(ALPHABET, min_size=CODE_LENGTH - 1, max_size=CODE_LENGTH - 1).map(
    lambda each: each + check_character(each)
)


def test_there_is_as_much_chance_in_them_as_is_said():
    assert (len(ALPHABET), len(set(ALPHABET))) == (32, 32)
    assert (CODE_BITS, SECRET_BITS) == (95, 40)
    codes, secrets = {draw_code() for _ in range(500)}, {draw_secret() for _ in range(500)}
    assert (len(codes), len(secrets)) == (500, 500)
    assert {len(each) for each in codes} == {CODE_LENGTH}
    assert {len(each) for each in secrets} == {SECRET_LENGTH}
    # Every character is drawn everywhere.
    assert all({code[place] for code in codes} == set(ALPHABET) for place in range(CODE_LENGTH))


@given(CODES)
def test_what_was_drawn_is_read_as_people_write_it(code):
    assert read_code(code) == code
    assert read_code(grouped(code)) == code
    assert read_code(f"  {grouped(code).lower()}\t") == code
    assert read_code(grouped(code).replace("-", "\u2011")) == code
    assert read_code(code.replace("0", "o").replace("1", "I").replace("V", "u")) == code
    assert read_code(code.replace("1", "L")) == code
    assert read_code("".join(chr(ord(each) + 0xFEE0) for each in code)) == code  # full width


@given(CODES, st.integers(0, CODE_LENGTH - 1), st.sampled_from(ALPHABET))
def test_every_wrong_character_is_noticed(code, place, other):
    changed = code[:place] + other + code[place + 1 :]
    assert (read_code(changed) == "") == (changed != code)


@given(CODES, st.integers(0, CODE_LENGTH - 1), st.integers(0, CODE_LENGTH - 1))
def test_every_swap_is_noticed_wherever_the_two_stand(code, first, second):
    letters = list(code)
    letters[first], letters[second] = letters[second], letters[first]
    changed = "".join(letters)
    assert (read_code(changed) == "") == (changed != code)


@pytest.mark.parametrize(
    "text", ["", "-", "0" * 19, "0" * 21, "*" * 20, "é" * 20, "0" * 10_000, "\ud800" * 20, "𝟘" * 200]
)
def test_what_cannot_be_one_is_none(text):
    assert read_code(text) == ""
    assert read_secret(text) == ""


@given(st.text(max_size=60))
def test_no_text_is_too_strange(text):
    assert read_code(text) in {"", read_code(read_code(text))}
    assert read_secret(text) in {"", read_secret(read_secret(text))}


def test_the_page_sums_as_the_service_does():
    script = (Path(__file__).parents[2] / "api/web/static/share.js").read_text()
    assert f'"{ALPHABET}"' in script
    assert f"code.length !== {CODE_LENGTH}" in script
    assert re.search(r"total \^ 37\b", script)
    assert 37 == 0b100101
