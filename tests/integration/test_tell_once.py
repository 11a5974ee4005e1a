"""Tell us once: requests, answers, consents, withdrawals and statements, and how each is attacked."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from signing.trust import TrustStore
from tests.services.clocks import Shifted
from tests.services.database import lose
from timestamping.errors import AuthorityUnavailable
from vault.access import Action
from vault.audit.contents import audit_safe
from vault.authorization.ties import Subject
from vault.bootstrap import open_parts, open_vault
from vault.clock import parse_rfc3339, rfc3339
from vault.domain.actors import Actor, Assurance, Role
from vault.domain.documents import NewDocument
from vault.domain.matters import MatterKind
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay
from vault.domain.transfer import Transfer
from vault.errors import Unauthenticated, VaultError
from vault.evidence.verify import verify_file
from vault.ledger.canonical import canonical
from vault.matters.statements import salted
from vault.matters.steps import NewMatter, Said
from vault.service import Vault
from vault.settings import Settings

ASKED = "instruction-dossier"
TYPE = "acte-de-naissance"
TOWN, EMPLOYER = "mairie-specimen", "employeur-specimen"
WAY = OtherWay("counter", "Au guichet, de 9 h à 16 h.", "At the counter, 9 am to 4 pm.")
keys = (f"key-{number}" for number in count())


class Town:
    """A safe with everybody in it, and short ways to ask and answer."""

    def __init__(self, vault: Vault, clock: Shifted) -> None:
        self.vault, self.clock = vault, clock
        self.once = vault.people.tell_once
        named = vault.personas.named
        self.camille, self.dominique = named("camille").actor, named("dominique").actor
        self.registrar, self.payroll = named("agent-etat-civil").actor, named("agent-paie").actor

    def issue(self, *, holder: str = "camille", of_type: str = TYPE, **more: object) -> str:
        new = NewDocument(holder, "Acte", "acte.txt", document_type=of_type, **more)  # type: ignore[arg-type]
        key = next(keys)
        return self.vault.issuing.issue(
            self.registrar, TOWN, new, iter((key.encode(),)), Transfer(key)
        ).document_id

    def deposit(self, of_type: str = TYPE) -> str:
        new, key = NewDocument("camille", "Pièce", "p.txt", document_type=of_type), next(keys)
        return self.vault.submissions.deposit(
            self.camille, new, iter((key.encode(),)), Transfer(key)
        ).document_id

    def wanted(self, **changes: object) -> NewRequest:
        new = NewRequest(
            holder="camille",
            purpose=ASKED,
            words="Pour établir votre contrat.",
            legal_basis="Code du travail, article 12",
            answer_by=self.clock.now() + timedelta(days=7),
            otherwise=WAY,
            case="DEM-1",
            document_types=(TYPE,),
            actions=("describe", "read"),
            access_days=30,
        )
        return replace(new, **changes)  # type: ignore[arg-type]

    def ask(self, actor: Actor | None = None, **changes: object) -> str:
        who = actor or self.payroll
        return self.once.requests.make(
            who, who.administration_id or "", self.wanted(**changes), next(keys)
        ).document_id

    def ask_attribute(self, attribute: str, **changes: object) -> str:
        return self.ask(attribute=attribute, document_types=(), actions=(), access_days=0, **changes)

    def accept(
        self, request: str, *documents: str, actor: Actor | None = None, **changes: object
    ) -> list[str]:
        said = NewAnswer(Answer.ACCEPT, documents, **changes)  # type: ignore[arg-type]
        self.once.answers.answer(actor or self.camille, request, said, next(keys))
        return [consent.id for consent in self.once.requests.see(self.camille, request).consents]

    def attest(self, request: str, *documents: str) -> str:
        self.once.answers.answer(self.camille, request, NewAnswer(Answer.ATTEST, documents), next(keys))
        return self.once.requests.see(self.camille, request).statements[0].id

    def read(self, document: str, actor: Actor | None = None, purpose: str = ASKED) -> bytes:
        return b"".join(self.vault.reading.original(actor or self.payroll, document, purpose).read(0, None))

    def consented(self, **changes: object) -> tuple[str, str]:
        document = self.issue()
        return document, self.accept(self.ask(**changes), document)[0]

    def mandate(self, scope: list[str], types: list[str] | None = None, days: int = 30) -> Actor:
        matters = self.vault.people.matters
        key = matters.draw(MatterKind.MANDATE)
        private = {"mandatary": "prs_other", "scope": scope, "document_types": types or []}
        new = NewMatter(
            key, MatterKind.MANDATE, self.camille, private, self.camille.safe_id,
            ends_at=self.clock.now() + timedelta(days=days),
        )  # fmt: skip
        self.vault.writer.run(lambda tx: matters.begin(tx, new, "mandate.granted", Said(holder="camille")))
        return Actor("prs_other", Role.MANDATARY, safe_id=self.dominique.safe_id, mandate_id=key.document_id)

    def events(self, document: str) -> list[tuple[str, dict[str, str]]]:
        """What the access journal says of a document: events and their contexts."""
        parts = self.vault.parts
        from vault.db.repositories import Documents, opening_role
        from vault.ledger.opening import RevealedOpening

        documents = Documents(parts.keyring)
        with parts.database.reading() as connection:
            key = documents.key(connection, document)
            found = documents.entries(connection, document, "access")
        assert key is not None
        said = []
        for entry in found:
            assert entry.opening is not None
            opening = RevealedOpening.parse(key.open(opening_role("access", entry.counter), entry.opening))
            said.append((entry.event, dict(opening.context or {})))
        return said


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    clock = Shifted()
    settings = Settings(data=tmp_path_factory.mktemp("safe") / "data", publish_interval=0.05)
    vault = open_vault(settings, clock, background=False)
    yield Town(vault, clock)
    vault.close()


@pytest.fixture
def aside(tmp_path: Path) -> Iterator[Town]:
    """A safe of the test's own."""
    clock = Shifted()
    vault = open_vault(
        Settings(data=tmp_path / "data", publish_interval=0.05, retention_days=0), clock, background=False
    )
    yield Town(vault, clock)
    vault.close()


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(VaultError) as caught:
        work()
    return caught.value.code


def statement_in(container: bytes, name: str) -> dict[str, object]:
    """The canonical statement of a sealed paper."""
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        data = archive.read(f"{name}.json")
    value: dict[str, object] = json.loads(data)
    assert canonical(value, lists=True) == data
    return value


def verdict_of(town: Town, container: bytes, folder: Path) -> str:
    from cryptography import x509

    path = folder / "paper.asice"
    path.write_bytes(container)
    roots = x509.load_pem_x509_certificates(town.vault.trust.roots_pem)
    verdict = verify_file(path, trust=TrustStore(roots))
    assert verdict.signatures, verdict
    return verdict.verdict.value


def test_a_consent_opens_exactly_what_was_asked_until_it_is_withdrawn(town: Town, tmp_path: Path) -> None:
    document, other = town.issue(), town.issue()
    assert code_of(lambda: town.read(other)) == "NOT_FOUND"
    request = town.ask()
    assert [each.document_id for each in town.once.answers.candidates(town.camille, request)][:2] == [
        other, document,
    ]  # fmt: skip
    (consent,) = town.accept(request, document)
    assert town.read(document).startswith(b"key-")
    assert code_of(lambda: town.read(other)) == "NOT_FOUND"
    # evidence was not asked for
    assert code_of(lambda: town.vault.reading.bundle(town.payroll, document, ASKED)) == "NOT_FOUND"
    paper = town.once.consents.paper(town.payroll, consent, "consent")
    said = statement_in(paper, "consent")
    assert said["format"] == "probans/consent/v1"
    assert said["otherwise"] == {"way": "counter", "fr": WAY.fr, "en": WAY.en}
    assert said["document"]["sha256"] == hashlib.sha256(town.read(document, town.camille)).hexdigest()  # type: ignore[index]
    assert verdict_of(town, paper, tmp_path) == "PASSED"

    town.once.consents.withdraw(town.camille, consent, next(keys), "Terminé.")
    assert code_of(lambda: town.read(document)) == "NOT_FOUND"
    lines = [(event, context["consent"]) for event, context in town.events(document)]
    assert ("document.read", consent) in lines
    assert lines[-1] == ("document.read-refused", "")
    back = town.once.consents.paper(town.payroll, consent, "withdrawal")
    taken = statement_in(back, "withdrawal")
    assert taken["consent_sha256"] == hashlib.sha256(canonical(said, lists=True)).hexdigest()
    assert verdict_of(town, back, tmp_path) == "PASSED"


def test_evidence_and_purpose_are_as_consented(town: Town) -> None:
    document, _ = town.consented(actions=("evidence",))
    assert town.vault.reading.bundle(town.payroll, document, ASKED).size > 0
    assert code_of(lambda: town.read(document)) == "NOT_FOUND"
    assert (
        code_of(lambda: town.vault.reading.bundle(town.payroll, document, "audit")) == "PURPOSE_NOT_CONSENTED"
    )
    assert town.events(document)[-1][0] == "document.read-refused"


def test_the_end_of_a_consent_ends_access_at_once(aside: Town) -> None:
    document, consent = aside.consented(access_days=10)
    assert aside.read(document)
    aside.clock.ahead += timedelta(days=10, seconds=1)
    assert code_of(lambda: aside.read(document)) == "NOT_FOUND"
    assert aside.once.consents.state_of(aside.once.consents.see(aside.camille, consent)) == "ended"


def test_a_consent_that_ends_in_mid_request_opens_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is made again in the transaction that journals the read."""
    document, consent = town.consented()
    run = town.vault.writer.run
    withdrawing = threading.Event()

    def slow(work: object) -> object:
        if not withdrawing.is_set():
            withdrawing.set()
            town.once.consents.withdraw(town.camille, consent, next(keys))
        return run(work)  # type: ignore[arg-type]

    monkeypatch.setattr(town.vault.writer, "run", slow)
    assert code_of(lambda: town.read(document)) == "NOT_FOUND"
    assert town.events(document)[-1][0] == "document.read-refused"


def test_a_request_whose_time_is_over_takes_no_answer_whether_swept_or_not(aside: Town) -> None:
    document, request, answered = aside.issue(), aside.ask(), aside.ask()
    aside.accept(answered, document)
    aside.clock.ahead += timedelta(days=7, seconds=1)
    assert aside.once.requests.see(aside.payroll, request).state == "expired"
    assert code_of(lambda: aside.accept(request, document)) == "REQUEST_ENDED"
    assert code_of(lambda: aside.once.requests.cancel(aside.payroll, request, next(keys))) == "REQUEST_ENDED"
    over = aside.once.requests.of_safe(aside.camille, str(aside.camille.safe_id), None, 9, "expired")
    assert [view.request.id for view in over] == [request]
    assert aside.once.sweeper.sweep() == 1
    assert aside.once.sweeper.sweep() == 0
    view = aside.once.requests.see(aside.camille, request)
    assert (view.request.state, view.state) == ("expired", "expired")
    assert aside.once.requests.see(aside.camille, answered).state == "accepted"


def test_a_request_that_ends_while_its_answer_is_sealed_gives_nothing(aside: Town) -> None:
    document, request = aside.issue(), aside.ask()
    seal = aside.vault.people.papers.seal

    def slow(*args: object) -> object:
        aside.clock.ahead += timedelta(days=8)
        return seal(*args)  # type: ignore[arg-type]

    aside.vault.people.papers.seal = slow  # type: ignore[method-assign, assignment]
    assert code_of(lambda: aside.accept(request, document)) == "REQUEST_ENDED"
    assert code_of(lambda: aside.read(document)) == "NOT_FOUND"


def test_who_has_a_safe_cannot_be_asked(town: Town) -> None:
    known, unknown = town.ask(), town.ask(holder="personne-de-ce-nom")
    seen = [town.once.requests.see(town.payroll, each) for each in (known, unknown)]
    assert {view.state for view in seen} == {"open"}
    assert len({len(view.request.private) for view in seen}) == 1
    town.once.requests.cancel(town.payroll, unknown, next(keys))
    assert code_of(lambda: town.once.answers.candidates(town.camille, unknown)) == "NOT_FOUND"


def test_documents_that_may_not_be_given(town: Town) -> None:
    request = town.ask()
    others = town.issue(holder="dominique")
    wrong, revoked, old = town.issue(of_type="bulletin-de-paie"), town.issue(), town.issue()
    town.issue(supersedes=old)
    town.vault.lifecycle.revoke(town.registrar, revoked, "error", Transfer(next(keys)))
    assert code_of(lambda: town.accept(request, others)) == "NOT_FOUND"
    assert code_of(lambda: town.accept(request, "doc_" + "0" * 26)) == "NOT_FOUND"
    assert code_of(lambda: town.accept(request, wrong)) == "DOCUMENT_TYPE_REFUSED"
    assert code_of(lambda: town.accept(request, revoked)) == "DOCUMENT_NOT_IN_FORCE"
    assert code_of(lambda: town.accept(request, old)) == "DOCUMENT_NOT_IN_FORCE"
    assert code_of(lambda: town.accept(request)) == "FIELD_INVALID"
    one = town.issue()
    assert code_of(lambda: town.accept(request, one, one)) == "FIELD_INVALID"
    assert code_of(lambda: town.accept(request, one, "doc_x' --")) == "FIELD_INVALID"
    # With one that may be given beside: nothing at all is given.
    assert code_of(lambda: town.accept(request, one, others)) == "NOT_FOUND"
    assert town.once.requests.see(town.camille, request).state == "open"
    assert code_of(lambda: town.read(one)) == "NOT_FOUND"


def test_a_document_that_waits_for_its_seal_is_not_given(town: Town) -> None:
    authority = town.vault.authority
    assert authority is not None
    token, sealed, request = authority.token, town.issue(), town.ask()
    authority.token = _down  # type: ignore[method-assign]
    try:
        document = town.deposit()
        assert code_of(lambda: town.accept(request, document)) == "NOT_PUBLISHED"
        assert town.once.answers.candidates(town.camille, request)[0].document_id == sealed
        # No timestamp, no consent: nothing pretends.
        with pytest.raises(VaultError):
            town.accept(request, sealed)
        assert town.once.requests.see(town.camille, request).state == "open"
    finally:
        authority.token = token  # type: ignore[method-assign]
    assert town.vault.healer.heal() == 1
    assert town.accept(request, document)
    assert town.read(document)


def _down(imprint: bytes) -> object:
    raise AuthorityUnavailable("down")


def test_a_document_revoked_while_it_is_sealed_is_not_given(town: Town) -> None:
    document, request = town.issue(), town.ask()
    papers = town.vault.people.papers
    seal = papers.seal

    def slow(*args: object) -> object:
        town.vault.lifecycle.revoke(town.registrar, document, "error", Transfer(next(keys)))
        return seal(*args)  # type: ignore[arg-type]

    papers.seal = slow  # type: ignore[method-assign, assignment]
    try:
        assert code_of(lambda: town.accept(request, document)) == "DOCUMENT_NOT_IN_FORCE"
    finally:
        papers.seal = seal  # type: ignore[method-assign]


def test_nobody_else_answers_sees_or_withdraws(town: Town) -> None:
    document, request = town.issue(), town.ask()
    strangers = (town.dominique, town.registrar, town.payroll, Actor("", Role.ANONYMOUS))
    for stranger in strangers:
        assert code_of(lambda: town.accept(request, document, actor=stranger)) == "NOT_FOUND"  # noqa: B023
    for stranger in (town.dominique, town.registrar):
        assert code_of(lambda: town.once.requests.see(stranger, request)) == "NOT_FOUND"  # noqa: B023
        assert code_of(lambda: town.once.requests.cancel(stranger, request, next(keys))) == "NOT_FOUND"  # noqa: B023
    (consent,) = town.accept(request, document)
    for stranger in (*strangers, replace(town.payroll, service="accueil")):
        withdraw = lambda: town.once.consents.withdraw(stranger, consent, next(keys))  # noqa: B023, E731
        assert code_of(withdraw) == "NOT_FOUND"
    for stranger in (town.dominique, town.registrar, replace(town.payroll, service="accueil")):
        assert code_of(lambda: town.once.consents.see(stranger, consent)) == "NOT_FOUND"  # noqa: B023
        assert code_of(lambda: town.once.consents.paper(stranger, consent, "consent")) == "NOT_FOUND"  # noqa: B023
    assert (
        code_of(lambda: town.once.requests.of_administration(town.registrar, EMPLOYER, None, 9))
        == "NOT_FOUND"
    )
    theirs = str(town.camille.safe_id)
    assert code_of(lambda: town.once.consents.of_safe(town.dominique, theirs, None, 9)) == "NOT_FOUND"
    # A consent is no way into what is another kind of matter.
    assert code_of(lambda: town.once.consents.see(town.camille, request)) == "NOT_FOUND"


def test_another_service_of_the_administration_reads_nothing(town: Town) -> None:
    document, _ = town.consented()
    assert town.read(document)
    for service in ("accueil", ""):
        other = replace(town.payroll, service=service)
        assert code_of(lambda: town.read(document, other)) == "NOT_FOUND"  # noqa: B023
    other = replace(town.payroll, service="accueil")
    assert code_of(lambda: town.ask(other, service="paie")) == "FIELD_INVALID"


def test_one_consent_is_for_one_administration(town: Town) -> None:
    document = town.issue()
    request = town.ask()
    town.accept(request, document)
    foreign = replace(town.payroll, administration_id="autre-specimen")
    assert code_of(lambda: town.read(document, foreign)) == "NOT_FOUND"
    assert (
        code_of(lambda: town.once.requests.make(town.payroll, TOWN, town.wanted(), next(keys))) == "NOT_FOUND"
    )
    unknown = lambda: town.once.requests.make(town.payroll, "inconnue", town.wanted(), next(keys))  # noqa: E731
    assert code_of(unknown) == "UNKNOWN_ADMINISTRATION"
    assert (
        code_of(lambda: town.once.requests.make(town.camille, EMPLOYER, town.wanted(), next(keys)))
        == "NOT_FOUND"
    )


def test_systems_need_the_scope(town: Town) -> None:
    software = Actor("sys", Role.SYSTEM, administration_id=EMPLOYER, scopes=frozenset({"acts:issue"}))
    assert code_of(lambda: town.ask(software)) == "NOT_FOUND"
    assert town.ask(replace(software, scopes=frozenset({"requests:write"})))


def test_mandataries_answer_within_their_mandate_alone(town: Town) -> None:
    birth, pay = town.issue(), town.issue(of_type="bulletin-de-paie")
    types = (TYPE, "bulletin-de-paie")
    request = town.ask(document_types=types)
    reader = town.mandate(["read", "deposit", "share"])
    assert code_of(lambda: town.accept(request, birth, actor=reader)) == "NOT_FOUND"
    for_pay = town.mandate(["answer"], ["bulletin-de-paie"])
    assert code_of(lambda: town.accept(request, birth, actor=for_pay)) == "NOT_FOUND"
    offered = town.once.answers.candidates(for_pay, request)
    assert offered[0].document_id == pay
    assert {each.document_type for each in offered} == {"bulletin-de-paie"}
    (consent,) = town.accept(request, pay, actor=for_pay)
    said = statement_in(town.once.consents.paper(for_pay, consent, "consent"), "consent")
    assert (said["by"], said["mandate"]) == ("mandatary", for_pay.mandate_id)
    assert "prs_other" not in json.dumps(said)
    # A mandate over other types neither sees nor withdraws it.
    for_birth = town.mandate(["answer"], [TYPE])
    assert code_of(lambda: town.once.consents.withdraw(for_birth, consent, next(keys))) == "NOT_FOUND"
    assert consent not in {
        c.id for c in town.once.consents.of_safe(for_birth, str(town.camille.safe_id), None, 50)
    }
    town.once.consents.withdraw(for_pay, consent, next(keys))
    assert code_of(lambda: town.read(pay)) == "NOT_FOUND"


def test_a_mandate_that_ends_in_mid_request_gives_nothing(aside: Town) -> None:
    document, request = aside.issue(), aside.ask()
    mandatary = aside.mandate(["answer"], days=2)
    seal = aside.vault.people.papers.seal

    def slow(*args: object) -> object:
        aside.clock.ahead += timedelta(days=3)
        return seal(*args)  # type: ignore[arg-type]

    aside.vault.people.papers.seal = slow  # type: ignore[method-assign, assignment]
    assert code_of(lambda: aside.accept(request, document, actor=mandatary)) == "NOT_FOUND"
    assert aside.once.requests.see(aside.camille, request).state == "open"
    assert code_of(lambda: aside.once.answers.candidates(mandatary, request)) == "NOT_FOUND"


BAD = [
    ("purpose", {"purpose": ""}, "PURPOSE_REQUIRED"),
    ("purpose-shape", {"purpose": "Pour voir"}, "PURPOSE_REQUIRED"),
    ("purpose-list", {"purpose": "curiosite"}, "PURPOSE_UNKNOWN"),
    ("words", {"words": " "}, "FIELD_INVALID"),
    ("basis", {"legal_basis": ""}, "FIELD_INVALID"),
    ("lines", {"words": "a\r\nX-Evil: 1"}, "FIELD_INVALID"),
    ("bidi", {"legal_basis": "loi \u202e1 ed"}, "FIELD_INVALID"),
    ("zero-width", {"case": "DEM\u200b1"}, "FIELD_INVALID"),
    ("null", {"holder": "cam\0ille"}, "FIELD_INVALID"),
    ("no-way", {"otherwise": OtherWay("", "x", "x")}, "FIELD_INVALID"),
    ("no-french", {"otherwise": OtherWay("paper", "", "x")}, "FIELD_INVALID"),
    ("no-english", {"otherwise": OtherWay("paper", "x", " ")}, "FIELD_INVALID"),
    ("nothing", {"document_types": ()}, "FIELD_INVALID"),
    ("twice", {"document_types": (TYPE, TYPE)}, "FIELD_INVALID"),
    ("many", {"document_types": tuple(f"t{n}" for n in range(11))}, "FIELD_INVALID"),
    ("type", {"document_types": ("Acte!",)}, "FIELD_INVALID"),
    ("both", {"attribute": "of-age"}, "FIELD_INVALID"),
    ("actions", {"actions": ()}, "FIELD_INVALID"),
    ("destroy", {"actions": ("read", "destroy")}, "FIELD_INVALID"),
    ("no-days", {"access_days": 0}, "FIELD_INVALID"),
    ("days", {"access_days": 366}, "FIELD_INVALID"),
    ("past", {"answer_by": datetime(2020, 1, 1, tzinfo=UTC)}, "FIELD_INVALID"),
    ("far", {"answer_by": datetime(2099, 1, 1, tzinfo=UTC)}, "FIELD_INVALID"),
    (
        "attribute",
        {"attribute": "iq", "document_types": (), "actions": (), "access_days": 0},
        "ATTRIBUTE_UNKNOWN",
    ),
    ("access", {"attribute": "of-age", "document_types": (), "access_days": 0}, "FIELD_INVALID"),
]


@pytest.mark.parametrize(("changes", "code"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_requests_that_are_refused(town: Town, changes: dict[str, object], code: str) -> None:
    assert code_of(lambda: town.ask(**changes)) == code


def test_the_end_of_access_is_within_what_was_asked(town: Town) -> None:
    document, request = town.issue(), town.ask(access_days=10)
    for days in (-1, 0, 11):
        end = town.clock.now() + timedelta(days=days)
        assert code_of(lambda: town.accept(request, document, ends_at=end)) == "FIELD_INVALID"  # noqa: B023
    end = parse_rfc3339(rfc3339(town.clock.now() + timedelta(days=3)))
    (consent,) = town.accept(request, document, ends_at=end)
    assert town.once.consents.see(town.camille, consent).ends_at == end


def test_answers_that_do_not_fit(town: Town) -> None:
    request, attribute = town.ask(), town.ask_attribute("birth-recorded")
    document = town.issue()

    def say(request_id: str, answer: Answer, *documents: str, **more: object) -> str:
        said = NewAnswer(answer, documents, **more)  # type: ignore[arg-type]
        return code_of(lambda: town.once.answers.answer(town.camille, request_id, said, next(keys)))

    assert say(request, Answer.ATTEST) == "FIELD_INVALID"
    assert say(attribute, Answer.ACCEPT, document) == "FIELD_INVALID"
    assert say(request, Answer.DECLINE, document) == "FIELD_INVALID"
    assert say(request, Answer.ACCEPT, document, reason="x") == "FIELD_INVALID"
    assert say(request, Answer.DECLINE, reason="a\nb") == "FIELD_INVALID"
    assert say(attribute, Answer.ATTEST, ends_at=town.clock.now()) == "FIELD_INVALID"
    assert say("req_" + "0" * 26, Answer.DECLINE) == "NOT_FOUND"
    assert say("../../etc", Answer.DECLINE) == "NOT_FOUND"


def test_declining_needs_nothing_and_ends_it(town: Town) -> None:
    request = town.ask(assurance=Assurance.HIGH)
    said = NewAnswer(Answer.DECLINE, reason="Je viendrai au guichet.")
    town.once.answers.answer(town.camille, request, said, next(keys))
    view = town.once.requests.see(town.payroll, request)
    assert (view.state, view.request.private["reason"]) == ("declined", "Je viendrai au guichet.")
    sure = replace(town.camille, assurance=Assurance.HIGH)
    assert code_of(lambda: town.accept(request, town.issue(), actor=sure)) == "REQUEST_ENDED"


def test_a_cancelled_request_takes_no_answer(town: Town) -> None:
    request = town.ask()
    town.once.requests.cancel(town.payroll, request, next(keys), "Dossier complet.")
    assert code_of(lambda: town.accept(request, town.issue())) == "REQUEST_ENDED"
    assert code_of(lambda: town.once.requests.cancel(town.payroll, request, next(keys))) == "REQUEST_ENDED"


def test_the_level_that_is_asked_for_is_demanded(town: Town) -> None:
    document, request = town.issue(), town.ask(assurance=Assurance.SUBSTANTIAL)
    for level in (None, Assurance.LOW):
        weak = replace(town.camille, assurance=level)
        with pytest.raises(Unauthenticated, match="STEP_UP_REQUIRED"):
            town.accept(request, document, actor=weak)
    (consent,) = town.accept(request, document, actor=replace(town.camille, assurance=Assurance.HIGH))
    said = statement_in(town.once.consents.paper(town.camille, consent, "consent"), "consent")
    assert said["assurance"] == "high"


def test_twins_make_one(town: Town) -> None:
    document, new = town.issue(), town.wanted()
    make = lambda what: town.once.requests.make(town.payroll, EMPLOYER, what, "twin-request")  # noqa: E731
    first, again = make(new), make(new)
    assert (again.document_id, again.replayed) == (first.document_id, True)
    assert code_of(lambda: make(replace(new, words="Autre."))) == "IDEMPOTENCY_KEY_REUSED"
    said = NewAnswer(Answer.ACCEPT, (document,))
    answer = lambda what: town.once.answers.answer(town.camille, first.document_id, what, "twin-answer")  # noqa: E731
    assert answer(said).seq == answer(said).seq
    assert code_of(lambda: answer(NewAnswer(Answer.DECLINE))) == "IDEMPOTENCY_KEY_REUSED"
    (consent,) = town.once.requests.see(town.camille, first.document_id).consents
    withdraw = lambda key: town.once.consents.withdraw(town.camille, consent.id, key)  # noqa: E731
    assert withdraw("twin-back").seq == withdraw("twin-back").seq
    assert code_of(lambda: withdraw("another")) == "STATE_CONFLICT"


def test_answers_at_the_same_time_give_one_consent(town: Town) -> None:
    document, request = town.issue(), town.ask()
    outcomes: list[str] = []

    def answer(key: str) -> None:
        try:
            town.once.answers.answer(town.camille, request, NewAnswer(Answer.ACCEPT, (document,)), key)
            outcomes.append("given")
        except VaultError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=answer, args=(f"race-{request}-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["REQUEST_ENDED"] * 5 + ["given"]
    assert len(town.once.requests.see(town.camille, request).consents) == 1


def test_a_withdrawal_waits_for_no_timestamp(aside: Town, tmp_path: Path) -> None:
    document, consent = aside.consented()
    authority = aside.vault.authority
    assert authority is not None
    token = authority.token
    authority.token = _down  # type: ignore[method-assign]
    aside.once.consents.withdraw(aside.camille, consent, next(keys))
    assert code_of(lambda: aside.read(document)) == "NOT_FOUND"
    paper = lambda: aside.once.consents.paper(aside.camille, consent, "withdrawal")  # noqa: E731
    assert code_of(paper) == "SEAL_PENDING"
    with pytest.raises(VaultError):
        aside.once.sweeper.sweep()
    authority.token = token  # type: ignore[method-assign]
    assert (aside.once.sweeper.sweep(), aside.once.sweeper.sweep()) == (1, 0)
    assert verdict_of(aside, paper(), tmp_path) == "PASSED"
    said = canonical(statement_in(paper(), "withdrawal"), lists=True)
    matter = aside.once.consents.see(aside.camille, consent)
    assert matter.private["withdrawal_sha256"] == hashlib.sha256(said).hexdigest()


def test_an_attribute_is_attested_and_the_document_stays_closed(aside: Town, tmp_path: Path) -> None:
    document = aside.issue(of_type="certificat-de-nationalite")
    statement = aside.attest(aside.ask_attribute("nationality-proven"))
    paper = aside.once.statements.paper(aside.payroll, statement)
    assert verdict_of(aside, paper, tmp_path) == "PASSED"
    said = statement_in(paper, "statement")
    assert (said["format"], said["value"]) == ("probans/statement/v1", "yes")
    sha256 = hashlib.sha256(aside.read(document, aside.camille)).hexdigest()
    assert sha256 not in json.dumps(said)
    assert document not in json.dumps(said)
    private = aside.once.statements.see(aside.camille, statement).private
    assert said["document"]["salted_sha256"] == salted(bytes.fromhex(private["salt"]), sha256)  # type: ignore[index]
    assert code_of(lambda: aside.read(document)) == "NOT_FOUND"
    for stranger in (aside.dominique, aside.registrar, replace(aside.payroll, service="accueil")):
        assert code_of(lambda: aside.once.statements.see(stranger, statement)) == "NOT_FOUND"  # noqa: B023
        assert code_of(lambda: aside.once.statements.paper(stranger, statement)) == "NOT_FOUND"  # noqa: B023


def test_what_no_act_in_force_proves_is_not_attested(aside: Town) -> None:
    request = aside.ask_attribute("residence-proven-since")
    assert code_of(lambda: aside.attest(request)) == "ATTRIBUTE_NOT_PROVEN"
    deposited = aside.deposit("certificat-de-residence")  # a holder's own upload proves nothing
    assert code_of(lambda: aside.attest(request)) == "ATTRIBUTE_NOT_PROVEN"
    assert code_of(lambda: aside.attest(request, deposited)) == "ATTRIBUTE_NOT_PROVEN"
    revoked = aside.issue(of_type="certificat-de-residence")
    aside.vault.lifecycle.revoke(aside.registrar, revoked, "error", Transfer(next(keys)))
    assert code_of(lambda: aside.attest(request)) == "ATTRIBUTE_NOT_PROVEN"
    assert code_of(lambda: aside.attest(request, revoked)) == "DOCUMENT_NOT_IN_FORCE"
    other = aside.issue(holder="dominique", of_type="certificat-de-residence")
    assert code_of(lambda: aside.attest(request, other)) == "NOT_FOUND"
    aside.issue(of_type="certificat-de-residence")
    statement = aside.once.statements.see(aside.payroll, aside.attest(request))
    assert statement.private["value"] == rfc3339(aside.clock.now())[:10]


def test_issuers_state_attributes_of_the_table_alone(town: Town) -> None:
    request = town.ask_attribute("municipality-of-residence")
    town.issue(of_type="certificat-de-residence")
    assert code_of(lambda: town.attest(request)) == "ATTRIBUTE_NOT_PROVEN"
    town.issue(of_type="certificat-de-residence", attributes={"municipality-of-residence": "Valombre"})
    assert town.once.statements.see(town.payroll, town.attest(request)).private["value"] == "Valombre"
    for of_type, attributes, code in (
        (TYPE, {"municipality-of-residence": "Valombre"}, "FIELD_INVALID"),
        (TYPE, {"of-age": "no"}, "FIELD_INVALID"),
        (TYPE, {"nationality-proven": "yes"}, "FIELD_INVALID"),
        (TYPE, {"iq": "200"}, "ATTRIBUTE_UNKNOWN"),
        ("certificat-de-residence", {"municipality-of-residence": "Val\u202eombre"}, "FIELD_INVALID"),
        ("certificat-de-residence", {"municipality-of-residence": ""}, "FIELD_INVALID"),
    ):
        assert code_of(lambda: town.issue(of_type=of_type, attributes=attributes)) == code  # noqa: B023
    new = NewDocument("camille", "Pièce", "p.txt", attributes={"of-age": "yes"})
    deposit = lambda: town.vault.submissions.deposit(town.camille, new, iter((b"x",)), Transfer(next(keys)))  # noqa: E731
    assert code_of(deposit) == "FIELD_INVALID"


def test_lists_page_past_what_is_not_for_the_caller(town: Town) -> None:
    mine = [town.ask() for _ in range(3)]
    town.ask(replace(town.payroll, service="accueil"))
    found = town.once.requests.of_administration(town.payroll, EMPLOYER, None, 3, "open")
    assert [view.request.id for view in found] == mine[::-1]
    rest = town.once.requests.of_administration(town.payroll, EMPLOYER, found[0].request.first_seq, 2, "open")
    assert [view.request.id for view in rest] == mine[1::-1]


@pytest.mark.usefixtures("each_database")
def test_all_of_it_survives_the_database_and_what_was_withdrawn_stays_so(tmp_path: Path) -> None:
    settings, clock = Settings(data=tmp_path / "data", publish_interval=0.02), Shifted()
    town = Town(open_vault(settings, clock, background=False), clock)
    kept, live = town.consented()
    gone, withdrawn = town.consented()
    town.once.consents.withdraw(town.camille, withdrawn, "back")
    town.issue(of_type="certificat-de-nationalite")
    statement = town.attest(town.ask_attribute("nationality-proven"))
    declined = town.ask()
    town.once.answers.answer(town.camille, declined, NewAnswer(Answer.DECLINE), next(keys))
    papers = [
        town.once.consents.paper(town.camille, live, "consent"),
        town.once.consents.paper(town.camille, withdrawn, "withdrawal"),
        town.once.statements.paper(town.camille, statement),
    ]
    _audited(town)
    town.vault.close()

    lose(settings.database_address)
    parts = open_parts(settings, clock)
    assert parts.recovery().run(clock).findings == []
    parts.close()
    town = Town(open_vault(settings, clock, background=False), clock)
    try:
        assert town.read(kept)
        assert code_of(lambda: town.read(gone)) == "NOT_FOUND"
        assert town.once.consents.withdraw(town.camille, withdrawn, "back").replayed
        assert (
            code_of(lambda: town.once.consents.withdraw(town.camille, withdrawn, "new")) == "STATE_CONFLICT"
        )
        assert town.once.requests.see(town.payroll, declined).state == "declined"
        assert papers == [
            town.once.consents.paper(town.camille, live, "consent"),
            town.once.consents.paper(town.camille, withdrawn, "withdrawal"),
            town.once.statements.paper(town.camille, statement),
        ]
        assert verdict_of(town, papers[2], tmp_path) == "PASSED"
        _audited(town)
    finally:
        town.vault.close()


def _audited(town: Town) -> None:
    parts = town.vault.parts
    report = audit_safe(parts.database, parts.keyring, parts.objects, parts.records)
    assert report.problems == []


def test_the_clear_columns_and_the_outbox_name_nobody(town: Town) -> None:
    from sqlalchemy import select

    from vault.db import models

    town.consented()
    with town.vault.parts.database.reading() as connection:
        rows = [
            {name: value for name, value in row.items() if not isinstance(value, bytes)}
            for table in (models.matters, models.outbox, models.matter_papers)
            for row in connection.execute(select(table)).mappings()
        ]
    said = json.dumps(rows, default=str)
    assert "camille" not in said
    assert "contrat" not in said


def test_ties_ask_for_the_action_the_purpose_and_the_service(town: Town) -> None:
    document, _ = town.consented(actions=("describe",))
    ties = town.vault.people.ties
    subject = Subject(town.camille.safe_id, TOWN, document, TYPE)
    with town.vault.parts.database.reading() as connection:
        for action in Action:
            allowed = action in {Action.DESCRIBE, Action.RECEIPT}
            assert (ties.grant(connection, town.payroll, action, subject) is not None) is allowed
        for purpose, allowed in (("", True), (ASKED, True), ("audit", False)):
            asked = replace(subject, purpose=purpose)
            assert (ties.grant(connection, town.payroll, Action.DESCRIBE, asked) is not None) is allowed


def test_a_mandate_for_other_types_lists_no_statement(town: Town) -> None:
    town.issue(of_type="certificat-de-nationalite")
    statement = town.attest(town.ask_attribute("nationality-proven"))
    safe_id = str(town.camille.safe_id)
    for types, seen in ((["certificat-de-nationalite"], True), (["bulletin-de-paie"], False), ([], True)):
        mandatary = town.mandate(["answer"], types)
        listed = {each.id for each in town.once.statements.of_safe(mandatary, safe_id, None, 50)}
        assert (statement in listed) is seen
        if not seen:
            assert code_of(lambda: town.once.statements.see(mandatary, statement)) == "NOT_FOUND"  # noqa: B023


def test_a_mandate_for_other_types_reaches_no_request(town: Town) -> None:
    birth, proof = town.ask(document_types=(TYPE,)), town.ask_attribute("nationality-proven")
    requests, safe_id = town.once.requests, str(town.camille.safe_id)
    for types, seen in (
        ([TYPE], {birth}),
        (["certificat-de-nationalite"], {proof}),
        (["bulletin-de-paie"], set()),
        ([], {birth, proof}),
    ):
        mandatary = town.mandate(["answer"], types)
        listed = {each.request.id for each in requests.of_safe(mandatary, safe_id, None, 50)}
        assert listed & {birth, proof} == seen
        for request in {birth, proof} - seen:
            decline = NewAnswer(Answer.DECLINE, ())
            assert code_of(lambda: requests.see(mandatary, request)) == "NOT_FOUND"  # noqa: B023
            assert (
                code_of(lambda: town.once.answers.answer(mandatary, request, decline, next(keys)))  # noqa: B023
                == "NOT_FOUND"
            )
