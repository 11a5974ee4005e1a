"""Two hundred made PDFs take the seal: our own reader, the quick check, qpdf; every judge in tests/interop."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from signing.base import KeyPurpose
from signing.own_pdf import check_own_pdf
from signing.pdf_signatures import pdf_signatures
from signing.validate import validate_pdf_signature
from tests.pdf.made_pdfs import COUNT, made_pdfs
from timestamping.own_tokens import OwnTokenVerifier

PARTS = 4


def pages(data: bytes) -> list[bytes]:
    """What each page shows, as qpdf reads it: contents, boxes, rotation."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert pdf.get_warnings() == []
        return [_shown(page) for page in pdf.pages]


def _shown(page: pikepdf.Page) -> bytes:
    contents = page.obj.get("/Contents", pikepdf.Array([]))
    parts = contents if isinstance(contents, pikepdf.Array) else [contents]
    octets = b"".join(part.read_bytes() for part in parts)
    values = (page.mediabox, page.cropbox, page.obj.get("/Rotate"), page.obj.get("/UserUnit"))
    return octets + repr([str(value) for value in values]).encode()


@pytest.mark.parametrize("part", range(PARTS))
def test_each_takes_the_seal_and_shows_the_same(part: int, pdf_bench: Any, tmp_path: Path) -> None:
    tokens = OwnTokenVerifier(pdf_bench.trust)
    names = list(made_pdfs())
    assert len(names) == COUNT
    for index, name in enumerate(names[part::PARTS]):
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(made_pdfs()[name])
        sealed = pdf_bench.seal(path, "rsa-pss" if index % 10 == 0 else "p256", state=True)
        data = sealed.read_bytes()
        assert pages(data) == pages(made_pdfs()[name]), name
        [signature] = pdf_signatures(sealed)
        full = validate_pdf_signature(signature, pdf_bench.trust, pdf_bench.timestamps, now=pdf_bench.now)
        quick = check_own_pdf(sealed, pdf_bench.trust, tokens, frozenset({KeyPurpose.ACT_SEAL}))
        assert (full.level, full.certification) == ("B-T", 1), name
        assert quick == full, name
        sealed.unlink()
