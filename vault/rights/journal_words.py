"""The access journal in words, French first: what happened, who did it, why."""

from __future__ import annotations

from collections.abc import Mapping

from vault.authorization.purposes import ServiceNames
from vault.domain.actors import Actor, Role
from vault.ids import looks_like_id
from vault.rights.journal_rows import Line

Pair = tuple[str, str]

EVENTS: Mapping[str, Pair] = {
    "document.received": ("Document reçu", "Document received"),
    "document.issued": ("Acte délivré", "Act issued"),
    "document.deposited": ("Pièce déposée", "Attachment submitted"),
    "document.superseded": ("Acte remplacé", "Act superseded"),
    "document.revoked": ("Acte révoqué", "Act revoked"),
    "document.destroyed": ("Document détruit", "Document destroyed"),
    "document.read": ("Consultation", "Reading"),
    "document.read-refused": ("Consultation refusée", "Reading refused"),
    "mandate.granted": ("Mandat donné", "Mandate granted"),
    "mandate.renounced": ("Mandat abandonné", "Mandate renounced"),
    "mandate.revoked": ("Mandat retiré", "Mandate revoked"),
    "request.made": ("Pièce demandée", "Document requested"),
    "request.accepted": ("Demande de pièce acceptée", "Request accepted"),
    "request.declined": ("Demande de pièce refusée", "Request declined"),
    "request.cancelled": ("Demande de pièce annulée", "Request cancelled"),
    "request.expired": ("Demande de pièce expirée", "Request expired"),
    "consent.given": ("Consentement donné", "Consent given"),
    "consent.withdrawn": ("Consentement retiré", "Consent withdrawn"),
    "consent.withdrawal-sealed": ("Retrait du consentement scellé", "Withdrawal of the consent sealed"),
    "statement.issued": ("Attestation d’attribut délivrée", "Attribute statement issued"),
    "share.created": ("Partage créé", "Share created"),
    "share.opened": ("Partage ouvert", "Share opened"),
    "share.exhausted": ("Partage épuisé : il ne s’ouvre plus", "Share used up: it opens no more"),
    "share.refused": ("Ouverture de partage refusée", "Opening of a share refused"),
    "share.withdrawn": ("Partage retiré", "Share withdrawn"),
    "case.opened": ("Démarche ouverte", "Case opened"),
    "case.moved": ("Démarche avancée", "Case moved on"),
    "case.linked": ("Document joint à une démarche", "Document linked to a case"),
    "case.closed": ("Démarche close", "Case closed"),
    "case.reopened": ("Démarche rouverte", "Case reopened"),
    "report.opened": ("Accès signalé", "Access reported"),
    "report.taken": ("Signalement pris en charge", "Report taken in hand"),
    "report.answered": ("Signalement : réponse", "Report answered"),
    "report.reopened": ("Signalement rouvert", "Report reopened"),
    "report.closed": ("Signalement clos", "Report closed"),
    "note.added": ("Rectification demandée", "Rectification asked for"),
    "note.answered": ("Rectification : réponse", "Rectification answered"),
    "note.withdrawn": ("Demande de rectification retirée", "Rectification withdrawn"),
    "requisition.recorded": ("Réquisition enregistrée", "Requisition recorded"),
    "requisition.ended": ("Réquisition terminée", "Requisition ended"),
    "closure.asked": ("Clôture du coffre demandée", "Closure of the safe asked for"),
    "closure.confirmed": ("Clôture du coffre confirmée", "Closure of the safe confirmed"),
    "closure.cancelled": ("Clôture du coffre annulée", "Closure of the safe cancelled"),
    "closure.closed": ("Coffre clos", "Safe closed"),
    "export.asked": ("Export demandé", "Export asked for"),
    "export.delivered": ("Export remis", "Export delivered"),
    "export.journal": ("Journal exporté", "Journal exported"),
}
ACTIONS: Mapping[str, Pair] = {
    "describe": ("description", "description"),
    "read": ("original", "original"),
    "copy": ("copie marquée", "watermarked copy"),
    "evidence": ("dossier de preuve", "evidence bundle"),
    "receipt": ("récépissé", "receipt"),
    "keys": ("clés de suivi", "keys to follow it"),
    "journal": ("journal des accès", "access journal"),
    "export": ("export de tout le coffre", "export of the whole safe"),
    "revoke": ("révocation", "revocation"),
    "destroy": ("destruction", "destruction"),
    "label": ("étiquettes", "labels"),
}
ROLES: Mapping[str, Pair] = {
    Role.HOLDER.value: ("le titulaire", "the holder"),
    Role.MANDATARY.value: ("un mandataire", "a mandatary"),
    Role.AGENT.value: ("un agent", "an agent"),
    Role.SYSTEM.value: ("un logiciel", "software"),
    Role.AUDITOR.value: ("un auditeur", "an auditor"),
    Role.OPERATOR.value: ("l’exploitant du service", "the operator of the service"),
    Role.OFFICER.value: ("le délégué à la protection des données", "the data-protection officer"),
    Role.BEARER.value: ("le porteur d’un code de partage", "the bearer of a share code"),
    Role.ANONYMOUS.value: ("une personne inconnue", "somebody unknown"),
}
STATES: Mapping[str, Pair] = {
    "erased": ("effacé avec le document", "erased with the document"),
    "damaged": ("illisible : prévenez l’exploitant", "unreadable: tell the operator"),
}
_OTHER_HOLDER: Pair = ("le titulaire d’un autre coffre", "the holder of another safe")
_YOU: Pair = ("vous", "you")
_UNSTATED: Pair = ("non précisé", "not stated")


def event_words(line: Line) -> Pair:
    """Return what happened, in French and English."""
    return EVENTS.get(line.event, (line.event, line.event))


def action_words(line: Line) -> Pair:
    """Return what was asked for, in French and English, or two empty texts."""
    return ACTIONS.get(line.action, (line.action, line.action))


def purpose_words(line: Line, names: ServiceNames) -> Pair:
    """Return the purpose in French and English."""
    return names.purpose(line.organisation, line.service, line.purpose) if line.purpose else ("", "")


def agent_of(line: Line) -> str:
    """Return the pseudonym of an agent, or the identifier of software; "" for anything that names a person."""
    known = looks_like_id(line.actor, "agt") or looks_like_id(line.actor, "sys")
    return line.actor if known and line.role in {Role.AGENT.value, Role.SYSTEM.value} else ""


def who_words(line: Line, names: ServiceNames, viewer: Actor | None) -> Pair:
    """Return who it was in French and English: an organisation and service, never an agent's name.

    Args:
        line: the line.
        names: of administrations and services.
        viewer: who reads it: the same person is "you"; None for a file that others will read.
    """
    if line.state in STATES:
        return STATES[line.state]
    is_viewer = (
        viewer is not None and bool(line.actor) and (viewer.id, viewer.role.value) == (line.actor, line.role)
    )
    role = _YOU if is_viewer else ROLES.get(line.role, _UNSTATED)
    if line.role == Role.HOLDER.value and not line.own:
        return role if is_viewer else _OTHER_HOLDER
    if line.role in {Role.AGENT.value, Role.SYSTEM.value}:
        return _organised(line, names, role)
    if line.role == Role.MANDATARY.value:
        return f"{role[0]} (mandat {line.mandate})", f"{role[1]} (mandate {line.mandate})"
    if line.role == Role.BEARER.value and line.recipient:
        return f"{line.recipient} (code de partage)", f"{line.recipient} (share code)"
    return role


def _organised(line: Line, names: ServiceNames, role: Pair) -> Pair:
    organisation = names.administration(line.organisation) or line.organisation
    service = names.service(line.organisation, line.service)
    parts = [[text for text in (organisation, service[column], role[column]) if text] for column in (0, 1)]
    return ", ".join(parts[0]), ", ".join(parts[1])
