"""One safe that has issued and received everything a safe may: its files, as strangers would hold them.

The safe is the demonstration's own, opened twice more, once for each kind of seal key: one root and one ledger.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import cms

from vault.bootstrap import open_vault
from vault.cli.demo import demo as run_demo
from vault.documents.specimens import specimen_photo, specimen_xml
from vault.documents.typesetting import render, specimen_data
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings

DATA = Path(__file__).resolve().parents[2] / "data"
ALGORITHMS = ("p256", "rsa-pss")
AT = datetime(2026, 1, 15, tzinfo=UTC)
_BYTE_RANGE = re.compile(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\]")


@dataclass(frozen=True)
class Seal:
    """A CMS signature taken out of a document or bundle, each piece in a file of its own.

    `covered` is what the signature is over, `value` what its timestamp token is over; `bundle` is the unpacked
    bundle with the certificates and revocation lists that go with it.
    """

    found_in: str
    bundle: Path
    signature: Path
    covered: Path
    value: Path
    token: Path


@dataclass(frozen=True)
class Item:
    """One document: as brought, as the service gives it back, and its evidence."""

    name: str
    algorithm: str
    is_act: bool
    brought: Path
    original: Path
    bundle: Path
    for_third_party: Path | None = None

    @property
    def is_sealed_pdf(self) -> bool:
        """True if the seal lies in the file itself."""
        return self.original.read_bytes() != self.brought.read_bytes()


@dataclass
class Service:
    """What a service leaves in the hands of others."""

    out: Path
    roots: Path
    vkeys: Path
    items: list[Item] = field(default_factory=list)

    @property
    def sealed_pdfs(self) -> list[Item]:
        """Acts with the seal inside."""
        return [item for item in self.items if item.is_sealed_pdf]

    @property
    def bundles(self) -> list[Path]:
        """Every evidence bundle, those for third parties too."""
        given = [path for item in self.items for path in (item.bundle, item.for_third_party) if path]
        return [self.out / "act.asice", self.out / "attachment.asice", *given]

    def one(self, name: str, algorithm: str = "p256") -> Item:
        """The document of this name under this kind of key."""
        return next(item for item in self.items if (item.name, item.algorithm) == (name, algorithm))


class _Story:
    """Brings documents to a safe and keeps what comes back."""

    def __init__(self, vault: Vault, service: Service, folder: Path) -> None:
        self._vault = vault
        self._service = service
        self._folder = folder
        self._algorithm = vault.settings.seal_algorithm
        self._agent = vault.personas.named("agent-etat-civil").actor
        self._holder = vault.personas.named("camille").actor
        self._pending: list[tuple[str, str, bool, bytes]] = []

    def issue(self, name: str, content: bytes, supersedes: str | None = None) -> str:
        new = NewDocument("camille", f"Acte {name}", name, supersedes=supersedes)
        transfer = Transfer(f"{self._algorithm}-{len(self._pending)}")
        outcome = self._vault.issuing.issue(self._agent, "mairie-specimen", new, iter((content,)), transfer)
        self._pending.append((outcome.document_id, name, True, content))
        return outcome.document_id

    def deposit(self, name: str, content: bytes) -> None:
        new = NewDocument("camille", f"Pièce {name}", name)
        transfer = Transfer(f"{self._algorithm}-{len(self._pending)}")
        outcome = self._vault.submissions.deposit(self._holder, new, iter((content,)), transfer)
        self._pending.append((outcome.document_id, name, False, content))

    def revoke(self, document_id: str) -> None:
        transfer = Transfer(f"{self._algorithm}-revoke")
        self._vault.lifecycle.revoke(self._agent, document_id, "error", transfer)

    def collect(self) -> None:
        """Download everything, once all of it has happened."""
        for number, (document_id, name, is_act, content) in enumerate(self._pending):
            folder = self._folder / self._algorithm / f"{number:02}"
            folder.mkdir(parents=True)
            (folder / "brought").write_bytes(content)
            original = self._download("original", self._holder, document_id, "", folder)
            bundle = self._download("bundle", self._holder, document_id, "", folder)
            other = None
            if is_act:
                (folder / "tiers").mkdir()
                other = self._download("bundle", self._agent, document_id, "controle", folder / "tiers")
            item = Item(name, self._algorithm, is_act, folder / "brought", original, bundle, other)
            self._service.items.append(item)

    def _download(self, what: str, actor: Actor, document_id: str, purpose: str, folder: Path) -> Path:
        download = getattr(self._vault.reading, what)(actor, document_id, purpose)
        path = folder / download.name
        with path.open("xb") as stream:
            for chunk in download.read(0, None):
                stream.write(chunk)
        assert path.stat().st_size == download.size
        return path


def _issued_names() -> list[str]:
    with (DATA / "expected.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))
    return [row[0] for row in rows if row[1] == "issued"]


def _attachments() -> Iterator[tuple[str, bytes]]:
    yield "photo de l’étang.jpg", specimen_photo()
    yield unicodedata.normalize("NFD", "échéancier.xml"), specimen_xml()
    yield "Œuvre & reçu (n° 2) – été.txt", "Bien reçu le 3 août.\n".encode()
    yield "mot-de-passe.pdf", (DATA / "pdf-real/005-libreoffice-writer-password.pdf").read_bytes()
    yield "пример ελληνικά 日本.dat", bytes(range(256)) * 20_000
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pièce.csv", "nom;montant\nZoé;12,50\n")
    yield "pièces.zip", packed.getvalue()
    yield "-option $(date).xml", specimen_xml()


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `probans demo --no-serve`."""
    out = tmp_path_factory.mktemp("demonstration") / "demo"
    run_demo(out=out, no_serve=True, port=0)
    return out


def _taken_out(found_in: str, bundle: Path, signature: bytes, covered: bytes, folder: Path) -> Seal:
    (signer,) = cms.ContentInfo.load(signature)["content"]["signer_infos"]
    (token,) = (
        value.dump()
        for attribute in signer["unsigned_attrs"]
        if attribute["type"].native == "signature_time_stamp_token"
        for value in attribute["values"]
    )
    folder.mkdir()
    pieces = {"signature": signature, "covered": covered, "value": signer["signature"].native, "token": token}
    for name, content in pieces.items():
        (folder / name).write_bytes(content)
    return Seal(found_in, bundle, **{name: folder / name for name in pieces})


def _seal_of_pdf(pdf: Path) -> tuple[bytes, bytes]:
    """The signature of the last revision, and the octets of the file around it."""
    content = pdf.read_bytes()
    start, before, after, rest = map(int, _BYTE_RANGE.findall(content)[-1])
    assert (start, after + rest) == (0, len(content)), pdf
    padded = bytes.fromhex(content[before + 1 : after - 1].decode())
    return cms.ContentInfo.load(padded).dump(), content[:before] + content[after:]


def _birth_act(day: int) -> bytes:
    name = "acte-de-naissance"
    return render(name, specimen_data(name), at=AT.replace(day=day))


def _tell(story: _Story) -> None:
    for name in _issued_names():
        story.issue(name, (DATA / "pdf-real" / name).read_bytes())
    story.issue("attestation.pdf", render("attestation", specimen_data("attestation"), at=AT))
    first = story.issue("première version.pdf", _birth_act(1))
    story.issue("acte rectifié.pdf", _birth_act(2), supersedes=first)
    story.revoke(story.issue("acte révoqué.pdf", _birth_act(3)))
    story.issue("déclaration.xml", specimen_xml())
    story.issue("arrêté déjà signé.pdf", (DATA / "pdf-signed/dss-pades-bes.pdf").read_bytes())
    for name, content in _attachments():
        story.deposit(name, content)
    story.collect()


@pytest.fixture(scope="session")
def service(demonstration: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A safe of acts and attachments of every kind, under both kinds of seal key."""
    folder = tmp_path_factory.mktemp("service")
    out = Path(shutil.copytree(demonstration, folder / "demo"))
    service = Service(out, out / "trust/roots.pem", out / "trust/ledger.vkeys")
    for algorithm in ALGORITHMS:
        vault = open_vault(Settings(data=out / "data", seal_algorithm=algorithm, publish_interval=0.05))
        try:
            _tell(_Story(vault, service, folder))
        finally:
            vault.close()
    return service


@pytest.fixture(scope="session")
def unpacked(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Each bundle as plain unzip unpacks it."""
    folder = tmp_path_factory.mktemp("unpacked")
    made = {}
    for number, bundle in enumerate(service.bundles):
        made[bundle] = folder / f"{number:03}"
        done = subprocess.run(
            ["unzip", "-q", str(bundle), "-d", str(made[bundle])],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), bundle
    return made


@pytest.fixture(scope="session")
def seals(
    service: Service, unpacked: dict[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Seal]:
    """Every seal of every document and bundle."""
    folder = tmp_path_factory.mktemp("seals")
    demo = service.out / "act.pdf", unpacked[service.out / "act.asice"]
    found = [_taken_out(str(demo[0]), demo[1], *_seal_of_pdf(demo[0]), folder / "demo")]
    for item in service.sealed_pdfs:
        place = folder / f"{item.algorithm}-{item.name}"
        found.append(
            _taken_out(str(item.original), unpacked[item.bundle], *_seal_of_pdf(item.original), place)
        )
    for bundle, parts in unpacked.items():
        for signature in sorted(parts.glob("META-INF/signature*.p7s")):
            manifest = signature.with_name(f"ASiCManifest{signature.stem.removeprefix('signature')}.xml")
            place = folder / f"{parts.name}-{signature.stem}"
            octets = signature.read_bytes(), manifest.read_bytes()
            found.append(_taken_out(f"{bundle}: {signature.name}", parts, *octets, place))
    return found
