"""Documents as the interface shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from api.v1.schemas import (
    Administration,
    DocumentDescription,
    Finding,
    Links,
    NoteAnswer,
    NoteFinding,
    Receipt,
)
from vault.clock import rfc3339
from vault.documents.reading import View
from vault.domain.documents import Document, ObjectRole, Outcome
from vault.domain.matters import Matter
from vault.domain.states import Scan
from vault.messages.catalogue import message


def links(document_id: str) -> Links:
    """Return the addresses of a document's parts."""
    here = f"/v1/documents/{document_id}"
    return Links(
        self=here, original=f"{here}/original", evidence=f"{here}/evidence", receipt=f"{here}/receipt"
    )


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write an object as JSON."""
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type="application/json")


def accepted(outcome: Outcome) -> Response:
    """Answer a write that took a document in: 201 sealed, 202 while its seal waits."""
    sealing = "sealed" if outcome.status_code == 201 else "waiting"
    return _receipt(outcome, Receipt(
        id=outcome.document_id, entry=outcome.seq, sealing=sealing, status="valid", links=links(outcome.document_id)
    ))  # fmt: skip


def revoked(outcome: Outcome) -> Response:
    """Answer a revocation."""
    return _receipt(outcome, Receipt(
        id=outcome.document_id, entry=outcome.seq, sealing="sealed", status="revoked",
        links=links(outcome.document_id),
    ))  # fmt: skip


def step_taken(outcome: Outcome, place: str, receipt: type[BaseModel], **more: str) -> Response:
    """Answer a step of a matter, first time and on each retry alike.

    Args:
        outcome: what was written.
        place: address of the matters of its kind.
        receipt: model of the answer: `id`, `entry`, `self`, and the members in `more`.
        more: further members.
    """
    here = f"{place}/{outcome.document_id}"
    headers = {"Location": here}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    body = receipt.model_validate({"id": outcome.document_id, "entry": outcome.seq, "self": here, **more})
    return json_response(body.model_dump(), outcome.status_code, headers)


def _receipt(outcome: Outcome, body: Receipt) -> Response:
    headers = {"Location": body.links.self}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_response(body.model_dump(), outcome.status_code, headers)


def described(view: View, lang: str, notes: Sequence[Matter] | None = None) -> dict[str, Any]:
    """Return a document's description; personal members are null for callers who see evidence only.

    Args:
        view: the document.
        lang: `fr` or `en`.
        notes: the notes that stand beside it, or None.
    """
    document, private = view.document, view.document.private
    return DocumentDescription(
        id=document.id,
        kind=document.kind.value,
        safe=document.safe_id if private else None,
        administration=Administration(id=document.issuer_id, name=view.administration_name)
        if document.issuer_id
        else None,
        document_type=document.document_type,
        media_type=document.media_type,
        size=document.size,
        sha256=_digest(document),
        reception=document.reception.value,
        sealing=document.sealing.value,
        scan=document.scan.value,
        scan_reason=document.scan_reason or None if document.scan is Scan.PENDING else None,
        withheld=view.withheld or None,
        status=document.status.value,
        published=view.published,
        created_at=rfc3339(document.created_at),
        retain_until=rfc3339(document.retain_until),
        supersedes=document.supersedes,
        superseded_by=document.superseded_by,
        entry=document.first_seq,
        sealing_entry=document.issued_seq,
        ledger_size=view.published_size,
        title=private.title if private else None,
        file_name=private.file_name if private else None,
        holder=private.holder if private else None,
        case=private.case if private else None,
        language=private.language if private else None,
        attributes=dict(private.attributes) if private else None,
        labels=list(view.labels) if private else None,
        findings=findings(document, lang),
        notes=[described_note(each) for each in notes] if notes is not None and private else None,
        links=links(document.id),
    ).model_dump()


def findings(document: Document, lang: str) -> list[Finding]:
    """Return what the inspection reported, in words."""
    if document.private is None:
        return []
    told: dict[tuple[str, str], Finding] = {}
    for finding in document.private.findings:
        params = finding.get("params")
        code = str(finding.get("code"))
        words = message(
            code, lang, **{str(k): v for k, v in params.items()} if isinstance(params, dict) else {}
        )
        # A name and a Content-Type that lie alike are told once.
        told[code, words.title] = Finding(code=code, title=words.title, action=words.action)
    return list(told.values())


def described_note(note: Matter) -> NoteAnswer:
    """Return a note as the interface shows it."""
    private = note.private
    answer = private.get("answer")
    return NoteAnswer.model_validate(
        {
            "id": note.id,
            "state": note.state,
            "safe": note.safe_id,
            "administration": note.administration_id,
            "document": note.document_id,
            "line": private.get("entry"),
            "created_at": rfc3339(note.created_at),
            "words": private["words"],
            "answer": None if answer is None else NoteFinding.model_validate(answer),
            "entry": note.first_seq,
            "last_entry": note.last_seq,
        }
    )


def _digest(document: Document) -> str | None:
    part = document.parts.get(ObjectRole.ORIGINAL)
    return part.sha256 if part is not None and document.private is not None else None
