"""Safes with a real clamd, and files that hold others."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream

from tests.services.clamd import Daemon
from vault.bootstrap import open_vault
from vault.documents.typesetting import render, specimen_data
from vault.intake import Spooled, receive
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A clamd of the test's own, to be stopped and given other signatures."""
    started = Daemon("StreamMaxLength 8M")
    yield started
    started.remove()


@pytest.fixture(scope="session")
def act_pdf() -> bytes:
    """The specimen act, not sealed."""
    name = "acte-de-naissance"
    return render(name, specimen_data(name), at=datetime(2026, 1, 15, tzinfo=UTC))


def scan_settings(folder: Path, address: str, **more: object) -> Settings:
    """Settings of a safe with that clamd, whose queue runs when the test says so."""
    fields = {
        "data": folder / "data", "publish_interval": 0.05, "scanner": "clamd", "scanner_address": address,
        "scanner_connect_timeout": 1.0, "scanner_timeout": 2.0, **more,
    }  # fmt: skip
    return Settings(**fields)  # type: ignore[arg-type]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Vault]]:
    """Open the safe of the test at a clamd; again after `close` to have it start anew."""
    vaults: list[Vault] = []

    def do(address: str, **more: object) -> Vault:
        vaults.append(open_vault(scan_settings(tmp_path, address, **more), background=False))
        return vaults[-1]

    yield do
    for vault in vaults:
        vault.close()


def pdf_with(*files: bytes, packed: bool = True, typed: bool = True, named: bool = True) -> bytes:
    """Return a PDF of one page with attached files.

    Args:
        files: their octets.
        packed: compress them, which hides them from clamd.
        typed: say that they are embedded files.
        named: list them where readers look for attachments; else only an annotation has them.
    """
    made = pikepdf.new()
    made.add_blank_page()
    specifications = []
    for number, octets in enumerate(files):
        stream = made.make_indirect(Stream(made, zlib.compress(octets) if packed else octets))
        if packed:
            stream.Filter = Name.FlateDecode
        if typed:
            stream.Type = Name.EmbeddedFile
        name = f"{number}.bin"
        specifications.append(
            made.make_indirect(Dictionary(Type=Name.Filespec, F=name, UF=name, EF=Dictionary(F=stream)))
        )
    if named:
        pairs = [part for n, each in enumerate(specifications) for part in (f"{n:04}", each)]
        made.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=Array(pairs)))
    else:
        made.pages[0].Annots = Array(
            made.make_indirect(
                Dictionary(Type=Name.Annot, Subtype=Name.FileAttachment, Rect=[0, 0, 9, 9], FS=each)
            )
            for each in specifications
        )
    out = io.BytesIO()
    made.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=packed)
    return out.getvalue()


def hidden_in_pdf(octets: bytes) -> bytes:
    """Return a PDF with an attached file that readers open and clamd passes over: its filter is named by reference."""
    data = zlib.compress(octets)
    objects = (
        b"<</Type/Catalog/Pages 2 0 R/Names<</EmbeddedFiles<</Names[(a)5 0 R]>>>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        b"<</Type/EmbeddedFile/Filter 6 0 R/Length %d>>\nstream\n%s\nendstream" % (len(data), data),
        b"<</Type/Filespec/F(a)/UF(a)/EF<</F 4 0 R>>>>",
        b"/FlateDecode",
    )
    made, offsets = b"%PDF-1.7\n", b""
    for number, each in enumerate(objects, 1):
        offsets += b"%010d 00000 n \n" % len(made)
        made += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"xref\n0 7\n0000000000 65535 f \n%strailer\n<</Size 7/Root 1 0 R>>\n" % offsets
    return made + table + b"startxref\n%d\n%%%%EOF\n" % len(made)


def zip_with(*files: bytes) -> bytes:
    """Return an archive with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, octets in enumerate(files):
            archive.writestr(f"{number}.bin", octets)
    return out.getvalue()


@pytest.fixture
def spool(tmp_path: Path) -> Callable[[bytes], Spooled]:
    """Spool octets."""
    folder = tmp_path / "spool"
    folder.mkdir(exist_ok=True)
    return lambda octets: receive((octets,), folder=folder, limit=1 << 30)
