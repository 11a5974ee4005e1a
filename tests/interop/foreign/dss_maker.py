"""Signed files by EU DSS (tools/judges/dss/…/DssSigner.java): every baseline level in PDF, CMS and ASiC."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from tests.interop.foreign.pyhanko_maker import DAY, SIGNING, base_pdf
from tests.judging.conftest import Holder, World

JAR = Path(__file__).resolve().parents[3] / ".cache" / "judges" / "dss.jar"
LEVELS = ("B", "T", "LT", "LTA")


@dataclass(frozen=True)
class Wanted:
    """One file to make.

    Attributes:
        name: of the file.
        steps: (form, level, signer) one after the other, each over what the one before made.
        levels: of the signatures that must be found in it.
        over: what it is about lies beside it.
    """

    name: str
    steps: tuple[tuple[str, str, str], ...]
    levels: tuple[str, ...]
    over: bool = False


def wanted() -> tuple[Wanted, ...]:
    """List what is made."""
    made = []
    for level in LEVELS:
        stamp = ("document timestamp",) if level == "LTA" else ()
        made.append(Wanted(f"pades-{level}.pdf", (("pades", level, "first"),), (f"PAdES-B-{level}", *stamp)))
        for form in ("cades", "cades-attached", "asice", "asics"):
            suffix = "asice" if form.startswith("asic") else "p7m"
            found = (f"CAdES-B-{level}", *(("timestamp",) if (form, level) == ("asice", "LTA") else ()))
            made.append(Wanted(f"{form}-{level}.{suffix}", ((form, level, "first"),), found, form == "cades"))
    for form in ("pades-visible", "pades-certified"):
        made.append(Wanted(f"{form}.pdf", ((form, "T", "first"),), ("PAdES-B-T",)))
    twice = (("pades", "T", "first"), ("pades", "T", "second"))
    made.append(Wanted("pades-two-signers.pdf", twice, ("PAdES-B-T", "PAdES-B-T")))
    twice = (("pades-certified", "B", "first"), ("pades-visible", "LT", "second"))
    # For the first signature, which has no timestamp, the second step adds one over the document.
    levels = ("PAdES-B-LT", "PAdES-B-LT", "document timestamp")
    made.append(Wanted("pades-certified-then-visible.pdf", twice, levels))
    return tuple(made)


class DssMaker:
    """Makes all of `wanted` in one run of a JVM."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        now = datetime.now(UTC)
        (folder / "roots.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
        arguments: list[str | Path] = [
            "--trust",
            folder / "roots.pem",
            "--tsa",
            self._keys("tsa", world.tsa),
        ]
        for name, issuer in (("ca", world.ca), ("root", world.root)):
            path = folder / f"{name}.crl"
            key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
            more = [(key, False), (x509.CRLNumber(1), False)]
            path.write_bytes(world.crl(issuer, start=now - DAY, end=now + DAY, more=more))
            arguments += ["--crl", path]
        named = x509.AuthorityKeyIdentifier.from_issuer_public_key(world.root.key.public_key())
        extensions = [(SIGNING, True), (named, False)]
        # An authority between root and signer would be one more revocation list that this maker finds too old.
        keys = {
            name: self._keys(name, world.build(name.title(), world.root, world.key(), extensions))
            for name in ("first", "second")
        }
        (folder / "base.pdf").write_bytes(base_pdf())
        (folder / "acte.txt").write_bytes(b"un acte\n")
        for item in wanted():
            source = folder / ("base.pdf" if item.name.endswith(".pdf") else "acte.txt")
            for number, (form, level, signer) in enumerate(item.steps, 1):
                target = folder / (item.name if number == len(item.steps) else f"{number}-{item.name}")
                arguments += ["--sign", form, level, keys[signer], source, target]
                source = target
        command = ["java", "-cp", JAR, "DssSigner", *arguments]
        subprocess.run(command, check=True, timeout=300, capture_output=True)

    def _keys(self, name: str, holder: Holder) -> Path:
        path = self.folder / f"{name}.p12"
        protection = BestAvailableEncryption(b"password")
        path.write_bytes(
            serialize_key_and_certificates(name.encode(), holder.key, holder.certificate, None, protection)
        )
        return path
