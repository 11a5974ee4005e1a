"""Verdicts in words for people: one sentence first, then who, when and what, then each check."""

from __future__ import annotations

from collections.abc import Iterator

from vault.evidence.explanations import EXPLANATIONS
from vault.evidence.findings import LedgerFinding, Outcome, Reason, SignatureFinding, Verdict

LANGUAGES = ("fr", "en")

_STATUS = {
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
_OUTCOMES = {
    Outcome.PASSED: ("VALIDE", "PASSED"),
    Outcome.FAILED: ("REFUSÉ", "FAILED"),
    Outcome.INDETERMINATE: ("INDÉTERMINÉ", "INDETERMINATE"),
    Outcome.PENDING: ("en attente", "pending"),
    Outcome.UNCHECKED: ("non vérifié", "unchecked"),
}
_LABELS = {
    "seal": ("Cachet", "Seal"),
    "time": ("Horodatage", "Timestamp"),
    "ledger": ("Registre", "Ledger"),
    "status": ("Statut", "Status"),
    "checks": ("Vérifications", "Checks"),
    "reasons": ("Raisons", "Reasons"),
    "own": ("autorité de l'exploitant lui-même", "the operator's own authority"),
    "entries": ("inscription n°", "entry"),
    "size": ("sur", "of"),
    "recorded": ("Inscrit", "Recorded"),
    "as_of": ("d'après le registre de taille", "as of ledger size"),
}


def explain(code: str, language: str) -> str:
    """Say what a reason code means, in `fr` or `en`."""
    known = EXPLANATIONS.get(code)
    return known[_column(language)] if known else code


def sentence(verdict: Verdict, language: str) -> str:
    """Say the verdict in one sentence."""
    french = language == "fr"
    if verdict.verdict is Outcome.FAILED:
        head = "Ce fichier n'est pas authentique" if french else "This file is not authentic"
        return f"{head} : {_why(verdict, language)}." if french else f"{head}: {_why(verdict, language)}."
    if verdict.verdict is Outcome.INDETERMINATE:
        head = "On ne peut pas conclure" if french else "No conclusion is possible"
        return f"{head} : {_why(verdict, language)}." if french else f"{head}: {_why(verdict, language)}."
    return _authentic(verdict, language)


def lines(verdict: Verdict, language: str, *, checks: bool = True) -> Iterator[str]:
    """Yield the verdict as text: the sentence, then who, when and what, then reasons and checks."""
    column = _column(language)
    yield f"{_OUTCOMES[verdict.verdict][column]} · {sentence(verdict, language)}"
    for signature in verdict.signatures:
        yield from _signature(signature, column)
    if verdict.ledger is not None:
        numbers = ", ".join(str(seq) for seq in verdict.ledger.entries)
        size = "?" if verdict.ledger.size is None else str(verdict.ledger.size)
        parts = f"{_LABELS['entries'][column]} {numbers} {_LABELS['size'][column]} {size}"
        said = f"{_OUTCOMES[verdict.ledger.verdict][column]}, {verdict.ledger.origin}, {parts}"
        yield f"  {_LABELS['ledger'][column]} : {said} ({_rests_on(verdict.ledger, column)})"
        yield from _dated(verdict.ledger, column)
    if verdict.status is not None:
        known = verdict.status.as_of_size
        as_of = f" ({_LABELS['as_of'][column]} {known}, {verdict.status.as_of_time})" if known else ""
        yield f"  {_LABELS['status'][column]} : {status_words(verdict.status.value, language)}{as_of}"
    if verdict.reasons:
        yield f"  {_LABELS['reasons'][column]} :"
        yield from (f"    {reason.code} - {reason.message}" for reason in verdict.reasons)
    if checks and verdict.checks:
        yield f"  {_LABELS['checks'][column]} :"
        for check in verdict.checks:
            found = f" ({check.found})" if check.found and check.outcome is not Outcome.PASSED else ""
            yield f"    {_OUTCOMES[check.outcome][column]:<14} {check.name}{found}"


def status_words(value: str, language: str) -> str:
    """Say a status value in words."""
    return _STATUS.get(value, (value, value))[_column(language)]


def _rests_on(ledger: LedgerFinding, column: int) -> str:
    if ledger.size is None:
        return ("aucun point de contrôle n'a été accepté", "no checkpoint was accepted")[column]
    if ledger.witnesses:
        count = len(ledger.witnesses)
        return (f"contresigné par {count} témoin(s)", f"cosigned by {count} witness(es)")[column]
    return (
        "repose sur la seule clé de l'exploitant : aucun témoin n'a contresigné",
        "rests on the operator's key alone: no witness cosigned",
    )[column]


def _dated(ledger: LedgerFinding, column: int) -> Iterator[str]:
    known = ledger.dated
    if known is None:
        return
    own = f" - {_LABELS['own'][column]}" if known.own_authority else ""
    if known.after is None:
        span = (f"avant le {known.before}", f"before {known.before}")[column]
    else:
        span = (
            f"entre le {known.after} (horodatage du cachet) et le {known.before} (ancre du registre)",
            f"between {known.after} (timestamp of the seal) and {known.before} (anchor of the ledger)",
        )[column]
    yield f"  {_LABELS['recorded'][column]} {span}, {known.authority}{own}"


def _authentic(verdict: Verdict, language: str) -> str:
    french = language == "fr"
    seal = next(iter(verdict.signatures), None)
    signer = seal.signer if seal else ""
    when = seal.signing_time if seal else None
    text = (
        f"Ce document est authentique : il porte le cachet de {signer}"
        if french
        else f"This document is authentic: it carries the seal of {signer}"
    )
    if when:
        text += f", horodaté du {when}" if french else f", timestamped {when}"
    if verdict.ledger is None:
        text += " ; son registre n'est pas vérifié" if french else "; its ledger is not checked"
    status = verdict.status
    if status is not None and status.value not in {"valid", "unknown"}:
        words = status_words(status.value, language)
        text += f" ; mais il est {words}" if french else f"; but it is {words}"
    return f"{text}."


def _why(verdict: Verdict, language: str) -> str:
    return explain(_first(verdict).code, language)


def _first(verdict: Verdict) -> Reason:
    """The reason that decides: the first that fails, else the first of all."""
    failing = [check.name for check in verdict.checks if check.outcome is verdict.verdict]
    for reason in verdict.reasons:
        if any(reason.message.startswith(f"{name}: ") for name in failing):
            return reason
    return verdict.reasons[0] if verdict.reasons else Reason("PROCESSING_ERROR", "")


def _signature(signature: SignatureFinding, column: int) -> Iterator[str]:
    words = [_OUTCOMES[signature.verdict][column], signature.level, signature.signer]
    yield f"  {_LABELS['seal'][column]} ({signature.part}) : {', '.join(word for word in words if word)}"
    for stamp in signature.timestamps:
        own = f" - {_LABELS['own'][column]}" if stamp.own_authority else ""
        yield f"  {_LABELS['time'][column]} : {stamp.time} {stamp.authority}{own}"
    yield from (f"    {change}" for change in signature.changes_after)


def _column(language: str) -> int:
    return LANGUAGES.index(language)
