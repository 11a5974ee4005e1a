"""Independent programs as callables; a test that uses one carries `needs(name)` of the same name."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from signing.base import Revision, Sealer, SealSource
from signing.cades import MANIFEST_NAME, SIGNATURE_NAME, CadesSealer
from signing.dev_pki import DevPki
from signing.errors import ReserveExceeded
from signing.keys import SealKey
from signing.pades import PadesSealer
from signing.revocation import RevocationSource
from signing.strict_zip import Member, generate
from timestamping.authority import EmbeddedAuthority
from vault.clock import SystemClock

JUDGES = Path(__file__).resolve().parents[2] / ".cache" / "judges"


class DssJudge(Protocol):
    """Asks EU DSS about files; one JVM for all of them.

    `tokens` are bare RFC 3161 TimeStampTokens; `detached` is the content of every signature and token of the
    call, or the list of what each token is over; `crls` (DER) serve the tokens, which carry no revocation data
    of their own. One verdict a file, files first, in order; their members are described in tools/judges/dss.
    """

    def __call__(
        self,
        files: Sequence[Path],
        trust: Path,
        detached: Path | Sequence[Path] | None = None,
        tokens: Sequence[Path] = (),
        crls: Sequence[Path] = (),
    ) -> list[dict[str, Any]]: ...


class VeraJudge(Protocol):
    """Asks veraPDF about files: one verdict a file and flavour, files outermost."""

    def __call__(
        self, files: Sequence[Path], flavours: Sequence[str] = ("2a", "ua1")
    ) -> list[dict[str, Any]]: ...


class Run(Protocol):
    """Runs a program with its time limited and gives what it said, whatever its exit code."""

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]: ...


class PdfSig(Protocol):
    """Poppler's opinion of each signature of a PDF, without any trusted root."""

    def __call__(self, pdf: Path) -> list[dict[str, Any]]: ...


class Bench:
    """The development PKI with its timestamp authority, and seals made with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = DevPki.open(folder / "keys", datetime.now(UTC))
        unit = self.pki.timestamp
        self.authority = EmbeddedAuthority(
            unit, [unit.certificate, *unit.chain], "1.3.6.1.4.1.99999.1", SystemClock()
        )
        self.revocation = RevocationSource(self.pki.crls, self.pki.roots())
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(self.pki.roots_pem())
        self.crls = [folder / "root.crl", folder / "authority.crl"]
        for path, crl in zip(self.crls, self.pki.crls(datetime.now(UTC)), strict=True):
            path.write_bytes(crl)

    def act_seal(self, algorithm: str = "p256") -> SealKey:
        return self.pki.act_seal("commune-1", "Commune de Saint-Aurèle-des-Étangs", algorithm=algorithm)

    def _seal(self, sealer: Sealer, key: SealKey, source: SealSource) -> Revision:
        now = datetime.now(UTC)
        material = self.revocation.material([[key.certificate, *key.chain], self.authority.chain()], now)
        reserve = self.authority.expected_size
        for _ in range(5):
            prepared = sealer.prepare(source, material, reserve, now)
            try:
                return sealer.complete(prepared, self.authority.token(prepared.imprint).der)
            except ReserveExceeded as error:
                reserve = error.needed
        pytest.fail("no token fitted")

    def seal_pdf(self, pdf: Path, algorithm: str = "p256") -> Path:
        """Seal a PDF; the sealed file lies beside it."""
        content = pdf.read_bytes()
        key = self.act_seal(algorithm)
        with pdf.open("rb") as stream:
            source = SealSource(stream, pdf, len(content), hashlib.sha256(content).digest())
            revision = self._seal(PadesSealer(key), key, source)
        sealed = pdf.with_name(f"{pdf.stem}-{algorithm}-sealed.pdf")
        sealed.write_bytes(content + revision.appended)
        return sealed

    def seal_file(self, file: Path, media_type: str, key: SealKey) -> tuple[Path, Revision]:
        """Seal any file beside itself; returns an ASiC-E container of the two and the seal."""
        content = file.read_bytes()
        with file.open("rb") as stream:
            source = SealSource(
                stream,
                file,
                len(content),
                hashlib.sha256(content).digest(),
                name=file.name,
                media_type=media_type,
            )
            revision = self._seal(CadesSealer(key), key, source)
        container = file.with_name(file.name + ".asice")
        members = [
            Member.of_bytes(f"document/{file.name}", content),
            Member.of_bytes(MANIFEST_NAME, revision.manifest),
            Member.of_bytes(SIGNATURE_NAME, revision.signature),
        ]
        container.write_bytes(b"".join(generate(members)))
        return container, revision


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One PKI and authority for all interoperability tests."""
    return Bench(tmp_path_factory.mktemp("bench"))


def _run(*command: str | Path, limit: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=limit,
        check=False,
    )


def _judge(jar: str, arguments: Iterable[str | Path]) -> list[dict[str, Any]]:
    done = _run("java", "-XX:TieredStopAtLevel=1", "-jar", JUDGES / jar, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def dss() -> DssJudge:
    """EU DSS 6.4, strict policy, revocation wanted, nothing fetched."""

    def ask(
        files: Sequence[Path],
        trust: Path,
        detached: Path | Sequence[Path] | None = None,
        tokens: Sequence[Path] = (),
        crls: Sequence[Path] = (),
    ) -> list[dict[str, Any]]:
        arguments: list[str | Path] = ["--trust", trust]
        arguments += ["--detached", detached] if isinstance(detached, Path) else []
        arguments += files
        # What the judge is told holds for what comes after it.
        arguments += [part for crl in crls for part in ("--crl", crl)]
        contents = [None] * len(tokens) if detached is None or isinstance(detached, Path) else detached
        for token, content in zip(tokens, contents, strict=True):
            arguments += [*(["--detached", content] if content else []), "--timestamp", token]
        verdicts = _judge("dss.jar", arguments)
        assert len(verdicts) == len(files) + len(tokens)
        return verdicts

    return ask


@pytest.fixture(scope="session")
def verapdf() -> VeraJudge:
    """veraPDF, always for the flavours asked, never for those a file claims."""

    def ask(files: Sequence[Path], flavours: Sequence[str] = ("2a", "ua1")) -> list[dict[str, Any]]:
        verdicts = _judge(
            "verapdf.jar", [*(part for each in flavours for part in ("--flavour", each)), *files]
        )
        assert len(verdicts) == len(files) * len(flavours)
        return verdicts

    return ask


@pytest.fixture(scope="session")
def pdfsig() -> PdfSig:
    """Poppler: a list of {"valid", "whole_document", "signer", "said"}, one for each signature."""

    def ask(pdf: Path) -> list[dict[str, Any]]:
        # -nocert: the roots here are in no system store; DSS judges chains.
        said = _run("pdfsig", "-nocert", pdf).stdout
        found = []
        for part in re.split(r"^Signature #\d+:$", said, flags=re.MULTILINE)[1:]:
            signer = re.search(r"Signer Certificate Common Name: (.*)", part)
            found.append(
                {
                    "valid": "Signature Validation: Signature is Valid." in part,
                    "whole_document": "Total document signed" in part
                    and "Not total document signed" not in part,
                    "signer": signer[1] if signer else "",
                    "said": part,
                }
            )
        return found

    return ask


@pytest.fixture(scope="session")
def qpdf_check() -> Run:
    """`qpdf --check` with warnings counted as failures: exit 0 means no complaint at all."""
    return lambda *arguments: _run("qpdf", "--check", *arguments)


@pytest.fixture(scope="session")
def openssl() -> Run:
    """`openssl` with the given arguments."""
    return lambda *arguments: _run("openssl", *arguments)
