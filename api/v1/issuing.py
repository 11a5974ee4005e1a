"""How acts that come over HTTP are issued: alone, or with others that wait at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace

from fastapi import Request, Response

from api.auth import caller
from api.deps import get_vault, idempotency_key
from api.gathering import Answer, Asked
from api.strict_json import checked
from api.uploads import Upload, open_upload
from api.v1.schemas import ActDescription, AttachmentDescription
from api.v1.views import accepted
from vault.documents.arrivals import Result
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument, Outcome
from vault.errors import Refused
from vault.files.names import clean_file_name
from vault.issuing import Act
from vault.service import Vault

# Where private keys lie that this process signs with by itself.
_OWN_KEYS = frozenset({"pkcs12", "development"})


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks for.

    Attributes:
        actor: who asks.
        administration: the issuer.
        act: what to issue.
    """

    actor: Actor
    administration: str
    act: Act


def is_all_here(vault: Vault) -> bool:
    """Tell whether nothing outside of this machine is asked while an act is issued.

    Files of a group are taken in one after the other, so each would wait for the answers that others wait for.
    """
    parts, settings = vault.parts, vault.settings
    return (
        vault.authority is not None
        and parts.antivirus is None
        and parts.sites is None
        and not settings.store_endpoint
        and all(each.source in _OWN_KEYS for each in parts.pki.overview())
    )


def order_of(request: Request) -> Order:
    """Return what a request asks for; in a thread. Raises what its caller is told."""
    actor, key = caller(request), idempotency_key(request)
    upload = open_upload(request, get_vault(request).settings, described=True)
    said = checked(ActDescription, upload.document)
    new = new_document(said, said.holder, upload, supersedes=said.supersedes)
    new = replace(new, attributes=said.attributes)
    administration = said.administration or actor.administration_id or ""
    return Order(actor, administration, Act(new, upload.chunks, upload.transfer(key)))


def issued_alone(request: Request) -> Response:
    """Issue one act; in a thread."""
    order = order_of(request)
    act = order.act
    issuing = get_vault(request).issuing
    return accepted(issuing.issue(order.actor, order.administration, act.new, act.chunks, act.transfer))


def issued_together(vault: Vault) -> Callable[[Sequence[Asked]], Sequence[Answer]]:
    """Return what issues the acts of several requests, each caller's for one issuer together."""

    def work(group: Sequence[Asked]) -> Sequence[Answer]:
        if len(group) == 1:
            return [_answered(lambda: group[0].context.run(issued_alone, group[0].request))]
        answers: dict[Asked, Answer] = {}
        orders: dict[tuple[Actor, str], list[tuple[Asked, Act]]] = {}
        for asked in group:
            try:
                order = asked.context.run(order_of, asked.request)
            except BaseException as error:
                answers[asked] = error
            else:
                orders.setdefault((order.actor, order.administration), []).append((asked, order.act))
        for (actor, administration), found in orders.items():
            acts = [act for _, act in found]
            results: Sequence[Result]
            try:
                # In nobody's context: what is told there is about all of them.
                results = Context().run(vault.issuing.issue_all, actor, administration, acts)
            except Exception as error:
                results = [error] * len(acts)
            for (asked, _), result in zip(found, results, strict=True):
                answers[asked] = accepted(result) if isinstance(result, Outcome) else result
        return [answers[asked] for asked in group]

    return work


def new_document(
    said: AttachmentDescription, holder: str, upload: Upload, supersedes: str | None = None
) -> NewDocument:
    """Return what is said of a file that comes in. Raises Refused(FIELD_INVALID, NAME_INVALID)."""
    file_name = upload.file_name if said.file_name is None else said.file_name
    if file_name is None:
        raise Refused("FIELD_INVALID", "the file has no name", field="file_name")
    return NewDocument(
        holder=holder,
        # A name that stands as title is refused as the name it is.
        title=clean_file_name(file_name) if said.title is None else said.title,
        file_name=file_name,
        document_type=said.document_type,
        case=said.case,
        language=said.language,
        declared_type=upload.declared_type,
        supersedes=supersedes,
    )


def _answered(act: Callable[[], Response]) -> Answer:
    try:
        return act()
    except BaseException as error:
        return error
