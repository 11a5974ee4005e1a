"""The PAdES sealer: purpose, exact reserve, one hash pass, what the sealed file holds."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from signing.base import Prepared, Sealer, SealSource
from signing.errors import KeyUnusable, ReserveExceeded, SignatureRefused
from signing.pades import MAX_PADDING, PadesSealer


class CountingStream(io.BytesIO):
    """Counts the octets read."""

    octets = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.octets += len(found)
        return found


@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
def test_a_sealed_act(algorithm: str, simple_pdf: Path, pdf_bench: Any) -> None:
    revision = pdf_bench.revision(simple_pdf, algorithm)
    whole = simple_pdf.read_bytes() + revision.appended
    assert revision.sha256 == hashlib.sha256(whole).digest()
    assert revision.size == len(whole)
    assert revision.certificate == pdf_bench.key(algorithm).certificate
    assert revision.token in revision.signature
    assert revision.manifest == b""
    [contents] = re.findall(rb"/Contents <([0-9a-f]+)>", revision.appended)
    filled = bytes.fromhex(contents.decode())
    assert filled.startswith(revision.signature)
    assert len(filled) - len(revision.signature) <= MAX_PADDING
    assert filled[len(revision.signature) :].strip(b"\x00") == b""
    sealed = pdf_bench.folder / f"{algorithm}.pdf"
    sealed.write_bytes(whole)
    [signature] = pdf_bench.validate(sealed)
    assert signature.signer == revision.certificate
    # A document's name, an agent's or a holder's has no place in a revision.
    assert b"/Name" not in revision.appended


def test_it_is_a_sealer(pdf_bench: Any) -> None:
    sealer: Sealer = PadesSealer(pdf_bench.key())
    assert sealer.purpose.value == "act-seal"
    assert sealer.certificate == pdf_bench.key().certificate


def test_other_purposes_are_refused(pdf_bench: Any) -> None:
    for key in (pdf_bench.pki.reception_seal, pdf_bench.pki.evidence_seal, pdf_bench.pki.timestamp):
        with pytest.raises(KeyUnusable):
            PadesSealer(key)


def test_a_key_out_of_its_validity_is_refused(simple_pdf: Path, pdf_bench: Any) -> None:
    key = pdf_bench.key()
    source, material = pdf_bench.source(simple_pdf), pdf_bench.material(key)
    for moment in (pdf_bench.now - timedelta(days=1), pdf_bench.now + timedelta(days=20_000)):
        with pytest.raises(KeyUnusable):
            PadesSealer(key).prepare(source, material, 2000, moment)


@pytest.mark.parametrize("difference", [-200, 200])
def test_a_reserve_that_does_not_fit_is_said_and_repaired(
    difference: int, simple_pdf: Path, pdf_bench: Any
) -> None:
    key = pdf_bench.key()
    sealer = PadesSealer(key)
    source, material = pdf_bench.source(simple_pdf), pdf_bench.material(key)
    size = pdf_bench.authority.expected_size + difference
    prepared = sealer.prepare(source, material, size, pdf_bench.now)
    with pytest.raises(ReserveExceeded) as caught:
        sealer.complete(prepared, pdf_bench.authority.token(prepared.imprint).der)
    again = sealer.prepare(source, material, caught.value.needed, pdf_bench.now)
    token = pdf_bench.authority.token(again.imprint).der
    # A P-256 token may by chance be some octets longer than the last.
    if len(token) <= caught.value.needed:
        assert sealer.complete(again, token).token == token


def test_one_hundred_seals_fit_the_reserve(simple_pdf: Path, pdf_bench: Any) -> None:
    key = pdf_bench.key()
    sealer = PadesSealer(key)
    source, material = pdf_bench.source(simple_pdf, state=True), pdf_bench.material(key)
    started = time.perf_counter()
    for _ in range(100):
        prepared = sealer.prepare(source, material, pdf_bench.authority.expected_size, pdf_bench.now)
        sealer.complete(prepared, pdf_bench.authority.token(prepared.imprint).der)
    assert time.perf_counter() - started < 20


def test_complete_takes_only_its_own_drafts_and_only_tokens(simple_pdf: Path, pdf_bench: Any) -> None:
    key = pdf_bench.key()
    sealer = PadesSealer(key)
    with pytest.raises(TypeError):
        sealer.complete(Prepared(bytes(32), "other"), b"")
    prepared = sealer.prepare(pdf_bench.source(simple_pdf), pdf_bench.material(key), 2000, pdf_bench.now)
    with pytest.raises(SignatureRefused):
        sealer.complete(prepared, b"no token")


def test_with_a_hash_state_only_the_structure_is_read(tmp_path: Path, pdf_bench: Any) -> None:
    path = tmp_path / "large.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.Root.Large = pdf.make_stream(bytes(3_000_000))
        pdf.save(path, compress_streams=False)
    data = path.read_bytes()
    digest = hashlib.sha256(data)
    key = pdf_bench.key()
    material = pdf_bench.material(key)
    read = []
    for state in (digest, None):
        stream = CountingStream(data)
        source = SealSource(stream, path, len(data), digest.digest(), hash_state=state)
        PadesSealer(key).prepare(source, material, 2000, pdf_bench.now)
        read.append(stream.octets)
    assert read[0] < 5_000
    assert len(data) < read[1] < len(data) + 5_000


def test_a_spool_file_without_a_name(simple_pdf: Path, pdf_bench: Any) -> None:
    """Intake's spool has no name: the path is that of the open file."""
    data = simple_pdf.read_bytes()
    key = pdf_bench.key()
    with tempfile.TemporaryFile() as spool:
        spool.write(data)
        spool.flush()
        path = Path(f"/proc/self/fd/{spool.fileno()}")
        source = SealSource(spool, path, len(data), hashlib.sha256(data).digest())
        sealer = PadesSealer(key)
        prepared = sealer.prepare(
            source, pdf_bench.material(key), pdf_bench.authority.expected_size, pdf_bench.now
        )
        revision = sealer.complete(prepared, pdf_bench.authority.token(prepared.imprint).der)
        spool.seek(0, 2)
        spool.write(revision.appended)
        spool.flush()
        [signature] = pdf_bench.validate(path)
    assert signature.level == "B-T"
