"""What the commands share: opening a safe's folder, and errors in words."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from storage.errors import StorageError
from vault.errors import VaultError
from vault.messages.catalogue import message
from vault.settings import Settings

USAGE = 2
FAILED = 1
console = Console(stderr=True, highlight=False)


def settings_for(data: Path | None) -> Settings:
    """Return the settings of the environment, the data folder replaced when given."""
    settings = Settings()
    return settings if data is None else settings.model_copy(update={"data": data})


def existing(data: Path) -> Path:
    """Return a data folder, or end with a usage error when it holds no safe."""
    if not settings_for(data).keys_folder.is_dir():
        fail(f"{data} : aucun coffre ici (« probans demo » en crée un). / no safe here.", USAGE)
    return data


def fail(text: str, code: int = FAILED) -> NoReturn:
    """Print one line to standard error and end."""
    console.print(text, soft_wrap=True)
    raise typer.Exit(code)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the safe's errors into a sentence, what to do, and exit code 1."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        yield
    except VaultError as error:
        words = message(error.code, "fr", **error.params)
        detail = f" ({error.detail})" if error.detail else ""
        fail(f"[bold]{words.title}[/bold] {words.action} \\[{error.code}]{detail}")
    except StorageError as error:
        fail(f"Stockage : {error} \\[{error.code}]")
