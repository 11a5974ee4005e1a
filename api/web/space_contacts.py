"""Where one is told of news, and of what."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
from api.web.forms import Fields
from api.web.space import PLACE, Shown, Space, enter, gone_to, posted, show, shown_again
from vault.access import Action
from vault.authorization.assurance import Act
from vault.domain.contacts import Choice, Choices, When
from vault.domain.notices import ChannelName, Event
from vault.errors import Refused, VaultError
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_HERE = f"{PLACE}/contacts"


@router.get("/espace/contacts")
def contacts(request: Request, vault: Safe) -> Response:
    """Show contacts and choices."""
    space = enter(request, vault, Action.CONTACTS)
    vault.people.login.assurance.demand(space.actor, Act.CONTACTS)
    return _show(request, vault, space, Shown("rights", "contacts_title"))


@router.post("/espace/contacts")
def add(request: Request, vault: Safe) -> Response:
    """Add a contact; it is used once its code came back."""

    def work(space: Space, fields: Fields) -> None:
        """Keep those that are there, and one more."""
        kept = [
            (each.channel, each.address) for each in vault.notifying.contacts.of(space.actor, space.safe_id)
        ]
        channel, address = fields.one("channel"), fields.one("address").strip()
        if channel not in {each.value for each in ChannelName}:
            raise Refused("FIELD_INVALID", "no such way", field="channel")
        if not address:
            raise Refused("FIELD_INVALID", "must not be empty", field="address")
        vault.notifying.contacts.replace(space.actor, space.safe_id, [*kept, (channel, address)])

    return _change(request, vault, work, "contact")


@router.post("/espace/contacts/choix")
def choose(request: Request, vault: Safe) -> Response:
    """Keep what one wants to be told, how soon and by what way."""

    def work(space: Space, fields: Fields) -> None:
        """Read a choice for each kind of news."""
        language = fields.one("language")
        if language not in {"fr", "en"}:
            raise Refused("FIELD_INVALID", "fr or en", field="language")
        events = {event: _choice(fields, event) for event in Event}
        vault.notifying.contacts.choose(space.actor, space.safe_id, Choices(language, events))

    return _change(request, vault, work, "choix")


@router.post("/espace/contacts/{contact_id}/retrait")
def erase(request: Request, contact_id: str, vault: Safe) -> Response:
    """Erase a contact."""
    return _change(
        request,
        vault,
        lambda space, _: vault.notifying.contacts.erase(space.actor, space.safe_id, contact_id),
        "contact-retire",
    )


@router.post("/espace/contacts/{contact_id}/code")
def send_code(request: Request, contact_id: str, vault: Safe) -> Response:
    """Send a new code to a contact."""
    return _change(
        request,
        vault,
        lambda space, _: vault.notifying.contacts.send_code(space.actor, space.safe_id, contact_id),
        "code",
    )


@router.post("/espace/contacts/{contact_id}/confirmation")
def confirm(request: Request, contact_id: str, vault: Safe) -> Response:
    """Use a contact from now on whose code came back."""

    def work(space: Space, fields: Fields) -> None:
        """Compare the code."""
        vault.notifying.contacts.confirm(space.actor, space.safe_id, contact_id, fields.one("code"))

    return _change(request, vault, work, "contact-confirme")


def _change(request: Request, vault: Vault, work: Callable[[Space, Fields], object], done: str) -> Response:
    space, fields = posted(request, vault, Action.CONTACTS, _HERE)
    vault.people.login.assurance.demand(space.actor, Act.CONTACTS)
    try:
        work(space, fields)
    except VaultError as error:
        shown = shown_again(request, error, "rights", "contacts_title", fields.kept(), _HERE)
        return _show(request, vault, space, shown)
    return gone_to(_HERE, done)


def _choice(fields: Fields, event: Event) -> Choice:
    when = fields.one(f"{event.value}-when")
    ways = fields.every(f"{event.value}-channels")
    if when not in {each.value for each in When} or not set(ways) <= {each.value for each in ChannelName}:
        raise Refused("FIELD_INVALID", "no such choice", field=f"{event.value}-when")
    return Choice(When(when), frozenset(map(ChannelName, ways)))


def _show(request: Request, vault: Vault, space: Space, shown: Shown) -> Response:
    service = vault.notifying.contacts
    return show(
        request,
        space,
        "space_contacts.html",
        shown,
        contacts=service.of(space.actor, space.safe_id),
        choices=service.choices(space.actor, space.safe_id),
        events=list(Event),
        whens=list(When),
        channels=list(ChannelName),
    )
