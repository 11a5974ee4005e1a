"""Two holders, two administrations, and everybody who may ask something of them, in a safe of real objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import Any

from api.app import create_app
from identity.base import ProvenIdentity
from tests.integration.access.asking import Client
from tests.integration.access.facts import (
    EMPLOYER,
    HOLDERS,
    OTHER_TYPE,
    PURPOSE,
    SCOPES,
    TOWN,
    TYPE,
    Caller,
    soon,
)
from vault.clock import rfc3339
from vault.domain.actors import Actor, Assurance, Role
from vault.domain.documents import NewDocument
from vault.domain.matters import MatterKind
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay
from vault.domain.transfer import Transfer
from vault.matters.steps import NewMatter, Said
from vault.people.personas import Persona, Personas
from vault.people.safe_opening import open_safe_within
from vault.service import Vault


class World:
    """A running safe with everybody in it."""

    def __init__(self, vault: Vault, act_pdf: bytes) -> None:
        self.vault = vault
        self.app = create_app(vault)
        self.client = Client(self.app, vault)
        self.exports: list[str] = []
        self._keys = (f"access-{number}" for number in count())
        self._personas: dict[str, Persona] = {each.actor.id: each for each in vault.personas.all()}
        self.safes = {name: self._safe_of(name) for name in HOLDERS}
        self._enter(Actor("claude", Role.HOLDER, "Claude Tiers", self.safes["claude"]))
        self.plain = self.issue("camille")
        self.given = self.issue("camille")
        self.foreign = self.issue("dominique", administration=EMPLOYER, persona="agent-paie")
        self.attachment = self.deposit("camille")
        self.pdf = self.issue("camille", content=act_pdf, file_name="acte.pdf")
        self.consent(self.given, "describe", "read", "evidence")
        self.requisitioned("camille", "auditeur-requis")
        self.callers = [replace(each, session=self._session(each)) for each in self._callers()]

    # --- who asks

    def caller(self, label: str) -> Caller:
        return next(each for each in self.callers if each.label == label)

    def actor(self, name: str) -> Actor:
        """A persona as the application sees them: with an identity proven right now."""
        actor = self._personas[name].actor
        return Actor(
            **{**_members(actor), "assurance": Assurance.HIGH, "authenticated_at": datetime.now(UTC)}
        )

    def token(self, name: str) -> str:
        return self._personas[name].token

    def _session(self, caller: Caller) -> str:
        """Log a person in, as an identity provider would prove them; under a mandate where it counts now."""
        personas = [each for each in self._personas.values() if each.token == caller.token]
        if not personas or (caller.mandate and not caller.mandate_of):
            return ""
        actor, login = personas[0].actor, self.vault.people.login
        # An auditor who logs in goes by the account: these are named, or of an administration, by their token alone.
        if actor.role is Role.SYSTEM or actor.id in {"auditeur-requis", "auditeur-paie"}:
            return ""
        said = {
            "role": actor.role.value,
            "administration": actor.administration_id or "",
            "service": actor.service,
            "holder": actor.id if actor.role is Role.HOLDER else "",
        }
        config = login.logins.providers["developpement"].config
        proven = ProvenIdentity(
            "developpement", config.issuer, actor.id, actor.name, "", "high", datetime.now(UTC), "", "",
            {name: value for name, value in said.items() if value},
        )  # fmt: skip
        value = login.sessions.open(login.accounts.sign_in(proven), proven, "Browser")
        if caller.mandate:
            session = login.sessions.find(value)
            assert session is not None
            login.sessions.act_under(session.id, caller.mandate)
        return value

    def _enter(self, actor: Actor) -> str:
        persona = Persona(actor, f"dev-{actor.id}-{next(self._keys)}", actor.name)
        self._personas[actor.id] = persona
        self.vault.personas = Personas(tuple(self._personas.values()))
        return persona.token

    def _safe_of(self, holder: str) -> str:
        parts = self.vault.parts
        with parts.database.writing() as connection:
            return open_safe_within(
                connection, parts.records, self._safes, holder, holder.title(), rfc3339(parts.clock.now())
            )

    @cached_property
    def _safes(self) -> Any:
        from vault.db.repositories import Safes

        return Safes(self.vault.parts.keyring)

    def _callers(self) -> Sequence[Caller]:
        holders = [Caller(name, Role.HOLDER, self.token(name), name, person=name) for name in HOLDERS]
        return (
            *holders,
            *self._mandataries(),
            *self._agents(),
            *self._systems(),
            *self._auditors(),
            Caller("operator", Role.OPERATOR, self.token("exploitant")),
            Caller("officer", Role.OFFICER, self.token("delegue")),
            *self._bearers(),
            Caller("anonymous", Role.ANONYMOUS, ""),
        )

    def _mandataries(self) -> Sequence[Caller]:
        base = Caller("", Role.MANDATARY, self.token("claude"), person="claude")

        def under(label: str, mandate: str, of: str, *words: str, types: Sequence[str] = ()) -> Caller:
            members = {**_members(base), "label": f"mandatary {label}", "mandate": mandate, "mandate_of": of}
            return Caller(**{**members, "words": frozenset(words), "types": frozenset(types)})

        every = ("read", "deposit", "answer", "share")
        return (
            *(under(word, self.mandate("camille", word), "camille", word) for word in every),
            under(
                "of other types", self.mandate("camille", *every, types=[OTHER_TYPE]), "camille", *every,
                types=[OTHER_TYPE],
            ),
            under("of somebody else", self.mandate("dominique", *every), "dominique", *every),
            under("expired", self.mandate("camille", *every, ends_in=-1), "", *every),
            under("to come", self.mandate("camille", *every, starts_in=1), "", *every),
            under("revoked", self.mandate("camille", *every, revoked=True), "", *every),
            # Dominique shows a mandate that names Claude.
            Caller(
                "mandatary by another's mandate", Role.MANDATARY, self.token("dominique"),
                mandate=self.mandate("camille", *every), person="dominique",
            ),
        )  # fmt: skip

    def _agents(self) -> Sequence[Caller]:
        others = {
            "agent-accueil": Actor("agent-accueil", Role.AGENT, administration_id=TOWN, service="accueil"),
            "agent-atelier": Actor(
                "agent-atelier", Role.AGENT, administration_id=EMPLOYER, service="atelier"
            ),
        }
        for actor in others.values():
            self._enter(actor)
        return [
            Caller(name, Role.AGENT, self.token(name), administration=administration, service=service)
            for name, administration, service in (
                ("agent-etat-civil", TOWN, "etat-civil"),
                ("agent-accueil", TOWN, "accueil"),
                ("agent-paie", EMPLOYER, "paie"),
                ("agent-atelier", EMPLOYER, "atelier"),
            )
        ]

    def _systems(self) -> Sequence[Caller]:
        made = []
        for administration, service in ((TOWN, "etat-civil"), (EMPLOYER, "paie")):
            for missing in ("", *sorted(SCOPES)):
                scopes = SCOPES - {missing}
                label = f"system of {administration}" + (f" without {missing}" if missing else "")
                actor = Actor(
                    label, Role.SYSTEM, administration_id=administration, service=service, scopes=scopes
                )
                made.append(
                    Caller(
                        label, Role.SYSTEM, self._enter(actor), administration=administration, service=service,
                        scopes=scopes, lacks=missing,
                    )
                )  # fmt: skip
        return made

    def _auditors(self) -> Sequence[Caller]:
        named = self._enter(Actor("auditeur-requis", Role.AUDITOR))
        of_employer = Actor("auditeur-paie", Role.AUDITOR, administration_id=EMPLOYER, service="paie")
        return (
            Caller("auditor", Role.AUDITOR, self.token("auditeur")),
            Caller("auditor with requisition", Role.AUDITOR, named, requisitioned="camille"),
            Caller(
                "auditor with consent", Role.AUDITOR, self._enter(of_employer), administration=EMPLOYER,
                service="paie",
            ),
        )  # fmt: skip

    def _bearers(self) -> Sequence[Caller]:
        """Who opened a share with its code and second secret."""
        made = []
        for label, holder, documents, gives, counts in (
            ("bearer of originals", "camille", [self.given, self.pdf], ("original", "evidence"), True),
            ("bearer of a copy", "camille", [self.pdf], ("watermark",), True),
            ("bearer of another share", "dominique", [self.foreign], ("original",), True),
            ("bearer of a withdrawn share", "camille", [self.given], ("original",), False),
        ):
            share = self.share(holder, documents, *gives)
            opened = self.ask(
                "POST", "/v1/shares/opening", {"code": share["code"], "secret": share["secret"]}
            )
            if not counts:
                self.post(holder, f"/v1/shares/{share['id']}/withdrawal")
            made.append(
                Caller(
                    label, Role.BEARER, opened["access_token"],
                    documents=frozenset(documents) if counts else frozenset(), gives=frozenset(gives),
                )
            )  # fmt: skip
        return made

    # --- what is asked about

    def key(self) -> str:
        return next(self._keys)

    def issue(
        self, holder: str, *, administration: str = TOWN, persona: str = "agent-etat-civil", content: bytes = b"",
        file_name: str = "acte.txt", **more: Any,
    ) -> str:  # fmt: skip
        key = self.key()
        new = NewDocument(holder, "Acte", file_name, document_type=TYPE, **more)
        agent, octets = self._personas[persona].actor, iter((content or key.encode(),))
        return self.vault.issuing.issue(agent, administration, new, octets, Transfer(key)).document_id

    def batch(self, administration: str, persona: str) -> str:
        manifest = b"holder,title,file\ncamille,Acte,a.txt\n"
        begun = self.vault.batches.begin(
            self.actor(persona), administration, "csv", iter((manifest,)), Transfer(self.key())
        )
        return begun.id

    def deposit(self, holder: str, of_type: str = TYPE) -> str:
        key = self.key()
        new = NewDocument(holder, "Pièce", "piece.txt", document_type=of_type)
        taken = self.vault.submissions.deposit(self.actor(holder), new, iter((key.encode(),)), Transfer(key))
        return taken.document_id

    def revoked(self, holder: str, administration: str, persona: str) -> str:
        document = self.issue(holder, administration=administration, persona=persona)
        self.vault.lifecycle.revoke(self._personas[persona].actor, document, "error", Transfer(self.key()))
        return document

    def request(
        self, holder: str, *actions: str, administration: str = EMPLOYER, persona: str = "agent-paie",
        attribute: str = "",
    ) -> str:  # fmt: skip
        new = NewRequest(
            holder=holder,
            purpose=PURPOSE,
            words="Pour établir votre contrat.",
            legal_basis="Code du travail, article 12",
            answer_by=datetime.now(UTC) + timedelta(days=7),
            otherwise=OtherWay("counter", "Au guichet.", "At the counter."),
            document_types=() if attribute else (TYPE,),
            attribute=attribute,
            actions=() if attribute else actions or ("describe",),
            access_days=0 if attribute else 30,
        )
        agent = self._personas[persona].actor
        return self.vault.people.tell_once.requests.make(agent, administration, new, self.key()).document_id

    def consent(self, document: str, *actions: str, holder: str = "camille", withdrawn: bool = False) -> str:
        once = self.vault.people.tell_once
        request = self.request(holder, *actions)
        answer = NewAnswer(Answer.ACCEPT, (document,))
        once.answers.answer(self.actor(holder), request, answer, self.key())
        consent = once.requests.see(self.actor(holder), request).consents[0].id
        if withdrawn:
            once.consents.withdraw(self.actor(holder), consent, self.key())
        return consent

    def statement(self, holder: str = "camille") -> str:
        once = self.vault.people.tell_once
        act = self.issue(holder, attributes={"of-age": "yes"})
        request = self.request(holder, attribute="of-age")
        once.answers.answer(self.actor(holder), request, NewAnswer(Answer.ATTEST, (act,)), self.key())
        return once.requests.see(self.actor(holder), request).statements[0].id

    def mandate(
        self, holder: str, *words: str, types: Sequence[str] = (), starts_in: float = -1, ends_in: float = 1,
        revoked: bool = False, administration: str | None = None,
    ) -> str:  # fmt: skip
        """Written as it is: REST gives none that is over or to come by a day."""
        now = datetime.now(UTC)
        private = {
            "holder": holder,
            "mandatary": "claude",
            "kind": "proxy" if administration is None else "guardian",
            "scope": list(words),
            "basis": "Procuration",
            "document_types": list(types),
            "starts_at": rfc3339(now + timedelta(days=starts_in)),
        }
        return self._matter(
            MatterKind.MANDATE, "mandate.granted", self.actor(holder), private, holder,
            ends_at=now + timedelta(days=ends_in), people=("claude",), administration_id=administration,
            then=("mandate.revoked", {"ended_by": "revoked", "ended_at": rfc3339(now)}) if revoked else None,
        )  # fmt: skip

    def share(self, holder: str, documents: Sequence[str], *gives: str) -> dict[str, Any]:
        """Make a share; return its identifier, code and second secret."""
        form = "watermark" if "watermark" in gives else "original"
        body = {
            "documents": list(documents), "purpose": "housing", "words": "", "recipient": "Agence", "ends_at": soon(30),
            "views": 50, "form": form, "evidence": "evidence" in gives,
        }  # fmt: skip
        return self.post(holder, "/v1/shares", body)

    def safe(self, holder: str) -> str:
        """Open a safe for somebody who asks nothing."""
        return self._safe_of(holder)

    def requisitioned(self, holder: str, auditor: str) -> str:
        body = {
            "holder": holder, "auditor": auditor, "authority": "Tribunal", "reference": self.key(), "words": "Enquête.",
            "ends_at": soon(30),
        }  # fmt: skip
        return str(self.ask("POST", "/v1/requisitions", body, self.token("delegue"))["id"])

    def _matter(
        self, kind: MatterKind, event: str, actor: Actor, private: Mapping[str, Any], holder: str, *,
        then: tuple[str, Mapping[str, Any]] | None = None, **more: Any,
    ) -> str:  # fmt: skip
        matters = self.vault.people.matters
        key = matters.draw(kind)
        new = NewMatter(key, kind, actor, private, self.safes[holder], **more)
        self.vault.writer.run(lambda tx: matters.begin(tx, new, event, Said(holder)))
        if then is not None:
            self.vault.writer.run(
                lambda tx: matters.move(tx, actor, key.document_id, then[0], Said(holder), changed=then[1])
            )
        return key.document_id

    # --- asking over HTTP

    def post(self, holder: str, path: str, body: Any = None) -> Any:
        """Write as a persona and demand that it is done; used to make things."""
        return self.ask("POST", path, body, self.token(holder))

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """Ask with a token and demand that it is done."""
        headers = {"Idempotency-Key": self.key()} | ({"Authorization": f"Bearer {token}"} if token else {})
        done = self.client.request(method, path, json=body, headers=headers)
        assert done.is_success, (path, done.text)
        return done.json()


def _members(of: Any) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}
