"""Documents of the heavy suites, each made from its number, so that any process can make it again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vault.domain.documents import NewDocument

# Stands in titles, file names, case references and contents; must never lie in clear on a disk.
CANARY = "QXZ-canari-7f3a9"
ADMINISTRATION = "mairie-specimen"
AGENT = "agent-etat-civil"
HOLDER = "camille"
OPERATOR = "exploitant"
PURPOSE = "instruction"
_PDFS = Path(__file__).resolve().parents[2] / "data" / "pdf-real"
_SMALL = ("024-annotated_pdf.pdf", "020-output_with_metadata_pymupdf.pdf", "008-inline-image.pdf")


@dataclass(frozen=True, slots=True)
class Sample:
    """One document.

    Attributes:
        number: makes key, texts and content different from all others.
        is_act: a PDF act, else an attachment of text.
        supersedes: act that it replaces, if any.
    """

    number: int
    is_act: bool
    supersedes: str | None = None

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"sample-{'act' if self.is_act else 'attachment'}-{self.number}"

    @property
    def file_name(self) -> str:
        """Its file name."""
        return f"{CANARY} n° {self.number}.{'pdf' if self.is_act else 'txt'}"

    @property
    def title(self) -> str:
        """Its title."""
        return f"Pièce {CANARY} n° {self.number}"

    @property
    def case(self) -> str:
        """Its case reference."""
        return f"{CANARY}-{self.number}"

    def content(self) -> bytes:
        """Return its octets."""
        if self.is_act:
            return _pdf(_SMALL[self.number % len(_SMALL)])
        filler = random.Random(self.number).randbytes(700 + 131 * (self.number % 40)).hex()
        return f"{CANARY} n° {self.number}\n{filler}\n{CANARY}\n".encode()

    def description(self) -> NewDocument:
        """Return what its sender says about it."""
        return NewDocument(
            holder=HOLDER,
            title=self.title,
            file_name=self.file_name,
            document_type="attestation" if self.is_act else "",
            case=self.case,
            language="fr",
            supersedes=self.supersedes,
        )


@cache
def _pdf(name: str) -> bytes:
    return (_PDFS / name).read_bytes()
