"""How each page is asked by a browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.integration.access.asked import (
    Recipe,
    Route,
)
from tests.integration.access.facts import PURPOSE, TYPE, Thing, soon
from tests.integration.access.things import (
    both,
    case,
    closures,
    consents,
    contacts,
    documents,
    exports,
    lines,
    mandates,
    note,
    own,
    own_as_person,
    own_documents,
    proxies,
    reports,
    request,
    shares,
    statements,
    withdrawn_consents,
)
from tests.integration.access.world import World
from vault.domain.actors import Role

_HOLDERS = frozenset({Role.HOLDER, Role.MANDATARY})


def _page(things: Callable[[World], Sequence[Thing]], **more: Any) -> Recipe:
    """A page of one's document space."""
    return Recipe(things, page="person", **{"roles": _HOLDERS, **more})


def _form(things: Callable[[World], Sequence[Thing]], **fields: Any) -> Recipe:
    """A form of one's document space that acts; what it acts on is used up."""
    return _page(things, form=lambda world, thing, caller: fields, used_up=True)


def _own_form(things: Callable[[World], Sequence[Thing]], **fields: Any) -> Recipe:
    """A form of one's document space that can be sent again."""
    return _page(things, form=lambda world, thing, caller: fields)


def _own_files(world: World) -> list[Thing]:
    return [Thing("own journal", {"form": form}, own=True) for form in ("csv", "json", "pdf")]


def _agents(**more: Any) -> Recipe:
    return Recipe(
        documents,
        page="person",
        roles=frozenset({Role.AGENT}),
        form=lambda world, thing, caller: {"purpose": PURPOSE},
        **more,
    )


def pages() -> dict[Route, Recipe]:
    """Pages of a session; what they show is decided by the same services as REST."""
    mandate = {"mandatary": "quelqu-un", "scope": "read", "basis": "Procuration", "ends_at": soon(30)[:10]}
    return {
        ("GET", "/espace"): _page(own),
        ("POST", "/espace/recherche"): _own_form(own, q="acte"),
        ("GET", "/espace/documents/{document_id}"): _page(documents),
        ("POST", "/espace/documents/{document_id}/etiquettes"): _own_form(documents, labels="Logement"),
        ("GET", "/espace/documents/{document_id}/remarque"): _page(documents),
        ("POST", "/espace/documents/{document_id}/remarque"): _own_form(documents, words="C’est faux."),
        ("GET", "/espace/depot"): _page(own),
        ("POST", "/espace/depot"): _page(
            own,
            form=lambda world, thing, caller: {"document_type": next(iter(caller.types), TYPE)},
            file=b"piece",
        ),
        ("GET", "/espace/demandes"): _page(own),
        ("GET", "/espace/demandes/{request_id}"): _page(both(request)),
        ("GET", "/espace/demandes/{request_id}/reponse"): _page(both(request)),
        ("POST", "/espace/demandes/{request_id}/reponse"): _own_form(both(request), step="check"),
        ("GET", "/espace/demandes/{request_id}/refus"): _page(both(request)),
        ("POST", "/espace/demandes/{request_id}/refus"): _form(both(request)),
        ("GET", "/espace/consentements"): _page(own),
        ("GET", "/espace/consentements/{consent_id}"): _page(consents),
        ("GET", "/espace/consentements/{consent_id}/piece"): _page(consents),
        ("GET", "/espace/consentements/{consent_id}/retrait"): _page(withdrawn_consents),
        ("POST", "/espace/consentements/{consent_id}/retrait"): _form(consents),
        ("GET", "/espace/attestations/{statement_id}"): _page(statements),
        ("GET", "/espace/attestations/{statement_id}/piece"): _page(statements),
        ("GET", "/espace/demarches"): _page(own),
        ("GET", "/espace/demarches/{case_id}"): _page(both(case)),
        ("GET", "/espace/journal"): _page(own),
        ("GET", "/espace/journal/fichier/{form}"): _page(_own_files),
        ("GET", "/espace/journal/{entry}/preuve"): _page(lines, codes=frozenset({"RECEIPT_PENDING"})),
        ("GET", "/espace/journal/{entry}/signaler"): _page(lines),
        ("POST", "/espace/journal/{entry}/signaler"): _form(lines, words="Pourquoi ?"),
        ("GET", "/espace/signalements"): _page(own),
        ("GET", "/espace/signalements/{report_id}"): _page(reports),
        ("POST", "/espace/signalements/{report_id}"): _own_form(reports, verdict="enough"),
        ("GET", "/espace/mandats"): _page(own_as_person),
        ("GET", "/espace/mandats/nouveau"): _page(own),
        ("POST", "/espace/mandats/nouveau"): _own_form(own, step="check", **mandate),
        ("GET", "/espace/mandats/{mandate_id}"): _page(mandates),
        ("POST", "/espace/mandats/{mandate_id}/fin"): _form(proxies),
        ("GET", "/espace/partages"): _page(own),
        ("GET", "/espace/partages/nouveau"): _page(own),
        ("POST", "/espace/partages/nouveau"): _page(
            own_documents,
            form=lambda world, thing, caller: {
                "documents": thing.ids["document_id"],
                "purpose": "housing",
                "recipient": "Agence",
                "views": "3",
                "ends_at": soon(30)[:10],
                "form": "original",
                "step": "check",
            },
        ),
        ("GET", "/espace/partages/{share_id}"): _page(shares),
        ("POST", "/espace/partages/{share_id}/feuillet"): _page(
            shares, form=lambda world, thing, caller: {"code": thing.more["code"]}
        ),
        ("POST", "/espace/partages/{share_id}/retrait"): _form(shares),
        ("GET", "/espace/droits"): _page(own),
        ("GET", "/espace/export"): _page(own),
        ("POST", "/espace/export"): _own_form(own),
        ("GET", "/espace/export/{export_id}"): _page(exports),
        ("GET", "/espace/export/{export_id}/archive"): _page(exports),
        ("GET", "/espace/cloture"): _page(own),
        # Without the box ticked: nobody's safe is to be closed here.
        ("POST", "/espace/cloture"): _own_form(own),
        ("POST", "/espace/cloture/{closure_id}/confirmation"): _form(closures),
        ("POST", "/espace/cloture/{closure_id}/annulation"): _form(closures),
        ("GET", "/espace/remarques"): _page(own),
        ("POST", "/espace/remarques/{note_id}/retrait"): _form(both(note)),
        ("GET", "/espace/contacts"): _page(own),
        ("POST", "/espace/contacts"): _own_form(own, channel="mail", address="camille@example.org"),
        ("POST", "/espace/contacts/choix"): _own_form(own, language="fr"),
        ("POST", "/espace/contacts/{contact_id}/retrait"): _form(contacts),
        ("POST", "/espace/contacts/{contact_id}/code"): _own_form(contacts),
        ("POST", "/espace/contacts/{contact_id}/confirmation"): _own_form(contacts, code="00000-00000"),
        ("GET", "/agent"): Recipe(own, page="person", roles=frozenset({Role.AGENT})),
        ("POST", "/agent/documents/{document_id}"): _agents(),
        ("POST", "/agent/documents/{document_id}/original"): _agents(),
        ("POST", "/agent/documents/{document_id}/dossier"): _agents(),
    }
