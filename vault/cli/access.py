"""`probans access`: who may do what, as the program decides it."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vault.authorization import access_table
from vault.authorization.access_table import RouteRules
from vault.cli.common import USAGE, fail
from vault.domain.actors import Role

ROUTES = "probans.routes"
# Without a terminal the table is not folded to its width.
_WIDE = 200
_SHOWN = tuple(role for role in Role if role is not Role.ANONYMOUS)

access = typer.Typer(
    help="Règles d'accès : qui peut faire quoi. / Access rules: who may do what.",
    no_args_is_help=True,
)


@access.callback()
def _several() -> None:
    """Règles d'accès : qui peut faire quoi. / Access rules: who may do what."""


@access.command("table")
def table(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Markdown, as in the documentation.")
    ] = False,
) -> None:
    """Imprimer la table des règles et des routes. / Print the table of rules, and the routes under each."""
    if as_json and as_markdown:
        fail("--json ou --markdown, l'un des deux. / one of the two.", USAGE)
    rules = route_rules()
    if as_json:
        typer.echo(json.dumps(access_table.document(rules), ensure_ascii=False, indent=2))
    elif as_markdown:
        typer.echo(access_table.markdown(rules), nl=False)
    else:
        _print(rules)


def route_rules() -> RouteRules:
    """Return the rule of every route of the HTTP server that the distribution registers: this package knows none."""
    found = entry_points(group=ROUTES, name="http")
    return {} if not found else next(iter(found)).load()


def _print(rules: RouteRules) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    for title, actions in access_table.groups():
        drawn = Table(title=title, title_justify="left", show_lines=True)
        drawn.add_column("action", no_wrap=True)
        for role in _SHOWN:
            drawn.add_column(role.value)
        for action in actions:
            allowed = ("\n".join(map(str, access_table.cells(action, role))) or "-" for role in _SHOWN)
            drawn.add_row(action.value, *map(escape, allowed))
        console.print(drawn)
        routes = Table.grid(padding=(0, 2))
        for action in actions:
            for number, route in enumerate(access_table.routes_under(rules, action)):
                routes.add_row("" if number else action.value, route)
        console.print(routes)
        console.print()
    console.print("public")
    for route in access_table.routes_without(rules):
        console.print(f"  {route}", markup=False)
