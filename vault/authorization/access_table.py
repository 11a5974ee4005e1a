"""The access rules as people read them: every action, who may ask it in which relation, and by which routes.

Nothing is decided here: it is all taken from `vault.access`, and the routes from whatever server is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vault.access import (
    CONSENT_SCOPES,
    MANDATE_SCOPES,
    RULES,
    SHARE_SCOPES,
    SYSTEM_SCOPES,
    Action,
    Relation,
)
from vault.domain.actors import Role

# (method, path) -> the action asked, or another word for a route that falls under none.
RouteRules = Mapping[tuple[str, str], Action | str]
ROLES: Mapping[Role, str] = {
    Role.HOLDER: "the person or company a safe belongs to",
    Role.MANDATARY: "a person who acts for a holder by a mandate",
    Role.AGENT: "a person who acts for an administration",
    Role.SYSTEM: "software of an administration",
    Role.AUDITOR: "checks the service from outside; sees evidence, not content",
    Role.OPERATOR: "runs the service; never sees content",
    Role.OFFICER: "data-protection officer",
    Role.BEARER: "showed a share code and its second secret",
    Role.ANONYMOUS: "nobody in particular: no rule names this role, public routes alone answer it",
}
RELATIONS: Mapping[Relation, str] = {
    Relation.OWN_SAFE: "it lies in the caller's own safe, or is it",
    Relation.MANDATE: "it lies in the safe of the caller's mandate, which counts now and whose scope names the action; "
    "of mandates themselves: it is the caller's own, ended or not",
    Relation.OWN_ADMINISTRATION: "the caller's administration issued it, asked for it or leads it",
    Relation.CONSENT: "a consent that counts now gives the document to the caller's administration and service, for "
    "the purpose said, and its actions name the action",
    Relation.SHARE: "it is a document of the share whose code and second secret the caller showed, and the share "
    "counts now and gives it",
    Relation.REQUISITION: "a requisition that counts now names the caller and the document or its safe",
    Relation.ANY: "whatever it is",
}
# Where a rule is narrower than its line says.
NARROWER: Mapping[Action, str] = {
    Action.SAFE_OPEN: "administrations alone that the setting `PROBANS_MANDATE_AUTHORITIES` names",
    Action.MANDATE_GRANT: "holders give proxies; guardians and representatives are named by the administrations "
    "alone that the setting `PROBANS_MANDATE_AUTHORITIES` names",
    Action.MANDATE_END: "one that an administration gave is ended by that administration or by who holds it alone",
    Action.CLOSURE_ASK: "holders ask for their own; of deaths and dissolutions tell the administrations alone that the "
    "setting `PROBANS_MANDATE_AUTHORITIES` names",
    Action.CLOSURE_CONFIRM: "a holder's wish by the holder alone, a death or dissolution by the officer alone",
    Action.CLOSURE_CANCEL: "a holder's wish by the holder alone, a death or dissolution by the others alone",
    Action.REQUEST_SEE: "of an administration, by the service that made it alone, where one did",
    Action.REQUEST_CANCEL: "of an administration, by the service that made it alone, where one did",
    Action.CONSENT_SEE: "of an administration, by the service it was given to alone, where it was given to one",
    Action.STATEMENT_SEE: "of an administration, by the service it was given to alone, where it was given to one",
}
GROUPS: Mapping[str, tuple[Action, ...]] = {
    "Documents": (
        Action.ISSUE, Action.DEPOSIT, Action.LIST, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT,
        Action.KEYS, Action.REVOKE, Action.DESTROY, Action.LABEL,
    ),
    "Safes and mandates": (
        Action.SAFE_SEE, Action.JOURNAL, Action.JOURNAL_PROOF, Action.EXPORT, Action.CONTACTS, Action.CLOSURE_ASK,
        Action.CLOSURE_SEE, Action.CLOSURE_DECIDE, Action.MANDATE_GRANT, Action.MANDATE_SEE, Action.MANDATE_END,
    ),
    "Tell us once": (
        Action.REQUEST_MAKE, Action.REQUEST_SEE, Action.REQUEST_ANSWER, Action.REQUEST_CANCEL, Action.CONSENT_SEE,
        Action.CONSENT_WITHDRAW, Action.STATEMENT_SEE,
    ),
    "Sharing": (Action.SHARE_CREATE, Action.SHARE_SEE, Action.SHARE_WITHDRAW),
    "Cases": (Action.CASE_WRITE, Action.CASE_SEE),
}  # fmt: skip
OTHERS = "Rights and oversight"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one role may do of one action.

    Attributes:
        relation: in which relation.
        scopes: words of which one must stand in the scope of the mandate, in the actions of the consent, or in what
            the share gives; empty where the relation rests on none of these.
        registered: scope that the system must be registered for, or "".
    """

    relation: Relation
    scopes: tuple[str, ...]
    registered: str

    def __str__(self) -> str:
        """Return it in one word, or a few."""
        scopes = f" ({', '.join(self.scopes)})" if self.scopes else ""
        return self.relation.value + scopes + (f" [{self.registered}]" if self.registered else "")


def groups() -> Iterator[tuple[str, Sequence[Action]]]:
    """Yield every action once, under a heading."""
    named = {action for actions in GROUPS.values() for action in actions}
    yield from GROUPS.items()
    yield OTHERS, tuple(action for action in Action if action not in named)


def cells(action: Action, role: Role) -> list[Cell]:
    """Return in which relations a role may do an action; empty: in none."""
    return [
        Cell(relation, _scopes(action, relation), SYSTEM_SCOPES[action] if role is Role.SYSTEM else "")
        for relation in Relation
        if (role, action, relation) in RULES
    ]


def routes_under(rules: RouteRules, action: Action) -> list[str]:
    """Return the routes that ask an action, as `METHOD path`, in the order of the server's table."""
    return [f"{method} {path}" for (method, path), asked in rules.items() if asked == action]


def routes_without(rules: RouteRules) -> list[str]:
    """Return the routes that ask no action: they say the same to everybody, or decide by a secret of their own."""
    return [f"{method} {path}" for (method, path), asked in rules.items() if not isinstance(asked, Action)]


def document(rules: RouteRules) -> dict[str, object]:
    """Return everything as one JSON object."""
    return {
        "roles": {role.value: words for role, words in ROLES.items()},
        "relations": {relation.value: words for relation, words in RELATIONS.items()},
        "rules": [
            {
                "role": role.value,
                "action": action.value,
                "relation": cell.relation.value,
                "scopes": cell.scopes,
                "registered": cell.registered,
            }
            for _, actions in groups()
            for action in actions
            for role in Role
            for cell in cells(action, role)
        ],
        "routes": [
            {"method": method, "path": path, "action": asked.value if isinstance(asked, Action) else None}
            for (method, path), asked in rules.items()
        ],
    }


def markdown(rules: RouteRules) -> str:
    """Return the tables as Markdown: roles, relations, then actions with their routes."""
    parts = [_table(("role", "who"), ((f"`{role.value}`", words) for role, words in ROLES.items()))]
    relations = ((f"`{relation.value}`", words) for relation, words in RELATIONS.items())
    parts.append(_table(("relation", "holds when"), relations))
    for title, actions in groups():
        rows = (
            (
                f"`{action.value}`",
                _allowed(action) or "nobody",
                "<br>".join(f"`{route}`" for route in routes_under(rules, action)),
            )
            for action in actions
        )
        parts.append(f"## {title}\n\n" + _table(("action", "who may, in which relation", "routes"), rows))
        notes = [f"- `{action.value}`: {NARROWER[action]}.\n" for action in actions if action in NARROWER]
        if notes:
            parts.append("Narrower than their line:\n\n" + "".join(notes))
    public = "".join(f"- `{route}`\n" for route in routes_without(rules))
    parts.append(f"## Routes under no rule\n\nThey {_PUBLIC}.\n\n{public}")
    return "\n".join(parts)


_PUBLIC = "say the same to everybody, or decide by a secret of their own (a login, a code, a form token)"


def _scopes(action: Action, relation: Relation) -> tuple[str, ...]:
    tables = {
        Relation.MANDATE: MANDATE_SCOPES,
        Relation.CONSENT: CONSENT_SCOPES,
        Relation.SHARE: SHARE_SCOPES,
    }
    return tuple(word for word, actions in tables.get(relation, {}).items() if action in actions)


def _allowed(action: Action) -> str:
    found = ((role, cells(action, role)) for role in Role)
    return "<br>".join(
        f"{role.value}: {' or '.join(str(cell) for cell in allowed)}" for role, allowed in found if allowed
    )


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
