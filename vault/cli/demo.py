"""`probans demo`: the whole story on the embedded default, then pages and API."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from signing.trust import TrustStore
from vault.bootstrap import open_vault
from vault.cli.common import FAILED, plain_errors, settings_for
from vault.cli.serve import run_server
from vault.documents.specimens import specimen_photo, specimen_xml
from vault.documents.typesetting import render, specimen_data
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy
from vault.service import Vault

_TEMPLATE = "acte-de-naissance"
# Fixed, so that a second run brings the same octets and gets the same documents.
_TYPESET_AT = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
_PURPOSE = "demonstration"


@dataclass(frozen=True, slots=True)
class _Told:
    """One document of the story."""

    name: str
    outcome: Outcome
    original: bytes
    bundle: bytes


class _Story:
    """Prints each step with what it proved, and gathers `story.json`."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._step = 0

    def step(self, french: str, english: str) -> None:
        """Announce a step."""
        self._step += 1
        self._console.print(f"[bold]{self._step}. {french}[/bold]  [dim]{english}[/dim]", soft_wrap=True)

    def proof(self, text: str) -> None:
        """Say what the step proved."""
        self._console.print(f"   ✓ {text}", soft_wrap=True)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the demonstration.")] = Path("demo"),
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the story.")] = False,
    port: Annotated[int, typer.Option("--port", help="Port of pages and API (the next free one).")] = 8000,
) -> None:
    """Issue an act, submit two attachments, prove everything offline, then serve."""
    with plain_errors():
        out.mkdir(parents=True, exist_ok=True)
        settings = settings_for(out / "data")
        vault = open_vault(settings)
        try:
            tell(vault, out)
        finally:
            vault.close()
        if not no_serve:
            run_server(settings, "127.0.0.1", port, 1)


def tell(vault: Vault, out: Path) -> None:
    """Run the story and leave its files in a folder. Ends with exit code 1 when a proof fails."""
    story = _Story()
    agent = vault.personas.named("agent-etat-civil").actor
    holder = vault.personas.named("camille").actor

    story.step("La mairie compose et délivre un acte de naissance (SPÉCIMEN)", "the town hall issues an act")
    pdf = render(_TEMPLATE, specimen_data(_TEMPLATE), at=_TYPESET_AT)
    new = NewDocument(
        holder.id, "Acte de naissance (SPÉCIMEN)", "acte-de-naissance.pdf", _TEMPLATE, "DEM-2026-0001", "fr"
    )
    outcome = vault.issuing.issue(agent, "mairie-specimen", new, iter((pdf,)), _transfer("acte", pdf))
    act = _collect(vault, holder, "act", outcome)
    story.proof(
        f"PDF/A-2a et PDF/UA-1, cachet PAdES-B-T et horodatage dans le fichier : {len(act.original)} octets"
    )
    story.proof(f"inscription n° {outcome.seq} du registre ; document {outcome.document_id}")

    story.step("La titulaire dépose une photo et un fichier XML", "the holder submits two attachments")
    photo_bytes, xml_bytes = specimen_photo(), specimen_xml()
    photo = _deposit(vault, holder, "photo", "Photo d'identité (SPÉCIMEN)", "photo.jpg", photo_bytes)
    xml = _deposit(vault, holder, "xml", "Demande d'aide (SPÉCIMEN)", "demande-d'aide.xml", xml_bytes)
    for told, sent in ((photo, photo_bytes), (xml, xml_bytes)):
        if told.original != sent:
            _stop(story, f"{told.name}: octets differ")
        story.proof(
            f"{told.name} : rendu à l'octet près, cachet CAdES-B-T à côté, inscription n° {told.outcome.seq}"
        )

    story.step(
        "Les dossiers de preuve et les clés publiques sont écrits", "evidence and public keys are written"
    )
    write_files(vault, out, act, photo, xml)
    story.proof(
        f"{out}/act.pdf, act.asice, attachment.asice, trust/ (roots.pem, ledger.vkeys, ledger.policy)"
    )

    story.step("Tout est vérifié hors ligne, avec ces seuls fichiers", "everything is verified offline")
    for file in ("act.pdf", "act.asice", "attachment.asice"):
        verdict = verify_file(
            out / file,
            trust=TrustStore.from_pem((out / "trust/roots.pem").read_bytes()),
            tsa_trust=None,
            policy=Policy.from_vkeys((out / "trust/ledger.vkeys").read_text()),
        )
        if verdict.exit_code != 0:
            _stop(
                story,
                f"{file}: {verdict.verdict.value}: {'; '.join(reason.message for reason in verdict.reasons)}",
            )
        story.proof(f"{file} : {verdict.verdict.value}")
    story.step("À vous", "your turn")
    story.proof(
        f"probans verify {out}/act.asice --trust {out}/trust/roots.pem --vkeys {out}/trust/ledger.vkeys"
    )


def write_files(vault: Vault, out: Path, act: _Told, photo: _Told, xml: _Told) -> None:
    """Write what the story leaves for auditors."""
    (out / "trust").mkdir(exist_ok=True)
    (out / "trust/roots.pem").write_bytes(vault.trust.roots_pem)
    (out / "trust/ledger.vkeys").write_text(vault.trust.vkeys_text, encoding="utf-8")
    (out / "trust/ledger.policy").write_text(vault.trust.policy, encoding="utf-8")
    (out / "act.pdf").write_bytes(act.original)
    (out / "act.asice").write_bytes(act.bundle)
    (out / "attachment.asice").write_bytes(xml.bundle)
    documents = {told.name: _summary(told) for told in (act, photo, xml)}
    story = {"origin": vault.settings.origin, "documents": documents}
    (out / "story.json").write_bytes(orjson.dumps(story, option=orjson.OPT_INDENT_2))


def _deposit(vault: Vault, holder: Actor, name: str, title: str, file_name: str, content: bytes) -> _Told:
    new = NewDocument(holder.id, title, file_name, case="DEM-2026-0001")
    outcome = vault.submissions.deposit(holder, new, iter((content,)), _transfer(name, content))
    return _collect(vault, holder, name, outcome)


def _collect(vault: Vault, holder: Actor, name: str, outcome: Outcome) -> _Told:
    original = vault.reading.original(holder, outcome.document_id, _PURPOSE)
    bundle = vault.reading.bundle(holder, outcome.document_id, _PURPOSE)
    return _Told(name, outcome, _join(original.read(0, None)), _join(bundle.read(0, None)))


def _summary(told: _Told) -> dict[str, Any]:
    return {
        "id": told.outcome.document_id,
        "entry": told.outcome.seq,
        "sha256": hashlib.sha256(told.original).hexdigest(),
        "size": len(told.original),
    }


def _transfer(name: str, content: bytes) -> Transfer:
    return Transfer(f"demo-{name}-{hashlib.sha256(content).hexdigest()[:16]}", len(content))


def _join(chunks: Iterator[bytes]) -> bytes:
    return b"".join(chunks)


def _stop(story: _Story, text: str) -> None:
    story.step("ÉCHEC", text)
    raise typer.Exit(FAILED)
