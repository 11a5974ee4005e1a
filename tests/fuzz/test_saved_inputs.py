"""Inputs that once broke a parser are refused properly now, and what a search begins with breaks none."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.targets import TARGETS, corpus, run
from tests.mutants.mutators import cut, der, flip, insert, swap

SAVED = Path(__file__).parent / "saved"
INPUTS = sorted(path for path in SAVED.glob("*/*") if path.is_file())
CHANGED = 40


@pytest.mark.parametrize("name", TARGETS)
def test_saved(name: str) -> None:
    for path in INPUTS:
        if path.parent.name == name:
            run(name, path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_inputs_of_each(name: str) -> None:
    found = corpus(name)
    assert found
    for data in (b"", b"\x00", *found):
        run(name, data)
    chance = Random(name)
    for _ in range(CHANGED):
        data = chance.choice(found)
        run(name, chance.choice((flip, cut, insert, swap, der))(data, chance) or data)


def test_every_folder_of_saved_inputs_is_a_target_s() -> None:
    assert {path.parent.name for path in INPUTS} <= TARGETS.keys()
