"""Verdicts in words for people: one sentence first, then who, when and what, then each check."""

from __future__ import annotations

from collections.abc import Iterator

from vault.evidence.report import LedgerFinding, Outcome, Reason, SignatureFinding, Verdict

LANGUAGES = ("fr", "en")

# code -> what it means for somebody who is no specialist, (French, English)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "FORMAT_FAILURE": (
        "le fichier n'a pas la forme exacte attendue : il est abîmé ou a été retouché",
        "the file does not have the exact form it must have: it is damaged or was tampered with",
    ),
    "HASH_FAILURE": (
        "le contenu n'est pas celui qui a été scellé",
        "the content is not the one that was sealed",
    ),
    "SIG_CRYPTO_FAILURE": ("la signature est fausse", "the signature is false"),
    "SIG_CONSTRAINTS_FAILURE": (
        "le certificat n'autorise pas ce cachet",
        "the certificate does not allow this seal",
    ),
    "CHAIN_CONSTRAINTS_FAILURE": (
        "les certificats n'autorisent pas cet usage",
        "the certificates do not allow this use",
    ),
    "CERTIFICATE_CHAIN_GENERAL_FAILURE": (
        "la chaîne de certificats n'a pas pu être validée",
        "the chain of certificates could not be validated",
    ),
    "CRYPTO_CONSTRAINTS_FAILURE": (
        "un algorithme employé est trop faible",
        "an algorithm in use is too weak",
    ),
    "NO_CERTIFICATE_CHAIN_FOUND": (
        "l'identité du signataire ne mène à aucune racine à laquelle vous faites confiance",
        "the signer's identity leads to no root that you trust",
    ),
    "NO_SIGNING_CERTIFICATE_FOUND": (
        "le certificat du signataire est introuvable",
        "the signer's certificate cannot be found",
    ),
    "SIGNED_DATA_NOT_FOUND": (
        "ce qui a été signé est introuvable",
        "what was signed cannot be found",
    ),
    "REVOKED": (
        "le certificat était déjà révoqué au moment du cachet",
        "the certificate was already revoked when the seal was made",
    ),
    "EXPIRED": ("le certificat était expiré au moment du cachet", "the certificate had expired when sealing"),
    "NOT_YET_VALID": (
        "le certificat n'était pas encore valable au moment du cachet",
        "the certificate was not yet valid when sealing",
    ),
    "TRY_LATER": (
        "il manque une liste de révocation qui couvre ce moment",
        "a revocation list that covers this time is missing",
    ),
    "NO_POE": (
        "aucune preuve de date ne permet de conclure",
        "no proof of time lets us conclude",
    ),
    "OUT_OF_BOUNDS_NO_POE": (
        "un certificat a expiré et rien ne prouve que le cachet est plus ancien",
        "a certificate has expired and nothing proves that the seal is older",
    ),
    "TIMESTAMP_ORDER_FAILURE": (
        "les dates se contredisent",
        "the dates contradict each other",
    ),
    "MEMBER_MISSING": ("une pièce du dossier manque", "a piece of the bundle is missing"),
    "MEMBER_UNKNOWN": (
        "le dossier contient une pièce qui n'a rien à y faire",
        "the bundle holds a piece that does not belong there",
    ),
    "INDEX_FILE_MISMATCH": (
        "l'index du dossier ne correspond pas aux pièces",
        "the bundle's index does not match its pieces",
    ),
    "INSTRUCTIONS_MISMATCH": (
        "le mode d'emploi joint n'est pas celui que nous publions",
        "the instructions inside are not the ones we publish",
    ),
    "EVIDENCE_SEAL_MISMATCH": (
        "le cachet du dossier ne couvre pas exactement ses pièces",
        "the bundle's seal does not cover exactly its pieces",
    ),
    "MATERIAL_MISMATCH": (
        "les certificats joints ne sont pas ceux des cachets",
        "the certificates in the bundle are not those of the seals",
    ),
    "OPENING_MISMATCH": (
        "ce qui est dit de l'inscription n'est pas ce que le registre a enregistré",
        "what is said of the entry is not what the ledger recorded",
    ),
    "OPENING_INVALID": (
        "l'ouverture d'une inscription est mal formée",
        "the opening of an entry is malformed",
    ),
    "ENTRY_INVALID": ("une inscription est mal formée", "an entry is malformed"),
    "DOCUMENT_MISMATCH": (
        "l'inscription au registre parle d'un autre document",
        "the ledger entry is about another document",
    ),
    "SEAL_MISMATCH": (
        "le cachet n'est pas celui que le registre a enregistré",
        "the seal is not the one that the ledger recorded",
    ),
    "TOKEN_MISMATCH": (
        "l'horodatage n'est pas celui que le registre a enregistré",
        "the timestamp is not the one that the ledger recorded",
    ),
    "MANIFEST_MISMATCH": (
        "le manifeste n'est pas celui que le registre a enregistré",
        "the manifest is not the one that the ledger recorded",
    ),
    "CERTIFICATE_MISMATCH": (
        "le certificat du cachet n'est pas celui que le registre a enregistré",
        "the seal's certificate is not the one that the ledger recorded",
    ),
    "TAG_MISMATCH": (
        "une inscription n'appartient pas à ce document, ou une inscription intermédiaire manque",
        "an entry does not belong to this document, or one in between is missing",
    ),
    "ENTRY_NOT_IN_LEDGER": (
        "une inscription n'est pas dans le registre",
        "an entry is not in the ledger",
    ),
    "INDEX_MISMATCH": (
        "un récépissé parle d'une autre inscription",
        "a receipt is about another entry",
    ),
    "LOG_MISMATCH": ("les récépissés ne viennent pas du même registre", "the receipts are of different logs"),
    "LOG_UNKNOWN": (
        "les clés publiques de ce registre n'ont pas été fournies : sa part n'est pas vérifiée",
        "the public keys of this ledger were not given: its part is not verified",
    ),
    "LOG_SIGNATURE_MISSING": (
        "une signature attendue du registre manque",
        "a signature expected of the ledger is missing",
    ),
    "LOG_SIGNATURE_INVALID": ("une signature du registre est fausse", "a signature of the ledger is false"),
    "WITNESS_QUORUM_UNMET": (
        "trop peu de témoins ont contresigné le registre",
        "too few witnesses cosigned the ledger",
    ),
    "LOG_INCONSISTENT": (
        "le registre publié contredit celui du dossier",
        "the published ledger contradicts the one in the bundle",
    ),
    "LEDGER_UNAVAILABLE": ("le registre publié n'a pas pu être lu", "the published ledger could not be read"),
    "EVENT_SEQUENCE": (
        "la suite des événements du document est impossible",
        "the sequence of events of the document is impossible",
    ),
    "TIME_ORDER": (
        "le cachet serait plus récent que son inscription au registre",
        "the seal would be younger than its ledger entry",
    ),
    "NOT_JUDGED": (
        "ce type de fichier n'est pas encore jugé par ce programme",
        "this program does not judge this kind of file yet",
    ),
    "NO_SIGNATURE_FOUND": (
        "ce fichier ne porte ni cachet, ni signature, ni preuve",
        "this file carries no seal, signature or proof",
    ),
    "CHANGES_NOT_JUDGED": (
        "la signature est intacte, mais ce qui a été ajouté après elle n'est pas jugé",
        "the signature is intact, but what was added after it is not judged",
    ),
    "TILE_DAMAGED": ("le registre publié est abîmé", "the published ledger is damaged"),
    "CONSISTENCY_PROOF_INVALID": (
        "le registre publié contredit celui du dossier",
        "the published ledger contradicts the one in the bundle",
    ),
    "WITNESS_SIGNATURE_INVALID": (
        "une contresignature de témoin est fausse",
        "a witness's cosignature is false",
    ),
    "PROCESSING_ERROR": (
        "la vérification s'est arrêtée sur une difficulté imprévue",
        "verification stopped on an unforeseen difficulty",
    ),
}

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
