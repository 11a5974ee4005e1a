"""Entry point of `probans`: one command a module, and only the asked one is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module

import typer

COMMANDS = (
    "demo",
    "serve",
    "worker",
    "verify",
    "audit",
    "watch",
    "witness",
    "issue",
    "batch",
    "deposit",
    "bundle",
    "recover",
    "keys",
    "systems",
    "notices",
    "administrations",
    "services",
    "safes",
    "access",
    "storage",
    "migrate",
)
_MODULES = {"issue": "deposit"}


def build(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Return the command line with these commands; auditors' commands load neither database nor store."""
    app = typer.Typer(
        name="probans",
        help="Coffre-fort numérique à valeur probante. / Digital safe and evidential document service.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_several)
    for name in names:
        module = import_module(f"vault.cli.{_MODULES.get(name, name)}")
        found = getattr(module, name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def run() -> None:
    """Run the command line."""
    asked = [name for name in COMMANDS if name in sys.argv[1:2]]
    build(asked or COMMANDS)()


def _several() -> None:
    """Coffre-fort numérique à valeur probante. / Digital safe and evidential document service."""
