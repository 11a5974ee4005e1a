"""Other verifiers on the files of the attack generator: where they disagree with us is known, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.foreign.corpus import PAGE
from tests.interop.foreign.peers import BEGIN, END, WHY, disagreements, opinions, quiet, recorded, table


@pytest.mark.needs("dss")
@pytest.mark.timeout(900)
def test_the_disagreements_are_those_recorded(tmp_path: Path) -> None:
    quiet()
    found = opinions(tmp_path)
    assert disagreements(found) == recorded()
    # They are asked about enough, and agree on most.
    assert len(found) > 200
    assert sum(item.agreed for item in found.values()) > len(found) / 2


def test_what_we_alone_accept_is_genuine() -> None:
    """Whatever we alone accept is one that must be: a genuine file of the generator."""
    accepted = {name for name, (ours, _, _) in recorded().items() if ours == "accepts"}
    assert {name.partition("/")[0] for name in accepted} <= {"allowed"}


def test_the_page_says_who_is_right() -> None:
    assert {name.partition("/")[0] for name in recorded()} <= WHY.keys()
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table()
