"""How each route is asked. A route that stands here in no line fails the tests: it has to be told how to ask it."""

from __future__ import annotations

from tests.integration.access.asked import (
    READ,
    STATE,
    STEP,
    TOLD,
    WAIT,
    WHY,
    Recipe,
    Route,
    act,
    attachment,
    closing,
    first_line_granted,
    fixed,
    given,
    given_away,
    linked,
    ordered,
    wanted,
)
from tests.integration.access.facts import TOWN, Thing
from tests.integration.access.page_recipes import pages
from tests.integration.access.things import (
    administrations,
    askable,
    batches,
    both,
    case,
    case_and_act,
    case_body,
    closures,
    consents,
    contacts,
    documents,
    exports,
    forms,
    lines,
    mandates,
    note,
    own,
    own_as_person,
    own_documents,
    proxies,
    reports,
    request,
    requisitions,
    safes,
    shared,
    shares,
    statements,
    told,
    typed_safes,
    withdrawn_consents,
)

MANIFEST = b"holder,title,file\ncamille,Acte,a.txt\n"

RECIPES: dict[Route, Recipe] = {
    # documents
    ("POST", "/v1/acts"): Recipe(administrations, headers=act, content=b"acte"),
    ("POST", "/v1/batches"): Recipe(
        administrations,
        headers=lambda world, thing, caller: {"Content-Type": "text/csv"},
        query="?administration={administration_id}",
        content=MANIFEST,
    ),
    ("GET", "/v1/batches/{batch_id}"): Recipe(batches),
    ("PUT", "/v1/batches/{batch_id}/state"): Recipe(batches, body=fixed(state="open")),
    ("POST", "/v1/batches/{batch_id}/parts"): Recipe(
        batches, content=b"not an archive", codes=frozenset({"BATCH_PART_FORMAT"})
    ),
    ("PUT", "/v1/batches/{batch_id}/lines/{line}"): Recipe(batches, content=b"acte"),
    ("GET", "/v1/batches/{batch_id}/report.{form}"): Recipe(batches),
    ("POST", "/v1/attachments"): Recipe(typed_safes, headers=attachment, content=b"piece"),
    ("POST", "/v1/acts/{document_id}/revocation"): Recipe(
        both(
            lambda world, holder, administration, persona: Thing(
                f"act of {administration}",
                {"document_id": world.issue(holder, administration=administration, persona=persona)},
                holder,
                administration,
            )
        ),
        body=fixed(reason="error"),
        used_up=True,
    ),
    ("GET", "/v1/documents/{document_id}"): Recipe(documents, **READ),
    ("GET", "/v1/documents/{document_id}/original"): Recipe(documents, **READ),
    ("GET", "/v1/documents/{document_id}/evidence"): Recipe(documents, **READ),
    ("GET", "/v1/documents/{document_id}/receipt"): Recipe(documents, **WAIT),
    ("GET", "/v1/documents/{document_id}/keys"): Recipe(documents, **READ),
    ("POST", "/v1/receipts"): Recipe(
        documents,
        body=lambda world, thing, caller: {"documents": [thing.ids["document_id"]]},
        granted=first_line_granted,
        **WAIT,
    ),
    ("GET", "/v1/safes/{safe_id}/documents"): Recipe(safes),
    ("POST", "/v1/safes/{safe_id}/documents/search"): Recipe(safes, body=fixed(q="acte")),
    ("PUT", "/v1/documents/{document_id}/labels"): Recipe(documents, body=fixed(labels=["Trié"])),
    ("GET", "/v1/safes/{safe_id}/labels"): Recipe(safes),
    # pages
    ("GET", "/documents/{document_id}/original"): Recipe(documents, codes=WHY, page="person"),
    ("GET", "/documents/{document_id}/dossier"): Recipe(documents, codes=WHY, page="person"),
    ("GET", "/documents/{document_id}/recepisse"): Recipe(documents, codes=WHY, page="person"),
    # systems
    ("POST", "/v1/agents/pseudonym"): Recipe(own, body=fixed(agent="a.martin")),
    # notifications
    ("GET", "/v1/safes/{safe_id}/contacts"): Recipe(safes),
    ("PUT", "/v1/safes/{safe_id}/contacts"): Recipe(safes, body=fixed(contacts=[])),
    ("DELETE", "/v1/safes/{safe_id}/contacts/{contact_id}"): Recipe(contacts, used_up=True),
    ("POST", "/v1/safes/{safe_id}/contacts/{contact_id}/code"): Recipe(
        contacts, codes=frozenset({"CODES_TOO_MANY"})
    ),
    ("POST", "/v1/safes/{safe_id}/contacts/{contact_id}/confirmation"): Recipe(
        contacts, body=fixed(code="00000-00000"), codes=frozenset({"CODE_REFUSED"})
    ),
    ("GET", "/v1/safes/{safe_id}/preferences"): Recipe(safes),
    ("PUT", "/v1/safes/{safe_id}/preferences"): Recipe(safes, body=fixed(language="fr", events={})),
    # tell us once
    ("POST", "/v1/requests"): Recipe(administrations, body=wanted),
    ("GET", "/v1/requests/{request_id}"): Recipe(both(request)),
    ("GET", "/v1/requests/{request_id}/candidates"): Recipe(both(request)),
    ("POST", "/v1/requests/{request_id}/answer"): Recipe(
        both(request), body=fixed(answer="decline"), used_up=True
    ),
    ("POST", "/v1/requests/{request_id}/cancellation"): Recipe(both(request), body=fixed(), used_up=True),
    ("GET", "/v1/safes/{safe_id}/requests"): Recipe(safes),
    ("GET", "/v1/administrations/{administration_id}/requests"): Recipe(administrations),
    ("GET", "/v1/consents/{consent_id}"): Recipe(consents),
    ("GET", "/v1/consents/{consent_id}/paper"): Recipe(consents),
    ("GET", "/v1/consents/{consent_id}/withdrawal/paper"): Recipe(withdrawn_consents),
    ("POST", "/v1/consents/{consent_id}/withdrawal"): Recipe(consents, body=fixed(), used_up=True),
    ("GET", "/v1/safes/{safe_id}/consents"): Recipe(safes),
    ("GET", "/v1/statements/{statement_id}"): Recipe(statements),
    ("GET", "/v1/statements/{statement_id}/paper"): Recipe(statements),
    ("GET", "/v1/safes/{safe_id}/statements"): Recipe(safes),
    # the access journal
    ("GET", "/v1/documents/{document_id}/journal"): Recipe(documents),
    ("GET", "/v1/safes/{safe_id}/journal"): Recipe(safes),
    ("GET", "/v1/safes/{safe_id}/journal.{form}"): Recipe(forms),
    ("GET", "/v1/journal/{entry}/proof"): Recipe(lines, query="?wait=5"),
    ("POST", "/v1/journal/{entry}/report"): Recipe(
        lines, body=TOLD, codes=frozenset({"REPORT_EXISTS"}), used_up=True
    ),
    ("GET", "/v1/reports"): Recipe(own),
    ("GET", "/v1/reports/{report_id}"): Recipe(reports),
    ("POST", "/v1/reports/{report_id}/taking"): Recipe(reports, used_up=True),
    ("POST", "/v1/reports/{report_id}/answer"): Recipe(reports, body=TOLD, used_up=True),
    ("POST", "/v1/reports/{report_id}/reopening"): Recipe(reports, body=TOLD, codes=STATE),
    ("POST", "/v1/reports/{report_id}/closing"): Recipe(reports, codes=STATE),
    # rights
    ("POST", "/v1/safes/{safe_id}/exports"): Recipe(safes),
    ("GET", "/v1/exports/{export_id}"): Recipe(exports),
    ("GET", "/v1/exports/{export_id}/archive"): Recipe(exports),
    ("POST", "/v1/documents/{document_id}/notes"): Recipe(documents, body=TOLD),
    ("POST", "/v1/journal/{entry}/notes"): Recipe(lines, body=TOLD),
    ("GET", "/v1/documents/{document_id}/notes"): Recipe(documents),
    ("GET", "/v1/administrations/{administration_id}/notes"): Recipe(administrations),
    ("GET", "/v1/notes"): Recipe(own),
    ("GET", "/v1/notes/{note_id}"): Recipe(both(note)),
    ("POST", "/v1/notes/{note_id}/answer"): Recipe(
        both(note), body=fixed(finding="kept", words="L’acte est exact."), used_up=True
    ),
    ("POST", "/v1/notes/{note_id}/withdrawal"): Recipe(both(note), used_up=True),
    # oversight
    ("POST", "/v1/requisitions"): Recipe(own, body=ordered),
    ("GET", "/v1/requisitions"): Recipe(own),
    ("GET", "/v1/requisitions/{requisition_id}"): Recipe(requisitions),
    ("GET", "/v1/requisitions/{requisition_id}/paper"): Recipe(requisitions),
    ("POST", "/v1/requisitions/{requisition_id}/end"): Recipe(
        requisitions, body=fixed(reason="Rapportée."), used_up=True
    ),
    # safes
    ("POST", "/v1/safes"): Recipe(
        told, body=lambda world, thing, caller: {"holder": thing.safe, "name": "Quelqu’un"}
    ),
    ("GET", "/v1/safes/{safe_id}"): Recipe(safes),
    ("POST", "/v1/closures"): Recipe(askable, body=closing, used_up=True),
    ("GET", "/v1/closures"): Recipe(own),
    ("GET", "/v1/closures/{closure_id}"): Recipe(closures),
    ("GET", "/v1/safes/{safe_id}/closures"): Recipe(safes),
    ("POST", "/v1/closures/{closure_id}/confirmation"): Recipe(closures, used_up=True),
    ("POST", "/v1/closures/{closure_id}/cancellation"): Recipe(closures, body=fixed(), used_up=True),
    # sharing
    ("POST", "/v1/shares"): Recipe(own_documents, body=given_away),
    ("GET", "/v1/safes/{safe_id}/shares"): Recipe(safes),
    ("GET", "/v1/shares/{share_id}"): Recipe(shares),
    ("POST", "/v1/shares/{share_id}/withdrawal"): Recipe(shares, used_up=True),
    ("POST", "/v1/shares/{share_id}/slip"): Recipe(
        shares, body=lambda world, thing, caller: {"code": thing.more["code"]}
    ),
    ("GET", "/v1/shared/documents"): Recipe(own, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}"): Recipe(shared, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}/copy"): Recipe(shared, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}/original"): Recipe(shared, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}/evidence"): Recipe(shared, by_share=True),
    ("POST", "/v1/shared/documents/{document_id}/verification"): Recipe(
        shared, by_share=True, codes=frozenset({"RECEIPT_PENDING"})
    ),
    ("GET", "/partage/documents"): Recipe(own, by_share=True, page="share", sent_away="/partage"),
    ("GET", "/partage/documents/{document_id}/copie"): Recipe(shared, by_share=True, page="share"),
    ("GET", "/partage/documents/{document_id}/original"): Recipe(shared, by_share=True, page="share"),
    ("GET", "/partage/documents/{document_id}/dossier"): Recipe(shared, by_share=True, page="share"),
    ("POST", "/partage/documents/{document_id}/verification"): Recipe(
        shared,
        form=lambda world, thing, caller: {},
        codes=frozenset({"RECEIPT_PENDING"}),
        by_share=True,
        page="share",
    ),
    # mandates
    ("POST", "/v1/mandates"): Recipe(
        lambda world: [
            Thing(f"mandate of {name}", safe=name, administration=TOWN) for name in ("camille", "dominique")
        ],
        body=given,
    ),
    ("GET", "/v1/mandates"): Recipe(own_as_person),
    ("GET", "/v1/mandates/{mandate_id}"): Recipe(mandates),
    ("POST", "/v1/mandates/{mandate_id}/end"): Recipe(proxies, body=fixed(), used_up=True),
    ("GET", "/v1/safes/{safe_id}/mandates"): Recipe(safes),
    ("GET", "/v1/administrations/{administration_id}/mandates"): Recipe(administrations),
    # where is my request
    ("POST", "/v1/cases"): Recipe(
        administrations,
        body=lambda world, thing, caller: case_body("camille", thing.administration, world.key()),
    ),
    ("POST", "/v1/cases/{case_id}/steps"): Recipe(both(case), body=STEP),
    ("POST", "/v1/cases/{case_id}/closure"): Recipe(both(case), body=STEP, used_up=True),
    ("POST", "/v1/cases/{case_id}/reopening"): Recipe(both(case), body=STEP, codes=STATE),
    ("POST", "/v1/cases/{case_id}/documents"): Recipe(both(case_and_act), body=linked, codes=STATE),
    ("GET", "/v1/cases/{case_id}"): Recipe(both(case)),
    ("GET", "/v1/safes/{safe_id}/cases"): Recipe(safes),
    ("GET", "/v1/administrations/{administration_id}/cases"): Recipe(administrations),
    **pages(),
}
