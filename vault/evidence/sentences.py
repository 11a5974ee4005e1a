"""The one sentence in which a verdict is said to people: French and English, each case apart from the others.

Authentic; changed since it was signed; not valid; of an issuer unknown here; nothing that proves anything; no
conclusion. What is not proven is not said: a date is called proven only where a timestamp or record proves it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vault.evidence.change_words import changes_summary
from vault.evidence.explanations import EXPLANATIONS
from vault.evidence.findings import Outcome, Reason, SignatureFinding, Verdict

LANGUAGES = ("fr", "en")
_PROOFS_OF_TIME = frozenset({"timestamp", "evidence record", "document timestamp"})
# The content is another one than that which was signed.
_CHANGED = frozenset(
    {
        "HASH_FAILURE",
        "PDF_CONTENT_CHANGED",
        "PDF_OBJECT_REDEFINED",
        "PDF_APPEARANCE_CHANGED",
        "PDF_APPEARANCE_OVERLAP",
        "PDF_ANNOTATION_ADDED",
        "PDF_FIELD_ADDED",
        "PDF_FIELD_LOCKED",
        "PDF_CHANGE_NOT_PERMITTED",
    }
)
# The signature itself is at fault.
_INVALID = frozenset({"FORMAT_FAILURE", "SIG_CRYPTO_FAILURE", "REVOKED", "EXPIRED", "NOT_YET_VALID"})
# Checks of a file that was given beside a proof.
_GIVEN = re.compile(r"original(\[\d+\])?|.*\.data\[\d+\]|(document|evidence)\.timestamp\.imprint")
# All that is missing is whom to trust: everything that could be computed was, and agrees.
_STRANGERS = frozenset({"NO_CERTIFICATE_CHAIN_FOUND", "LOG_UNKNOWN"})

SENTENCES: dict[str, tuple[str, str]] = {
    "authentic": (
        "Ce document est authentique : {by}{date}, {since}{aside}.",
        "This document is authentic: {by}{date}, {since}{aside}.",
    ),
    "time": (
        "La date est prouvée : {what} existait le {time}{authority}.",
        "The date is proven: {what} existed on {time}{authority}.",
    ),
    "line": (
        "Cette ligne du journal des accès est authentique : elle est l'inscription n° {seq} du registre {origin}.",
        "This line of the access journal is authentic: it is entry {seq} of the ledger {origin}.",
    ),
    "other_file": (
        "Le fichier donné n'est pas celui sur lequel porte cette preuve.",
        "The file given is not the one that this proof is about.",
    ),
    "stamp": (
        "Une preuve de date de ce fichier n'est pas valable : {why}.",
        "A proof of time of this file is not valid: {why}.",
    ),
    "changed": (
        "Ce document a été modifié après la signature{of} : ne vous y fiez pas ({why}).",
        "This document was changed after it was signed{of}: do not rely on it ({why}).",
    ),
    "invalid": ("La signature{of} n'est pas valable : {why}.", "The signature{of} is not valid: {why}."),
    "false": ("Ce fichier n'est pas authentique : {why}.", "This file is not authentic: {why}."),
    "stranger": (
        "Le document est intact{since}, mais l'identité de l'émetteur{named} n'est pas connue ici : {why}.",
        "The document is intact{since}, but its issuer{named} is not known here: {why}.",
    ),
    "nothing": (
        "Rien dans ce fichier ne prouve son origine ; cela ne veut pas dire qu'il est faux.",
        "Nothing in this file proves where it comes from; that does not mean that it is forged.",
    ),
    "unsure": ("On ne peut pas conclure : {why}.", "No conclusion is possible: {why}."),
}
STATUS: dict[str, tuple[str, str]] = {
    "received": ("reçu, en attente de cachet", "received, waiting for its seal"),
    "valid": ("en vigueur", "in force"),
    "superseded": ("remplacé par un autre document", "superseded by another document"),
    "revoked": ("révoqué", "revoked"),
    "destroyed": ("détruit par le service", "destroyed by the service"),
    "changed": (
        "modifié depuis ce dossier : demandez un dossier à jour",
        "changed since this bundle: ask for a new one",
    ),
    "unknown": ("inconnu", "unknown"),
}


def column_of(language: str) -> int:
    """Return which of a pair of texts is in `fr` or `en`."""
    return LANGUAGES.index(language)


def explain(code: str, language: str) -> str:
    """Say what a reason code means, in `fr` or `en`."""
    known = EXPLANATIONS.get(code)
    return known[column_of(language)] if known else code


def case_of(verdict: Verdict) -> str:
    """Tell which case a verdict is, as a name in `SENTENCES`."""
    if verdict.verdict is Outcome.PASSED:
        if verdict.line is not None:
            return "line"
        return "authentic" if _signed(verdict) else "time"
    reason = main_reason(verdict)
    code, check = reason.code, reason.message.partition(": ")[0]
    if verdict.verdict is Outcome.INDETERMINATE:
        codes = {each.code for each in verdict.reasons}
        if code == "NO_SIGNATURE_FOUND":
            return "nothing"
        return "stranger" if code == "NO_CERTIFICATE_CHAIN_FOUND" and codes <= _STRANGERS else "unsure"
    return _case_of_failed(verdict, code, check)


def _case_of_failed(verdict: Verdict, code: str, check: str) -> str:
    if code == "HASH_FAILURE" and _GIVEN.fullmatch(check):
        return "other_file"
    # The safe's own documents have further parts (ledger, manifest), and codes that name them.
    if verdict.ledger is not None or code not in _CHANGED | _INVALID or not verdict.signatures:
        return "changed" if code in _CHANGED and _failed(_signed(verdict)) else "false"
    if ".timestamp" in check or not _failed(_signed(verdict)):
        return "stamp"
    return "changed" if code in _CHANGED else "invalid"


def sentence(verdict: Verdict, language: str) -> str:
    """Say the verdict in one sentence, in `fr` or `en`."""
    column, case = column_of(language), case_of(verdict)
    text = SENTENCES[case][column]
    if case == "authentic":
        return text.format_map(_authentic(verdict, language))
    if case == "line":
        return text.format_map(_line(verdict))
    if case == "time":
        return text.format_map(_time(verdict, column))
    signer = _blamed(verdict)
    of = ((f" de {signer}", f" by {signer}") if case == "changed" else (f" de {signer}", f" of {signer}"))[
        column
    ]
    return text.format_map(
        {
            "why": explain(main_reason(verdict).code, language),
            "of": of if signer else "",
            "named": f" ({signer})" if signer else "",
            "since": _added(verdict, language),
        }
    )


def main_reason(verdict: Verdict) -> Reason:
    """Return the reason that decides: the first that fails, else the first of all."""
    failing = {check.name for check in verdict.checks if check.outcome is verdict.verdict}
    for reason in verdict.reasons:
        if reason.message.partition(": ")[0] in failing:
            return reason
    return verdict.reasons[0] if verdict.reasons else Reason("PROCESSING_ERROR", "")


def status_words(value: str, language: str) -> str:
    """Say a status value in words."""
    return STATUS.get(value, (value, value))[column_of(language)]


def _signed(verdict: Verdict) -> list[SignatureFinding]:
    """The signatures, without what only proves a time."""
    return [each for each in verdict.signatures if each.level not in _PROOFS_OF_TIME]


def _failed(signatures: Sequence[SignatureFinding]) -> bool:
    return any(each.verdict is Outcome.FAILED for each in signatures)


def _blamed(verdict: Verdict) -> str:
    code = main_reason(verdict).code
    signed = _signed(verdict)
    for each in (*(one for one in signed if code in one.reasons), *signed):
        if each.verdict is verdict.verdict and each.signer:
            return each.signer
    return ""


def _authentic(verdict: Verdict, language: str) -> dict[str, str]:
    column = column_of(language)
    signed = [each for each in _signed(verdict) if each.part != "bundle"] or _signed(verdict)
    first = signed[0]
    return {
        "by": _by(verdict, signed, column),
        "date": _date(first, column),
        "since": _since(signed, language),
        "aside": _aside(verdict, signed, language),
    }


def _by(verdict: Verdict, signed: list[SignatureFinding], column: int) -> str:
    names = list(dict.fromkeys(each.signer for each in signed if each.signer))
    if verdict.status is not None and signed[0].level.startswith("CAdES"):
        # The safe sealed what its holder handed in: it is not the issuer of it.
        return (f"il porte le cachet de {names[0]}", f"it carries the seal of {names[0]}")[column]
    if verdict.status is not None or len(names) == 1:
        return (f"émis par {names[0]}", f"issued by {names[0]}")[column]
    joint = (" et ", " and ")[column]
    listed = joint.join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "?"
    return (f"signé par {listed}", f"signed by {listed}")[column]


def _date(first: SignatureFinding, column: int) -> str:
    if first.signing_time is None:
        return (", date non prouvée", ", date not proven")[column]
    stamps = [each for each in first.timestamps if each.verdict is Outcome.PASSED and each.authority]
    words = (", daté du {} par {}", ", dated {} by {}") if stamps else (", daté du {}", ", dated {}")
    return words[column].format(first.signing_time, *(each.authority for each in stamps[:1]))


def _added(verdict: Verdict, language: str) -> str:
    summary = changes_summary(
        [change for each in verdict.signatures for change in each.changes_after], language
    )
    if not summary:
        return ""
    return f" (depuis, seulement : {summary})" if language == "fr" else f" (since then, only: {summary})"


def _since(signed: list[SignatureFinding], language: str) -> str:
    summary = changes_summary([change for each in signed for change in each.changes_after], language)
    if not summary:
        return "non modifié depuis" if language == "fr" else "not changed since"
    return f"et depuis, seulement : {summary}" if language == "fr" else f"and since then, only: {summary}"


def _aside(verdict: Verdict, signed: list[SignatureFinding], language: str) -> str:
    french = language == "fr"
    text = ""
    if any(each.revocation == "unchecked" for each in signed):
        text += (
            " ; la révocation du certificat n'a pas pu être contrôlée"
            if french
            else "; whether the certificate was revoked could not be checked"
        )
    status = verdict.status
    if status is not None and verdict.ledger is None:
        text += " ; son registre n'est pas vérifié" if french else "; its ledger is not checked"
    if status is not None and status.value not in {"valid", "unknown"}:
        words = status_words(status.value, language)
        text += f" ; mais il est {words}" if french else f"; but it is {words}"
    return text


def _line(verdict: Verdict) -> dict[str, str]:
    ledger = verdict.ledger
    seqs, origin = ((), "?") if ledger is None else (ledger.entries, ledger.origin)
    return {"seq": ", ".join(map(str, seqs)), "origin": origin}


def _time(verdict: Verdict, column: int) -> dict[str, str]:
    first = next(iter(verdict.signatures), None)
    time = first.signing_time if first is not None and first.signing_time else "?"
    authority = first.signer if first is not None else ""
    what = (
        ("ce document", "this document") if _has_document(first) else ("le fichier donné", "the file given")
    )
    named = (f", selon {authority}", f", according to {authority}")[column] if authority else ""
    return {"what": what[column], "time": time, "authority": named}


def _has_document(first: SignatureFinding | None) -> bool:
    return first is not None and first.level == "document timestamp"
