"""One's document space: whose safe a page is about, who looks, and how its pages are shown."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from api.errors import problem_of
from api.web.forms import Fields, whole_form
from api.web.rendering import FORM_FIELD, check_form, human_day, known_reader, language, page, words
from api.web.words import LANGUAGES, WORDS
from vault.access import MANDATE_SCOPES, Action
from vault.domain.actors import Actor, Role
from vault.errors import NotFound, Refused, Unauthenticated, VaultError
from vault.messages.catalogue import message
from vault.rights.journal_words import ACTIONS
from vault.service import Vault

PLACE = "/espace"
PAGE = 20
_NUMBER = re.compile(r"[0-9]{1,16}")
# What no form can mend: it leads elsewhere, or says no more than that there is nothing.
_NOT_MENDED = frozenset({"NOT_FOUND", "FORM_EXPIRED", "DOCUMENT_DESTROYED"})


@dataclass(frozen=True, slots=True)
class Space:
    """Whose safe a page is about, and who looks.

    Attributes:
        actor: who looks: the holder, or somebody under a mandate.
        safe_id: the safe.
        holder: identifier of its holder.
        holder_name: name of its holder.
        scope: words of the mandate's scope; None for the holder, who needs none.
    """

    actor: Actor
    safe_id: str
    holder: str
    holder_name: str
    scope: tuple[str, ...] | None = None

    @property
    def acts_for_other(self) -> bool:
        """Tell whether this is another person's safe."""
        return self.scope is not None

    def may(self, action: Action) -> bool:
        """Tell whether pages about this are offered; each service decides for itself again."""
        if self.scope is None:
            return True
        return any(action in MANDATE_SCOPES.get(word, frozenset()) for word in self.scope)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a form was not accepted, in words.

    Attributes:
        title: what is wrong.
        action: what to do, or "".
        field: the field it is about, or "".
    """

    title: str
    action: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a page of the space is shown.

    Attributes:
        section: which part of the navigation it belongs to.
        title: key of its words.
        status: of the answer.
        trouble: why a form was not accepted, or None.
        said: what was in the form, to be kept.
        address: where the same page is in the other language; "": here.
    """

    section: str
    title: str
    status: int = 200
    trouble: Trouble | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""


def enter(request: Request, vault: Vault, action: Action = Action.SAFE_SEE) -> Space:
    """Return the space of who asks.

    Args:
        request: of a browser with a session.
        vault: the running safe.
        action: what the page is about.

    Raises:
        Unauthenticated: nobody is logged in.
        NotFound: whoever it is has no safe, or the mandate does not reach that far; MANDATE_OVER: it ended.
    """
    actor = known_reader(request)
    if actor.role is Role.HOLDER and actor.safe_id is not None:
        return Space(actor, actor.safe_id, actor.id, actor.name)
    if actor.role is not Role.MANDATARY or actor.mandate_id is None:
        raise NotFound("NOT_FOUND")
    view = vault.people.mandates.see(actor, actor.mandate_id)
    if view.state != "live":
        raise NotFound("MANDATE_OVER")
    mandate = view.mandate
    scope = tuple(mandate.private["scope"])
    space = Space(actor, mandate.safe_id or "", str(mandate.private["holder"]), view.holder_name, scope)
    if not space.may(action):
        raise NotFound("NOT_FOUND")
    return space


def posted(
    request: Request, vault: Vault, action: Action = Action.SAFE_SEE, back: str = PLACE
) -> tuple[Space, Fields]:
    """Return the space of who sent a form of ours, and the form.

    Args:
        request: the form.
        vault: the running safe.
        action: what it is about.
        back: where a proof of identity that is asked for leads back to.

    Raises:
        Refused: FORM_EXPIRED, BODY_INVALID, ENCODING_INVALID.
        Unauthenticated, NotFound: see `enter`.
    """
    request.state.back = back
    fields = whole_form(request)
    check_form(request, fields.one(FORM_FIELD))
    return enter(request, vault, action), fields


def show(request: Request, space: Space | None, template: str, shown: Shown, **context: Any) -> Response:
    """Render a page of the space."""
    lang = language(request)
    return page(
        request,
        template,
        shown.status,
        space=space,
        section=shown.section,
        heading=words(lang)(shown.title),
        trouble=shown.trouble,
        said=shown.said,
        address=shown.address or request.url.path,
        done=_done(request, lang),
        key=str(shown.said.get("key") or new_key()),
        day=lambda moment: human_day(_moment(moment), lang),
        kind_of=lambda code: type_words(code, lang),
        action_of=lambda code: ACTIONS.get(code, (code, code))[LANGUAGES.index(lang)],
        Action=Action,
        **context,
    )


def trouble_of(request: Request, error: VaultError) -> Trouble:
    """Return why a form was not accepted; what the form cannot mend is raised again."""
    if isinstance(error, Unauthenticated) or error.code in _NOT_MENDED:
        raise error
    lang, problem = language(request), problem_of(error)
    said = message(problem.code, lang, **problem.params)
    name = str(error.params.get("field", "")).partition(".")[0]
    own = f"wrong_{name}"
    if name and problem.code == "FIELD_INVALID" and own in WORDS:
        return Trouble(words(lang)(own), "", name)
    return Trouble(said.title, said.action, name)


def shown_again(
    request: Request,
    error: VaultError,
    section: str,
    title: str,
    said: Mapping[str, Any] | None = None,
    address: str = "",
) -> Shown:
    """Return how a page is shown whose form was not accepted; what the form cannot mend is raised again.

    Args:
        request: the form.
        error: why it was not.
        section: see `Shown`.
        title: see `Shown`.
        said: see `Shown`; None for nothing.
        address: see `Shown`.
    """
    return Shown(section, title, status_of(error), trouble_of(request, error), said or {}, address)


def refused(request: Request, name: str, word: str = "") -> Trouble:
    """Return the trouble with one field."""
    return Trouble(words(language(request))(word or f"wrong_{name}"), "", name)


def status_of(error: VaultError) -> int:
    """Return the status of the answer that shows the form again."""
    return message(error.code).status


def gone_to(path: str, done: str = "") -> Response:
    """Lead to a page after a form; it says what was done."""
    return RedirectResponse(f"{path}?fait={done}" if done else path, 303)


def new_key() -> str:
    """Return an idempotency key for a form: sent twice, it acts once."""
    return f"page-{secrets.token_urlsafe(16)}"


def number_of(text: str) -> int:
    """Read the number of an entry from an address. Raises NotFound."""
    if not _NUMBER.fullmatch(text):
        raise NotFound("NOT_FOUND")
    return int(text)


def end_of_day(name: str, text: str) -> datetime:
    """Return the last second of a day that a form names, UTC. Raises Refused(FIELD_INVALID) naming the field."""
    return start_of_day(name, text) + timedelta(days=1, seconds=-1)


def start_of_day(name: str, text: str) -> datetime:
    """Return the first moment of a day that a form names, UTC. Raises Refused(FIELD_INVALID) naming the field."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused("FIELD_INVALID", "a day such as 2026-12-31", field=name) from None
    # The last day of the calendar has no day after it.
    if not date.min < day < date.max:
        raise Refused("FIELD_INVALID", "a day within the calendar", field=name)
    return datetime.combine(day, time(0), UTC)


def demand_confirmed(fields: Fields, name: str) -> None:
    """Demand that a box was ticked. Raises Refused(FIELD_INVALID) naming the field."""
    if fields.one(name) != "yes":
        raise Refused("FIELD_INVALID", "must be ticked", field=name)


def type_words(code: str, lang: str) -> str:
    """Return a type of document for people: the words of its code."""
    if not code:
        return "Document"
    key = f"type_{code}"
    if key in WORDS:
        return words(lang)(key)
    return code.replace("-", " ").capitalize()


def _moment(moment: datetime | str) -> datetime:
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


def _done(request: Request, lang: str) -> str:
    """Return what a form before this page did, in words; "" where the address names nothing we know."""
    key = f"done_{request.query_params.get('fait', '')}"
    return words(lang)(key) if key in WORDS else ""
