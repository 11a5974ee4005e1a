"""Verdicts in words for people: one sentence first, then who, when and what, then each check."""

from __future__ import annotations

from collections.abc import Iterator

from vault.evidence.change_words import change_words
from vault.evidence.findings import LedgerFinding, LineFinding, Outcome, SignatureFinding, Verdict
from vault.evidence.judged import printable
from vault.evidence.sentences import LANGUAGES, column_of, explain, sentence, status_words

__all__ = ["LANGUAGES", "TIME_SOURCES", "explain", "lines", "sentence", "status_words"]

_OUTCOMES = {
    Outcome.PASSED: ("VALIDE", "PASSED"),
    Outcome.FAILED: ("REFUSÉ", "FAILED"),
    Outcome.INDETERMINATE: ("INDÉTERMINÉ", "INDETERMINATE"),
    Outcome.PENDING: ("en attente", "pending"),
    Outcome.UNCHECKED: ("non vérifié", "unchecked"),
}
TIME_SOURCES = {
    "timestamp": ("prouvée par l'horodatage", "proven by the timestamp"),
    "document timestamp": ("prouvée par l'horodatage du document", "proven by the document timestamp"),
    "record": ("prouvée par un enregistrement d'archivage", "proven by an evidence record"),
    "asked": ("demandée", "asked for"),
    "now": ("maintenant : rien ne prouve une date antérieure", "now: nothing proves an earlier date"),
}
_LABELS = {
    "seal": ("Cachet", "Seal"),
    "signature": ("Signature", "Signature"),
    "judged_at": ("Certificat jugé à la date du", "Certificate judged as of"),
    "since": ("Depuis la signature", "Since the signature"),
    "time": ("Horodatage", "Timestamp"),
    "ledger": ("Registre", "Ledger"),
    "status": ("Statut", "Status"),
    "event": ("Ligne du journal", "Line of the journal"),
    "checks": ("Vérifications", "Checks"),
    "reasons": ("Raisons", "Reasons"),
    "own": ("autorité de l'exploitant lui-même", "the operator's own authority"),
    "entries": ("inscription n°", "entry"),
    "size": ("sur", "of"),
    "recorded": ("Inscrit", "Recorded"),
    "file_alone": ("d'après ce seul fichier", "by this file alone"),
    "as_of": ("d'après le registre de taille", "as of ledger size"),
}
_GRANTED = {True: ("accordé", "granted"), False: ("refusé", "refused")}
_SAID = {
    "subject": ("objet", "about"),
    "document": ("document", "document"),
    "action": ("action", "action"),
    "holder": ("titulaire", "holder"),
    "actor": ("qui", "who"),
    "mandate": ("mandat", "mandate"),
    "role": ("qualité", "quality"),
    "organisation": ("administration", "administration"),
    "service": ("service", "service"),
    "purpose": ("finalité", "purpose"),
    "words": ("précision", "in words"),
    "case": ("démarche", "case"),
    "consent": ("consentement", "consent"),
    "share": ("partage", "share"),
    "requisition": ("réquisition", "requisition"),
}


def lines(verdict: Verdict, language: str, *, checks: bool = True) -> Iterator[str]:
    """Yield the verdict as text: the sentence, then who, when and what, then reasons and checks."""
    column = column_of(language)
    yield f"{_OUTCOMES[verdict.verdict][column]} · {sentence(verdict, language)}"
    for signature in verdict.signatures:
        yield from _signature(signature, column)
    if verdict.line is not None:
        yield from _line(verdict.line, column)
    if verdict.ledger is not None:
        numbers = ", ".join(str(seq) for seq in verdict.ledger.entries)
        size = "?" if verdict.ledger.size is None else str(verdict.ledger.size)
        parts = f"{_LABELS['entries'][column]} {numbers} {_LABELS['size'][column]} {size}"
        said = f"{_OUTCOMES[verdict.ledger.verdict][column]}, {verdict.ledger.origin}, {parts}"
        yield f"  {_LABELS['ledger'][column]} : {said} ({_rests_on(verdict.ledger, column)})"
        yield from _dated(verdict.ledger, column)
    if verdict.status is not None:
        known, time = verdict.status.as_of_size, verdict.status.as_of_time
        as_of = f" ({_LABELS['as_of'][column]} {known}, {time})" if known else ""
        if not known and time:
            as_of = f" ({_LABELS['file_alone'][column]}, {time})"
        yield f"  {_LABELS['status'][column]} : {status_words(verdict.status.value, language)}{as_of}"
    if verdict.reasons:
        yield f"  {_LABELS['reasons'][column]} :"
        yield from (f"    {reason.code} - {reason.message}" for reason in verdict.reasons)
    if checks and verdict.checks:
        yield f"  {_LABELS['checks'][column]} :"
        for check in verdict.checks:
            found = f" ({check.found})" if check.found and check.outcome is not Outcome.PASSED else ""
            yield f"    {_OUTCOMES[check.outcome][column]:<14} {check.name}{found}"


def _line(line: LineFinding, column: int) -> Iterator[str]:
    granted = _GRANTED[line.granted][column]
    yield f"  {_LABELS['event'][column]} : {printable(line.event)}, {granted}"
    for item in line.said:
        yield f"    {_SAID.get(item.name, (item.name, item.name))[column]} : {printable(item.value)}"


def _rests_on(ledger: LedgerFinding, column: int) -> str:
    if ledger.size is None:
        return ("aucun point de contrôle n'a été accepté", "no checkpoint was accepted")[column]
    if ledger.witnesses:
        count = len(ledger.witnesses)
        return (f"contresigné par {count} témoin(s)", f"cosigned by {count} witness(es)")[column]
    return (
        "repose sur la seule clé de l'exploitant : aucun témoin que le vérificateur nomme n'a contresigné",
        "rests on the operator's key alone: no witness that the verifier names cosigned",
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


def _signature(signature: SignatureFinding, column: int) -> Iterator[str]:
    words = [_OUTCOMES[signature.verdict][column], signature.level, signature.signer]
    label = _LABELS["signature" if signature.form else "seal"][column]
    field = f"{signature.part}, {signature.field}" if signature.field else signature.part
    yield f"  {label} ({field}) : {', '.join(word for word in words if word)}"
    if signature.best_time is not None:
        source = f" ({_source(signature, column)})" if signature.time_source else ""
        yield f"    {_LABELS['judged_at'][column]} {signature.best_time}{source}"
    for stamp in signature.timestamps:
        own = f" - {_LABELS['own'][column]}" if stamp.own_authority else ""
        counted = "" if stamp.verdict is Outcome.PASSED else f" - {_OUTCOMES[stamp.verdict][column]}"
        yield f"  {_LABELS['time'][column]} : {stamp.time} {stamp.authority}{own}{counted}"
    for change in signature.changes_after:
        yield f"    {_LABELS['since'][column]} : {change_words(change, LANGUAGES[column])}"


def _source(signature: SignatureFinding, column: int) -> str:
    return TIME_SOURCES.get(signature.time_source, (signature.time_source, signature.time_source))[column]
