"""Whatever the journal can say, it says in words."""

from __future__ import annotations

import unicodedata

import pytest

from vault.access import RULES, Action
from vault.authorization.purposes import MAX_WORDS, checked_words
from vault.domain.matters import EVENTS as MATTER_EVENTS
from vault.errors import Refused
from vault.ledger.events import Event
from vault.rights.journal_words import ACTIONS, EVENTS

ABOUT_DOCUMENTS = frozenset(
    {
        Action.DESCRIBE, Action.READ, Action.COPY, Action.EVIDENCE, Action.RECEIPT, Action.KEYS, Action.JOURNAL,
        Action.EXPORT, Action.REVOKE, Action.DESTROY, Action.LABEL,
    }
)  # fmt: skip


def test_every_action_that_an_access_entry_may_name_has_words_in_both_languages():
    assert {action.value for action in ABOUT_DOCUMENTS} <= set(ACTIONS)
    assert all(french and english for french, english in ACTIONS.values())
    assert {action for _, action, _ in RULES} >= ABOUT_DOCUMENTS


def test_every_event_has_words():
    assert ({event.value for event in Event} | set(MATTER_EVENTS)) - set(EVENTS) == set()


def test_words_are_refused_before_they_take_long_to_compose():
    """Marks in an order of their own are sorted, in quadratic time: minutes for so many."""
    with pytest.raises(Refused) as caught:
        checked_words("a" + "\u0301\u0323" * 500_000)
    assert (caught.value.code, caught.value.params["field"]) == ("FIELD_INVALID", "words")


@pytest.mark.parametrize("letter", ["é", "\u1f82"])
def test_words_written_with_marks_apart_are_as_long_as_they_read(letter):
    apart = unicodedata.normalize("NFD", letter)
    assert checked_words(apart * MAX_WORDS) == letter * MAX_WORDS
    with pytest.raises(Refused, match=f"{MAX_WORDS}"):
        checked_words(apart * (MAX_WORDS + 1))
