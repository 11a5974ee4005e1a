"""Entry point of `probans`: one command a module."""

from __future__ import annotations

import typer

from vault.cli.bundle import bundle
from vault.cli.demo import demo
from vault.cli.deposit import deposit, issue
from vault.cli.recover import recover
from vault.cli.serve import serve
from vault.cli.verify import verify

app = typer.Typer(
    name="probans",
    help="Coffre-fort numérique à valeur probante. / Digital safe and evidential document service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, serve, verify, issue, deposit, bundle, recover):
    app.command()(command)
