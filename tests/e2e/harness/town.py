"""A safe in which everything happened once: what a move or a recovery must not lose is asked of it afterwards."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from sqlalchemy import select

from signing.trust import TrustStore
from tests.e2e.harness.judge import check_bundle, demand, send
from tests.e2e.harness.samples import AGENT, HOLDER, OPERATOR, PURPOSE, Sample
from vault.bootstrap import open_vault
from vault.db import models
from vault.domain.actors import Actor
from vault.domain.contacts import Choice, Choices, When
from vault.domain.notices import Event
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay
from vault.domain.states import Status
from vault.domain.transfer import Transfer
from vault.errors import VaultError
from vault.ledger.policy import Policy
from vault.ledger.receipt import parse_receipt, verify_receipt
from vault.ledger.stored import entry_body
from vault.people.mandates import NewMandate
from vault.service import Vault
from vault.settings import Settings
from vault.sharing.shares import NewShare

NOBODY = "http://127.0.0.1:9/"
ASKED = "instruction-dossier"
WAY = OtherWay("counter", "Au guichet, de 9 h à 16 h.", "At the counter, 9 am to 4 pm.")
_KEYS = (f"town-{number}" for number in count())


@dataclass
class Life:
    """What happened.

    Attributes:
        documents: identifiers of all, in order, those destroyed left out.
        superseded, revoked, destroyed, waiting: some of them.
        receipts: given out, by document.
        consents: of one that stands and one that was withdrawn, with the document and the identifier.
        share: code and secret of a share that is open.
        mandate: one that stands.
        labelled: a document with the label "à garder".
    """

    documents: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    receipts: dict[str, bytes] = field(default_factory=dict)
    consents: dict[str, tuple[str, str]] = field(default_factory=dict)
    share: tuple[str, str] = ("", "")
    mandate: str = ""
    labelled: str = ""
    trust: tuple[bytes, tuple[str, ...]] = (b"", ())


@contextmanager
def opened(settings: Settings, **changes: object) -> Iterator[Vault]:
    """Run the service in this process, without background work."""
    vault = open_vault(settings.model_copy(update={"publish_interval": 0.05, **changes}), background=False)
    with closing(vault):
        yield vault


def proven(vault: Vault, name: str) -> Actor:
    """Somebody who has just logged in."""
    return replace(vault.personas.named(name).actor, authenticated_at=datetime.now(UTC))


def live(settings: Settings, documents: int, first: int = 0) -> Life:
    """Let a safe live; it is closed afterwards.

    Args:
        settings: of the safe.
        documents: to be put into it, at least 30; every fifth is an act.
        first: number of the first sample; numbers from there on must be new.
    """
    life = Life()
    with opened(settings) as vault:
        numbers = range(first, first + documents - 7)

        def give(number: int) -> str:
            return send(vault, Sample(number, is_act=number % 5 == 0)).document_id

        with ThreadPoolExecutor(4) as pool:
            life.documents += pool.map(give, numbers)
        acts = [id_ for number, id_ in zip(numbers, life.documents, strict=True) if number % 5 == 0]
        agent, holder = proven(vault, AGENT), proven(vault, HOLDER)
        newer = send(vault, Sample(first + documents - 7, is_act=True, supersedes=acts[0]))
        life.documents.append(newer.document_id)
        life.superseded.append(acts[0])
        vault.lifecycle.revoke(agent, acts[1], "error", Transfer(next(_KEYS)))
        life.revoked.append(acts[1])
        for document in (life.documents[0], life.documents[-1]):
            life.receipts[document] = vault.reading.receipt(holder, document, PURPOSE, 5.0) or b""
            read(vault, document)
        life.labelled = life.documents[2]
        vault.people.labels.put(holder, life.labelled, ["à garder"])
        _matters(vault, life)
        _contact(vault)
        life.trust = (vault.trust.roots_pem, tuple(vault.trust.vkeys))
    _doomed_and_waiting(settings, life, first + documents - 6)
    return life


def read(vault: Vault, document: str, actor: Actor | None = None, purpose: str = PURPOSE) -> bytes:
    """Read an original."""
    who = actor or vault.personas.named(HOLDER).actor
    return b"".join(vault.reading.original(who, document, purpose).read(0, None))


def _matters(vault: Vault, life: Life) -> None:
    holder, payroll = proven(vault, HOLDER), proven(vault, "agent-paie")
    once = vault.people.tell_once
    # Acts that are in force: the type of an attachment is not told.
    for name, document in zip(("stands", "withdrawn"), life.documents[10:20:5], strict=True):
        life.consents[name] = (document, consented(vault, payroll, document))
    once.consents.withdraw(holder, life.consents["withdrawn"][1], next(_KEYS))
    ends_at = datetime.now(UTC) + timedelta(days=30)
    new = NewShare(
        (life.documents[-1],), "housing", "Dossier de location", "Agence SPÉCIMEN", ends_at, 5, "original"
    )
    share = vault.people.sharing.shares.create(holder, new, next(_KEYS))
    life.share = (share.code, share.secret)
    given = NewMandate("camille", "dominique", "proxy", ("read",), "Procuration", None, ends_at)
    life.mandate = vault.people.mandates.grant(holder, given, next(_KEYS)).document_id


def consented(vault: Vault, agent: Actor, document: str) -> str:
    """Ask for a document and give it; return the consent."""
    once, holder = vault.people.tell_once, proven(vault, HOLDER)
    kind = vault.reading.describe(holder, document, PURPOSE).document.document_type
    new = NewRequest(
        holder=HOLDER,
        purpose=ASKED,
        words="Pour établir votre contrat.",
        legal_basis="Code du travail, article 12",
        answer_by=datetime.now(UTC) + timedelta(days=7),
        otherwise=WAY,
        case="DEM-1",
        document_types=(kind,),
        actions=("describe", "read"),
        access_days=30,
    )
    request = once.requests.make(agent, agent.administration_id or "", new, next(_KEYS)).document_id
    once.answers.answer(holder, request, NewAnswer(Answer.ACCEPT, (document,)), next(_KEYS))
    return str(once.requests.see(holder, request).consents[0].id)


def _contact(vault: Vault) -> None:
    """Confirm an address and choose what to be told of."""
    holder = vault.personas.named(HOLDER).actor
    contacts, safe_id = vault.notifying.contacts, holder.safe_id or ""
    (contact,) = contacts.replace(holder, safe_id, [("mail", "camille@example.org")])
    heard = _Heard()
    logger = logging.getLogger("probans.notices")
    before = logger.level
    logger.setLevel("INFO")
    logger.addHandler(heard)
    try:
        contacts.send_code(holder, safe_id, contact.id)
        for postman in vault.notifying.postmen:
            postman.send_due()
    finally:
        logger.removeHandler(heard)
        logger.setLevel(before)
    code = re.findall(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", heard.text)[-1]
    contacts.confirm(holder, safe_id, contact.id, code)
    contacts.choose(holder, safe_id, Choices("en", {Event.CASE: Choice(When.NEVER)}))


class _Heard(logging.Handler):
    """Listens to the development channel, which writes what it sends into the log."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


def _doomed_and_waiting(settings: Settings, life: Life, number: int) -> None:
    with opened(settings, retention_days=0) as vault:
        doomed = send(vault, Sample(number, is_act=False)).document_id
        vault.lifecycle.destroy(vault.personas.named(OPERATOR).actor, doomed)
        life.destroyed.append(doomed)
    with opened(settings, tsa_url=NOBODY, tsa_timeout=0.5) as vault:
        for more in range(1, 6):
            life.waiting.append(send(vault, Sample(number + more, is_act=more == 1)).document_id)
    life.documents += life.waiting


def check(settings: Settings, life: Life, scratch: Path, bundles: int | None = None) -> None:
    """Start the service and demand that all of it is as it was. Raises Broken.

    Args:
        settings: of the safe as it is now.
        life: what happened.
        scratch: folder for files.
        bundles: how many bundles are verified, from the end; None: all.
    """
    with opened(settings) as vault:
        demand(tuple(vault.trust.vkeys) == life.trust[1], "the ledger's keys are those given out")
        vault.healer.heal()
        table = models.documents
        with vault.parts.database.reading() as connection:
            rows = connection.execute(select(table.c.id, table.c.status)).all()
        states = {row.id: row.status for row in rows}
        for status, those in (
            (Status.SUPERSEDED, life.superseded),
            (Status.REVOKED, life.revoked),
            (Status.DESTROYED, life.destroyed),
        ):
            demand(all(states.get(each) == status.value for each in those), f"{status} they stay")
        demand(set(life.documents) | set(life.destroyed) <= states.keys(), "no document is lost")
        demand(_code_of(lambda: read(vault, life.destroyed[0])) == "DOCUMENT_DESTROYED", "destroyed it is")
        check_receipts(vault, life)
        _check_matters(vault, life)
        trust = TrustStore.from_pem(life.trust[0])
        policy = Policy.from_vkeys("\n".join(life.trust[1]) + "\n")
        holder = vault.personas.named(HOLDER).actor
        for document in life.documents[-bundles:] if bundles else life.documents:
            bundle = b"".join(vault.reading.bundle(holder, document, PURPOSE).read(0, None))
            check_bundle(bundle, trust, policy, scratch)


def check_receipts(vault: Vault, life: Life) -> None:
    """Demand that old receipts verify, and that the entries are those of the new place's ledger."""
    policy = Policy.from_vkeys("\n".join(life.trust[1]) + "\n")
    for octets in life.receipts.values():
        with vault.parts.database.reading() as connection:
            body = entry_body(connection, parse_receipt(octets).index)
        demand(body is not None, "the entry of a receipt is there")
        verify_receipt(octets, body or b"", policy)


def _check_matters(vault: Vault, life: Life) -> None:
    holder, payroll = proven(vault, HOLDER), proven(vault, "agent-paie")
    if life.consents:
        read(vault, life.consents["stands"][0], payroll, ASKED)
        document = life.consents["withdrawn"][0]
        demand(_code_of(lambda: read(vault, document, payroll, ASKED)) == "NOT_FOUND", "withdrawn it stays")
    if life.share[0]:
        vault.people.sharing.openings.open(*life.share)
    if life.mandate:
        demand(vault.people.mandates.see(holder, life.mandate).state == "live", "a mandate stands")
    if life.labelled:
        labels = {each.label for each in vault.people.labels.of_safe(holder, holder.safe_id or "")}
        demand("à garder" in labels, "labels are there")
    contacts = vault.notifying.contacts
    found = contacts.of(holder, holder.safe_id or "")
    demand([each.address for each in found] == ["camille@example.org"], "the contact is there")
    demand(contacts.choices(holder, holder.safe_id or "").language == "en", "choices are there")


def _code_of(work: Callable[[], object]) -> str:
    try:
        work()
    except VaultError as error:
        return error.code
    return ""
