"""`probans bundle`: assemble an evidence bundle from a safe's folder; no service runs, nothing is signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_parts
from vault.bundles import Bundles
from vault.cli.common import console, existing, fail, plain_errors, settings_for
from vault.db.repositories import Documents
from vault.ledger.anchors import Anchors
from vault.ledger.publisher import StoredReceipts
from vault.objects import Shelf


def bundle(
    document: Annotated[str, typer.Argument(help="Identifier of the document (doc_…).")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the safe.")] = Path("demo/data"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; its own name by default.")
    ] = None,
    third_party: Annotated[bool, typer.Option(help="Leave out who and why.")] = False,
) -> None:
    """Assemble the evidence bundle of a document from the stored parts."""
    with plain_errors():
        settings = settings_for(existing(data))
        parts = open_parts(settings)
        try:
            documents = Documents(parts.keyring)
            with parts.database.reading() as connection:
                found = documents.load(connection, document)
                key = documents.key(connection, document)
            if found is None or key is None:
                fail(f"{document} : inconnu ou détruit. / unknown or destroyed.")
            bundles = Bundles(
                parts.database,
                documents,
                Shelf(parts.objects, parts.keyring),
                StoredReceipts(parts.database),
                Anchors(parts.database, parts.log),
                None,
                settings.spool_folder,
                settings.origin,
            )
            made = bundles.build(found, key, for_holder=not third_party)
            target = out or Path(made.name)
            with target.open("wb") as stream:
                for chunk in made.chunks():
                    stream.write(chunk)
        finally:
            parts.close()
    note = "" if made.sealed else " (sans cachet de preuve / no evidence seal)"
    console.print(f"{target} : {made.size} octets{note}", soft_wrap=True)
