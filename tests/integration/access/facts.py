"""Who asks and what is asked about, as the tests know them apart from the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from vault.access import SYSTEM_SCOPES
from vault.clock import rfc3339
from vault.domain.actors import Role

TOWN, EMPLOYER = "mairie-specimen", "employeur-specimen"
PURPOSE = "instruction-dossier"
TYPE, OTHER_TYPE = "acte-de-naissance", "bulletin-de-paie"
HOLDERS = ("camille", "dominique", "claude")
SCOPES = frozenset(SYSTEM_SCOPES.values())


def soon(days: float = 7) -> str:
    return rfc3339(datetime.now(UTC) + timedelta(days=days))


@dataclass(frozen=True)
class Caller:
    """Somebody who asks, and what is known of them apart from the program.

    Attributes:
        label: said in failures.
        role: in what quality.
        token: bearer token; "" for nobody.
        session: value of the cookie of a session, under the mandate if there is one; "" for who has none.
        safe: holder whose safe is theirs.
        administration: for whom an agent or a system acts.
        service: of that administration.
        scopes: what a system is registered for.
        lacks: the one scope it is not registered for.
        mandate: header that names the mandate acted under.
        mandate_of: holder for whom, by a mandate that counts now; "" else.
        words: scope of that mandate.
        types: document types it is limited to.
        person: identifier of the person who acts.
        documents: documents of a share whose code was shown and that counts now.
        gives: what that share gives.
        requisitioned: holder about whose safe a requisition names this auditor.
    """

    label: str
    role: Role
    token: str
    safe: str = ""
    administration: str = ""
    service: str = ""
    scopes: frozenset[str] = frozenset()
    lacks: str = ""
    mandate: str = ""
    mandate_of: str = ""
    words: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    person: str = ""
    documents: frozenset[str] = frozenset()
    gives: frozenset[str] = frozenset()
    requisitioned: str = ""
    session: str = ""

    @property
    def headers(self) -> dict[str, str]:
        said = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {**said, "Probans-Mandate": self.mandate} if self.mandate else said


@dataclass(frozen=True)
class Thing:
    """What is asked about, and what is known of it apart from the program.

    Attributes:
        label: said in failures.
        ids: values of the route's parameters.
        safe: holder in whose safe it lies, or whose safe it is; "" where it lies in none.
        administration: that issued it, asked for it or leads it.
        service: of that administration, for what is a service's own.
        document: the document it is; "" for what is none.
        type: type code of the document it is or is about; "" where mandates for some types reach it.
        consents: (administration, service) to words of the consent that opens it.
        own: it is whatever the caller has of that kind.
        personal: no administration has any.
        kind: of a closure: `wish` or `death`.
        mandate: it is this mandate, which names `claude`.
        more: for the body.
    """

    label: str
    ids: Mapping[str, Any] = field(default_factory=dict)
    safe: str = ""
    administration: str = ""
    service: str = ""
    document: str = ""
    type: str = ""
    consents: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    own: bool = False
    personal: bool = False
    kind: str = ""
    mandate: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
