"""A verdict arranged for people: a word, a sentence, who and when, checks in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from api.web.check_words import CHECK_GROUPS, FILE_CHECK, OTHER_CHECKS
from api.web.words import LANGUAGES
from vault.evidence.change_words import change_words
from vault.evidence.findings import Check, Outcome, SignatureFinding, Verdict
from vault.evidence.sentences import case_of, explain, sentence, status_words
from vault.evidence.wording import TIME_SOURCES

# From bad to good: a group is as good as its worst check.
_WORST_FIRST = (
    Outcome.FAILED,
    Outcome.INDETERMINATE,
    Outcome.PENDING,
    Outcome.UNCHECKED,
    Outcome.PASSED,
)
_FILE, _OTHER = (".*", FILE_CHECK), (".*", OTHER_CHECKS)


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """Checks that answer one question.

    Attributes:
        words: what is true when it passed.
        outcome: the worst of its checks; UNCHECKED when the decisive one was not reached.
        checks: them.
    """

    words: str
    outcome: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class SignatureView:
    """A signature as the page shows it.

    Attributes:
        finding: the signature itself.
        changes: what was changed after it, in words.
        judged: where the time at which its certificate was judged comes from, in words; "" for own seals.
    """

    finding: SignatureFinding
    changes: tuple[str, ...]
    judged: str


@dataclass(frozen=True, slots=True)
class VerdictPage:
    """What the page shows.

    Attributes:
        verdict: the verdict itself.
        case: which case it is, as in `vault.evidence.sentences`.
        sentence: it in one sentence.
        signatures: who, when, how.
        status: status in words, or "".
        in_force: False when the file says that the document is no longer in force.
        no_proof: True when the file carries nothing to examine.
        reasons: (code, explanation) pairs, without repetition.
        groups: checks in plain words.
    """

    verdict: Verdict
    case: str
    sentence: str
    signatures: tuple[SignatureView, ...]
    status: str
    in_force: bool
    no_proof: bool
    reasons: tuple[tuple[str, str], ...]
    groups: tuple[CheckGroup, ...]


def arrange(verdict: Verdict, lang: str) -> VerdictPage:
    """Arrange a verdict for a page in `fr` or `en`."""
    codes = dict.fromkeys(reason.code for reason in verdict.reasons)
    case = case_of(verdict)
    return VerdictPage(
        verdict=verdict,
        case=case,
        sentence=sentence(verdict, lang),
        signatures=tuple(_signature(each, lang) for each in verdict.signatures),
        status=status_words(verdict.status.value, lang) if verdict.status else "",
        in_force=verdict.status is None or verdict.status.value in {"valid", "received", "unknown"},
        no_proof=case == "nothing",
        reasons=tuple((code, explain(code, lang)) for code in codes),
        groups=group(verdict.checks, lang),
    )


def _signature(finding: SignatureFinding, lang: str) -> SignatureView:
    source = TIME_SOURCES.get(finding.time_source, ("", ""))[LANGUAGES.index(lang)]
    return SignatureView(finding, tuple(change_words(each, lang) for each in finding.changes_after), source)


def group(checks: Sequence[Check], lang: str) -> tuple[CheckGroup, ...]:
    """Gather checks under what they mean; an unknown name falls under the last heading, never out of sight."""
    column = LANGUAGES.index(lang)
    found: dict[tuple[str, tuple[str, str]], list[Check]] = {}
    for check in checks:
        found.setdefault(_statement(check.name), []).append(check)
    return tuple(
        CheckGroup(
            statement[1][column], _outcome(found[statement], statement[0]).value, tuple(found[statement])
        )
        for statement in (_FILE, *(each[1:] for each in CHECK_GROUPS), _OTHER)
        if statement in found
    )


def _statement(name: str) -> tuple[str, tuple[str, str]]:
    if name == "file":
        return _FILE
    return next((each[1:] for each in CHECK_GROUPS if re.fullmatch(each[0], name)), _OTHER)


def _outcome(checks: Sequence[Check], key: str) -> Outcome:
    """Return the worst outcome; checks that passed do not carry a statement whose key check was never reached."""
    worst = min((check.outcome for check in checks), key=_WORST_FIRST.index)
    reached = any(re.fullmatch(key, check.name) for check in checks)
    return worst if reached or worst is not Outcome.PASSED else Outcome.UNCHECKED
