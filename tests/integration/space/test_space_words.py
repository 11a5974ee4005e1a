"""Whatever state a thing is in, the pages have words for it, in both languages."""

from __future__ import annotations

from api.web.space_shares import PURPOSES
from api.web.words import WORDS
from vault.access import CONSENT_SCOPES, MANDATE_SCOPES
from vault.authorization.purposes import OWN_PURPOSES
from vault.domain.actors import Role
from vault.domain.contacts import ContactState, When
from vault.domain.matters import SAME, TRANSITIONS, MatterKind
from vault.domain.notices import ChannelName, Event
from vault.domain.requests import OTHER_WAYS
from vault.domain.states import Status
from vault.matters.cases import LINKS
from vault.rights.notes import Finding


def states(kind: MatterKind) -> set[str]:
    return {each.after for each in TRANSITIONS[kind].values()} - {SAME}


def test_every_state_scope_and_choice_has_words():
    needed = {
        "request_": states(MatterKind.REQUEST),
        "consent_": states(MatterKind.CONSENT) | {"ended"},
        "report_": states(MatterKind.REPORT),
        "exchange_": set(TRANSITIONS[MatterKind.REPORT]),
        "by_": {role.value for each in TRANSITIONS[MatterKind.REPORT].values() for role in each.writers},
        "note_": states(MatterKind.NOTE) | set(Finding),
        "case_": states(MatterKind.CASE),
        "closure_": states(MatterKind.CLOSURE) - {"cancelled"},
        "sharing_": states(MatterKind.SHARE) | {"ended"},
        "export_": {"asked", "running", "delivered", "ended"},
        "mandate_": {"to-come", "live", "expired", "revoked", "renounced"},
        "mandate_kind_": {"proxy", "guardian", "representative"},
        "scope_": {word + more for word in MANDATE_SCOPES for more in ("", "_hint")},
        "may_": set(CONSENT_SCOPES),
        "form_": {"watermark", "original", "evidence"},
        "link_": set(LINKS),
        "way_": set(OTHER_WAYS),
        "contact_": set(ContactState),
        "when_": set(When),
        "channel_": set(ChannelName),
        "event_": set(Event),
        "status_": set(Status),
        "sentence_": {*Status, "waiting", "kept"},
        "line_": {"erased", "damaged"},
        "nav_": {"space", "agent"},
    }
    missing = [
        f"{start}{each}" for start, ends in needed.items() for each in ends if f"{start}{each}" not in WORDS
    ]
    assert missing == []
    assert set(PURPOSES) <= set(OWN_PURPOSES)
    assert Role.OFFICER.value == "officer"


def test_what_forms_did_and_what_is_wrong_is_said_in_both_languages():
    for key, (french, english) in WORDS.items():
        if key.startswith(("done_", "wrong_")):
            assert french.endswith((".", "!"))
            assert english.endswith((".", "!"))
            assert french != english
