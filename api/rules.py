"""Which access rule each route falls under. The application refuses to start with a route that stands in no line.

PUBLIC routes say the same to everybody, or decide by a secret of their own (a login, a code). For every other route the
named action is what `vault.access` decides about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fastapi import FastAPI
from starlette.routing import BaseRoute

from vault.access import Action
from vault.errors import SettingsRefused

PUBLIC: Final = "public"

RULES: Mapping[tuple[str, str], Action | str] = {
    # what the service says of itself
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/v1/trust"): PUBLIC,
    ("GET", "/confiance/{name}"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/erreurs"): PUBLIC,
    ("GET", "/favicon.ico"): PUBLIC,
    ("GET", "/static"): PUBLIC,
    ("GET", "/"): PUBLIC,
    # what anyone may check, with or without this service
    ("GET", "/ledger/{path:path}"): PUBLIC,
    ("POST", "/tsa"): PUBLIC,
    ("POST", "/v1/verifications"): PUBLIC,
    ("POST", "/v1/verifications/hash"): PUBLIC,
    ("GET", "/verifier"): PUBLIC,
    ("POST", "/verifier"): PUBLIC,
    # systems
    ("POST", "/v1/token"): PUBLIC,
    ("POST", "/v1/agents/pseudonym"): Action.PSEUDONYM,
    # logging in and out; one's own access is decided by the session's cookie and form token
    ("GET", "/connexion"): PUBLIC,
    ("POST", "/connexion/{provider}"): PUBLIC,
    ("GET", "/connexion/retour/{provider}"): PUBLIC,
    ("POST", "/connexion/{provider}/back-channel"): PUBLIC,
    ("GET", "/connexion/{provider}/front-channel"): PUBLIC,
    ("GET", "/deconnexion"): PUBLIC,
    ("POST", "/deconnexion"): PUBLIC,
    ("GET", "/acces"): PUBLIC,
    ("POST", "/acces/fermer"): PUBLIC,
    ("POST", "/acces/relier"): PUBLIC,
    ("POST", "/acces/delier"): PUBLIC,
    ("POST", "/acces/mandat"): PUBLIC,
    ("GET", "/acces/renforcer"): PUBLIC,
    ("POST", "/acces/renforcer"): PUBLIC,
    # development identities
    ("GET", "/dev-identity/.well-known/openid-configuration"): PUBLIC,
    ("GET", "/dev-identity/jwks"): PUBLIC,
    ("GET", "/dev-identity/authorize"): PUBLIC,
    ("POST", "/dev-identity/authorize"): PUBLIC,
    ("POST", "/dev-identity/token"): PUBLIC,
    ("GET", "/dev-identity/logout"): PUBLIC,
    # documents
    ("POST", "/v1/acts"): Action.ISSUE,
    ("POST", "/v1/attachments"): Action.DEPOSIT,
    ("POST", "/v1/batches"): Action.ISSUE,
    ("GET", "/v1/batches/{batch_id}"): Action.ISSUE,
    ("PUT", "/v1/batches/{batch_id}/state"): Action.ISSUE,
    ("POST", "/v1/batches/{batch_id}/parts"): Action.ISSUE,
    ("PUT", "/v1/batches/{batch_id}/lines/{line}"): Action.ISSUE,
    ("GET", "/v1/batches/{batch_id}/report.{form}"): Action.ISSUE,
    ("POST", "/v1/acts/{document_id}/revocation"): Action.REVOKE,
    ("GET", "/v1/documents/{document_id}"): Action.DESCRIBE,
    ("GET", "/v1/documents/{document_id}/original"): Action.READ,
    ("GET", "/v1/documents/{document_id}/evidence"): Action.EVIDENCE,
    ("GET", "/v1/documents/{document_id}/receipt"): Action.RECEIPT,
    ("GET", "/v1/documents/{document_id}/keys"): Action.KEYS,
    ("POST", "/v1/receipts"): Action.RECEIPT,
    ("GET", "/v1/safes/{safe_id}/documents"): Action.LIST,
    ("POST", "/v1/safes/{safe_id}/documents/search"): Action.LIST,
    ("PUT", "/v1/documents/{document_id}/labels"): Action.LABEL,
    ("GET", "/v1/safes/{safe_id}/labels"): Action.LIST,
    # notifications
    ("GET", "/v1/safes/{safe_id}/contacts"): Action.CONTACTS,
    ("PUT", "/v1/safes/{safe_id}/contacts"): Action.CONTACTS,
    ("DELETE", "/v1/safes/{safe_id}/contacts/{contact_id}"): Action.CONTACTS,
    ("POST", "/v1/safes/{safe_id}/contacts/{contact_id}/code"): Action.CONTACTS,
    ("POST", "/v1/safes/{safe_id}/contacts/{contact_id}/confirmation"): Action.CONTACTS,
    ("GET", "/v1/safes/{safe_id}/preferences"): Action.CONTACTS,
    ("PUT", "/v1/safes/{safe_id}/preferences"): Action.CONTACTS,
    ("POST", "/v1/notices/bounces"): PUBLIC,
    # tell us once
    ("POST", "/v1/requests"): Action.REQUEST_MAKE,
    ("GET", "/v1/requests/{request_id}"): Action.REQUEST_SEE,
    ("GET", "/v1/requests/{request_id}/candidates"): Action.REQUEST_ANSWER,
    ("POST", "/v1/requests/{request_id}/answer"): Action.REQUEST_ANSWER,
    ("POST", "/v1/requests/{request_id}/cancellation"): Action.REQUEST_CANCEL,
    ("GET", "/v1/safes/{safe_id}/requests"): Action.REQUEST_SEE,
    ("GET", "/v1/administrations/{administration_id}/requests"): Action.REQUEST_SEE,
    ("GET", "/v1/consents/{consent_id}"): Action.CONSENT_SEE,
    ("GET", "/v1/consents/{consent_id}/paper"): Action.CONSENT_SEE,
    ("GET", "/v1/consents/{consent_id}/withdrawal/paper"): Action.CONSENT_SEE,
    ("POST", "/v1/consents/{consent_id}/withdrawal"): Action.CONSENT_WITHDRAW,
    ("GET", "/v1/safes/{safe_id}/consents"): Action.CONSENT_SEE,
    ("GET", "/v1/statements/{statement_id}"): Action.STATEMENT_SEE,
    ("GET", "/v1/statements/{statement_id}/paper"): Action.STATEMENT_SEE,
    ("GET", "/v1/safes/{safe_id}/statements"): Action.STATEMENT_SEE,
    ("GET", "/v1/attributes"): PUBLIC,
    # sharing with third parties; what a code opens is decided by code and second secret
    ("POST", "/v1/shares"): Action.SHARE_CREATE,
    ("GET", "/v1/safes/{safe_id}/shares"): Action.SHARE_SEE,
    ("GET", "/v1/shares/{share_id}"): Action.SHARE_SEE,
    ("POST", "/v1/shares/{share_id}/withdrawal"): Action.SHARE_WITHDRAW,
    ("POST", "/v1/shares/{share_id}/slip"): Action.SHARE_SEE,
    ("POST", "/v1/shares/opening"): PUBLIC,
    ("GET", "/v1/shared/documents"): Action.DESCRIBE,
    ("GET", "/v1/shared/documents/{document_id}"): Action.DESCRIBE,
    ("GET", "/v1/shared/documents/{document_id}/copy"): Action.COPY,
    ("GET", "/v1/shared/documents/{document_id}/original"): Action.READ,
    ("GET", "/v1/shared/documents/{document_id}/evidence"): Action.EVIDENCE,
    ("POST", "/v1/shared/documents/{document_id}/verification"): Action.DESCRIBE,
    ("GET", "/partage"): PUBLIC,
    ("POST", "/partage"): PUBLIC,
    ("POST", "/partage/fermer"): PUBLIC,
    ("GET", "/partage/documents"): Action.DESCRIBE,
    ("GET", "/partage/documents/{document_id}/copie"): Action.COPY,
    ("GET", "/partage/documents/{document_id}/original"): Action.READ,
    ("GET", "/partage/documents/{document_id}/dossier"): Action.EVIDENCE,
    ("POST", "/partage/documents/{document_id}/verification"): Action.DESCRIBE,
    # the access journal
    ("GET", "/v1/documents/{document_id}/journal"): Action.JOURNAL,
    ("GET", "/v1/safes/{safe_id}/journal"): Action.JOURNAL,
    ("GET", "/v1/safes/{safe_id}/journal.{form}"): Action.EXPORT,
    ("GET", "/v1/journal/{entry}/proof"): Action.JOURNAL_PROOF,
    ("POST", "/v1/journal/{entry}/report"): Action.REPORT_MAKE,
    ("GET", "/v1/reports"): Action.REPORT_SEE,
    ("GET", "/v1/reports/{report_id}"): Action.REPORT_SEE,
    ("POST", "/v1/reports/{report_id}/taking"): Action.REPORT_ANSWER,
    ("POST", "/v1/reports/{report_id}/answer"): Action.REPORT_ANSWER,
    ("POST", "/v1/reports/{report_id}/reopening"): Action.REPORT_MAKE,
    ("POST", "/v1/reports/{report_id}/closing"): Action.REPORT_MAKE,
    ("GET", "/v1/administrations/{administration_id}/services"): PUBLIC,
    # rights
    ("POST", "/v1/safes/{safe_id}/exports"): Action.EXPORT,
    ("GET", "/v1/exports/{export_id}"): Action.EXPORT,
    ("GET", "/v1/exports/{export_id}/archive"): Action.EXPORT,
    ("POST", "/v1/documents/{document_id}/notes"): Action.NOTE_ADD,
    ("POST", "/v1/journal/{entry}/notes"): Action.NOTE_ADD,
    ("GET", "/v1/documents/{document_id}/notes"): Action.NOTE_SEE,
    ("GET", "/v1/administrations/{administration_id}/notes"): Action.NOTE_SEE,
    ("GET", "/v1/notes"): Action.NOTE_SEE,
    ("GET", "/v1/notes/{note_id}"): Action.NOTE_SEE,
    ("POST", "/v1/notes/{note_id}/answer"): Action.NOTE_ANSWER,
    ("POST", "/v1/notes/{note_id}/withdrawal"): Action.NOTE_ADD,
    # oversight
    ("POST", "/v1/requisitions"): Action.REQUISITION_WRITE,
    ("GET", "/v1/requisitions"): Action.REQUISITION_SEE,
    ("GET", "/v1/requisitions/{requisition_id}"): Action.REQUISITION_SEE,
    ("GET", "/v1/requisitions/{requisition_id}/paper"): Action.REQUISITION_SEE,
    ("POST", "/v1/requisitions/{requisition_id}/end"): Action.REQUISITION_WRITE,
    # safes and their closure
    ("POST", "/v1/safes"): Action.SAFE_OPEN,
    ("GET", "/v1/safes/{safe_id}"): Action.SAFE_SEE,
    ("POST", "/v1/closures"): Action.CLOSURE_ASK,
    ("GET", "/v1/closures"): Action.CLOSURE_DECIDE,
    ("GET", "/v1/closures/{closure_id}"): Action.CLOSURE_SEE,
    ("GET", "/v1/safes/{safe_id}/closures"): Action.CLOSURE_SEE,
    ("POST", "/v1/closures/{closure_id}/confirmation"): Action.CLOSURE_CONFIRM,
    ("POST", "/v1/closures/{closure_id}/cancellation"): Action.CLOSURE_CANCEL,
    # mandates
    ("POST", "/v1/mandates"): Action.MANDATE_GRANT,
    ("GET", "/v1/mandates"): Action.MANDATE_SEE,
    ("GET", "/v1/mandates/{mandate_id}"): Action.MANDATE_SEE,
    ("POST", "/v1/mandates/{mandate_id}/end"): Action.MANDATE_END,
    ("GET", "/v1/safes/{safe_id}/mandates"): Action.MANDATE_SEE,
    ("GET", "/v1/administrations/{administration_id}/mandates"): Action.MANDATE_SEE,
    # where is my request
    ("POST", "/v1/cases"): Action.CASE_WRITE,
    ("POST", "/v1/cases/{case_id}/steps"): Action.CASE_WRITE,
    ("POST", "/v1/cases/{case_id}/closure"): Action.CASE_WRITE,
    ("POST", "/v1/cases/{case_id}/reopening"): Action.CASE_WRITE,
    ("POST", "/v1/cases/{case_id}/documents"): Action.CASE_WRITE,
    ("GET", "/v1/cases/{case_id}"): Action.CASE_SEE,
    ("GET", "/v1/safes/{safe_id}/cases"): Action.CASE_SEE,
    ("GET", "/v1/administrations/{administration_id}/cases"): Action.CASE_SEE,
    # pages
    ("GET", "/documents/{document_id}/original"): Action.READ,
    ("GET", "/documents/{document_id}/dossier"): Action.EVIDENCE,
    ("GET", "/documents/{document_id}/recepisse"): Action.RECEIPT,
    # one's document space, for a session: what each page shows or each form does
    ("GET", "/espace"): Action.LIST,
    ("GET", "/espace/documents/{document_id}"): Action.DESCRIBE,
    ("GET", "/espace/recherche"): PUBLIC,
    ("POST", "/espace/recherche"): Action.LIST,
    ("POST", "/espace/documents/{document_id}/etiquettes"): Action.LABEL,
    ("GET", "/espace/documents/{document_id}/remarque"): Action.NOTE_ADD,
    ("POST", "/espace/documents/{document_id}/remarque"): Action.NOTE_ADD,
    ("GET", "/espace/depot"): Action.DEPOSIT,
    ("POST", "/espace/depot"): Action.DEPOSIT,
    ("GET", "/espace/demandes"): Action.REQUEST_SEE,
    ("GET", "/espace/demandes/{request_id}"): Action.REQUEST_SEE,
    ("GET", "/espace/demandes/{request_id}/reponse"): Action.REQUEST_ANSWER,
    ("POST", "/espace/demandes/{request_id}/reponse"): Action.REQUEST_ANSWER,
    ("GET", "/espace/demandes/{request_id}/refus"): Action.REQUEST_ANSWER,
    ("POST", "/espace/demandes/{request_id}/refus"): Action.REQUEST_ANSWER,
    ("GET", "/espace/consentements"): Action.CONSENT_SEE,
    ("GET", "/espace/consentements/{consent_id}"): Action.CONSENT_SEE,
    ("GET", "/espace/consentements/{consent_id}/piece"): Action.CONSENT_SEE,
    ("GET", "/espace/consentements/{consent_id}/retrait"): Action.CONSENT_SEE,
    ("POST", "/espace/consentements/{consent_id}/retrait"): Action.CONSENT_WITHDRAW,
    ("GET", "/espace/attestations/{statement_id}"): Action.STATEMENT_SEE,
    ("GET", "/espace/attestations/{statement_id}/piece"): Action.STATEMENT_SEE,
    ("GET", "/espace/demarches"): Action.CASE_SEE,
    ("GET", "/espace/demarches/{case_id}"): Action.CASE_SEE,
    ("GET", "/espace/journal"): Action.JOURNAL,
    ("GET", "/espace/journal/fichier/{form}"): Action.EXPORT,
    ("GET", "/espace/journal/{entry}/preuve"): Action.JOURNAL_PROOF,
    ("GET", "/espace/journal/{entry}/signaler"): Action.REPORT_MAKE,
    ("POST", "/espace/journal/{entry}/signaler"): Action.REPORT_MAKE,
    ("GET", "/espace/signalements"): Action.REPORT_SEE,
    ("GET", "/espace/signalements/{report_id}"): Action.REPORT_SEE,
    ("POST", "/espace/signalements/{report_id}"): Action.REPORT_MAKE,
    ("GET", "/espace/mandats"): Action.MANDATE_SEE,
    ("GET", "/espace/mandats/nouveau"): Action.MANDATE_GRANT,
    ("POST", "/espace/mandats/nouveau"): Action.MANDATE_GRANT,
    ("GET", "/espace/mandats/{mandate_id}"): Action.MANDATE_SEE,
    ("POST", "/espace/mandats/{mandate_id}/fin"): Action.MANDATE_END,
    ("GET", "/espace/partages"): Action.SHARE_SEE,
    ("GET", "/espace/partages/nouveau"): Action.SHARE_CREATE,
    ("POST", "/espace/partages/nouveau"): Action.SHARE_CREATE,
    ("GET", "/espace/partages/{share_id}"): Action.SHARE_SEE,
    ("POST", "/espace/partages/{share_id}/feuillet"): Action.SHARE_SEE,
    ("POST", "/espace/partages/{share_id}/retrait"): Action.SHARE_WITHDRAW,
    ("GET", "/espace/droits"): Action.EXPORT,
    ("GET", "/espace/export"): Action.EXPORT,
    ("POST", "/espace/export"): Action.EXPORT,
    ("GET", "/espace/export/{export_id}"): Action.EXPORT,
    ("GET", "/espace/export/{export_id}/archive"): Action.EXPORT,
    ("GET", "/espace/cloture"): Action.CLOSURE_ASK,
    ("POST", "/espace/cloture"): Action.CLOSURE_ASK,
    ("POST", "/espace/cloture/{closure_id}/confirmation"): Action.CLOSURE_CONFIRM,
    ("POST", "/espace/cloture/{closure_id}/annulation"): Action.CLOSURE_CANCEL,
    ("GET", "/espace/remarques"): Action.NOTE_SEE,
    ("POST", "/espace/remarques/{note_id}/retrait"): Action.NOTE_ADD,
    ("GET", "/espace/contacts"): Action.CONTACTS,
    ("POST", "/espace/contacts"): Action.CONTACTS,
    ("POST", "/espace/contacts/choix"): Action.CONTACTS,
    ("POST", "/espace/contacts/{contact_id}/retrait"): Action.CONTACTS,
    ("POST", "/espace/contacts/{contact_id}/code"): Action.CONTACTS,
    ("POST", "/espace/contacts/{contact_id}/confirmation"): Action.CONTACTS,
    # agents' pages; a document's opens once its purpose is said, which is asked alike for every one
    ("GET", "/agent"): Action.REQUEST_SEE,
    ("GET", "/agent/documents/{document_id}"): PUBLIC,
    ("POST", "/agent/documents/{document_id}"): Action.DESCRIBE,
    ("POST", "/agent/documents/{document_id}/original"): Action.READ,
    ("POST", "/agent/documents/{document_id}/dossier"): Action.EVIDENCE,
}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of every route of the running application; HEAD goes with its GET."""
    for route in flat(app.routes):
        path = str(getattr(route, "path", ""))
        for method in sorted(set(getattr(route, "methods", None) or {"GET"})):
            if method != "HEAD":
                yield method, path


def demand_rules(app: FastAPI) -> None:
    """Refuse an application with a route that has no rule. Raises SettingsRefused."""
    missing = [f"{method} {path}" for method, path in routes_of(app) if (method, path) not in RULES]
    if missing:
        raise SettingsRefused("SETTINGS_REFUSED", f"routes without an access rule: {', '.join(missing)}")


def flat(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield routes, those of included routers in place of the routers."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from flat(included.routes)
