"""`probans bundle`: assemble an evidence bundle from a safe's folder; no service is needed, nothing is signed.

With a reason the holder sees it in the access journal, by an entry that is durable before anything is written. Without
one nothing is written into the folder, which may be a copy: an entry there would begin a second history of the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.authorization.purposes import checked_words
from vault.bootstrap import open_parts, open_vault
from vault.cli.common import console, existing, fail, plain_errors, settings_for
from vault.db.repositories import Documents
from vault.documents.bundles import Bundles
from vault.domain.documents import Document
from vault.ledger.anchors import Anchors
from vault.ledger.publisher import StoredReceipts
from vault.records.objects import Shelf
from vault.settings import Settings


def bundle(
    document: Annotated[str, typer.Argument(help="Identifier of the document (doc_…).")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the safe.")] = Path("demo/data"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; its own name by default.")
    ] = None,
    third_party: Annotated[bool, typer.Option(help="Leave out who and why.")] = False,
    reason: Annotated[
        str,
        typer.Option(
            help="Why, for the access journal of the holder. Needed in a safe that is in use; not in a copy."
        ),
    ] = "",
) -> None:
    """Assemble the evidence bundle of a document from the stored parts."""
    with plain_errors():
        settings, words = settings_for(existing(data)), checked_words(reason)
        parts = open_parts(settings)
        try:
            documents = Documents(parts.keyring)
            with parts.database.reading() as connection:
                found = documents.load(connection, document)
                key = documents.key(connection, document)
            if found is None or key is None:
                fail(f"{document} : inconnu ou détruit. / unknown or destroyed.")
            _journal(settings, found, words)
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


def _journal(settings: Settings, document: Document, words: str) -> None:
    """Write the access entry before anything leaves; without a reason, say that there is none."""
    if not words:
        console.print(
            "Cette lecture n'est inscrite dans aucun journal : dans un coffre en service, donnez --reason. "
            "/ This reading is in no journal: in a safe that is in use, give --reason.",
            soft_wrap=True,
        )
        return
    vault = open_vault(settings, background=False)
    try:
        vault.people.journal.access.note_support(document, words)
    finally:
        vault.close()
