"""Whatever the journal can say, it says in words."""

from __future__ import annotations

from vault.access import RULES, Action
from vault.domain.matters import EVENTS as MATTER_EVENTS
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
