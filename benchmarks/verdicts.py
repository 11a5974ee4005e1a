"""Verdicts on files of other makers, beside pyHanko used plainly and EU DSS on the same files in the same run."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from benchmarks.figures import Figure
from benchmarks.peers.signed_files import Maker, read
from signing.trust import TrustStore
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file
from vault.verification.pool import TemplatePool
from vault.verification.question import Question, pem_of

DSS = Path(__file__).resolve().parents[1] / ".cache" / "judges" / "dss.jar"
REVISIONS = (1, 4, 16)
_WARM_UP, _MEASURED = 40, 60  # files that DSS judges in one JVM


def run(pages: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure verdicts.

    One page signed once (PAdES B-B, P-256, one authority between signer and root): with a trust store that has
    never seen the signer's authority, with one that has, and through the processes in which a service judges. Then
    a large document with 1, 4 and 16 signatures, each a revision.

    Args:
        pages: of the large document.
        seconds: length of each measurement.
        runs: repetitions, each in turn with its baselines.
    """
    maker = Maker()
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        folder = Path(place)
        yield from _one_page(maker, folder, seconds, runs)
        yield from _large(maker, folder, pages, runs)


def _one_page(maker: Maker, folder: Path, seconds: float, runs: int) -> Iterator[Figure]:
    path = maker.signed(folder / "page.pdf", 1, 1)
    known = TrustStore([maker.root])
    cold = Figure("verdicts: one page signed once, authority not seen before", "ms")
    warm = Figure("verdicts: one page signed once, authority seen before", "ms")
    pooled = Figure("verdicts: the same, in a process of its own", "ms")
    with TemplatePool(lambda: Question(pem_of([maker.root]))) as pool:
        pool.start()
        pool.judge(path)
        for _ in range(runs):
            cold.runs.append(_each(lambda: ours(path, TrustStore([maker.root])), seconds))
            warm.runs.append(_each(lambda: ours(path, known), seconds))
            pooled.runs.append(_each(lambda: pool.judge(path), seconds))
            plain = _each(lambda: pyhanko(path, maker), seconds)
            dss = _dss(path, maker, folder)
            for figure in (cold, warm, pooled):
                figure.beside("pyHanko used plainly", plain)
                if dss is not None:
                    figure.beside("EU DSS, its JVM warm", dss)
    yield from (cold, warm, pooled)


def _large(maker: Maker, folder: Path, pages: int, runs: int) -> Iterator[Figure]:
    known = TrustStore([maker.root])
    for count in REVISIONS:
        path = maker.signed(folder / f"{count}.pdf", pages, count)
        figure = Figure(f"verdicts: {pages} pages, {count} signature{'s' * (count > 1)}", "ms")
        for _ in range(runs):
            figure.runs.append(_each(lambda path=path: ours(path, known), 0.0))  # type: ignore[misc]
            figure.beside("pyHanko used plainly", _each(lambda path=path: pyhanko(path, maker), 0.0))  # type: ignore[misc]
        yield figure


def ours(path: Path, trust: TrustStore) -> None:
    """Judge a file in this process; it must be PASSED."""
    verdict = verify_file(path, trust=trust)
    if verdict.verdict is not Outcome.PASSED:
        raise AssertionError(verdict.reasons)


def pyhanko(path: Path, maker: Maker) -> None:
    """Validate each signature as pyHanko's documentation shows, nothing fetched."""
    with path.open("rb") as stream:
        for signature in PdfFileReader(stream).embedded_signatures:
            context = ValidationContext(trust_roots=[read(maker.root)], allow_fetching=False)
            if not validate_pdf_signature(signature, context).bottom_line:
                raise AssertionError("pyHanko refuses the file")


def _dss(path: Path, maker: Maker, folder: Path) -> float | None:
    """Return milliseconds a file in a JVM that judged others before; None where DSS is not installed."""
    if not DSS.is_file() or shutil.which("java") is None:
        return None
    roots = folder / "roots.pem"
    roots.write_bytes(maker.root.public_bytes(Encoding.PEM))

    def judged(count: int) -> float:
        begun = time.perf_counter()
        command = ["java", "-jar", str(DSS), "--trust", str(roots), *[str(path)] * count]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return time.perf_counter() - begun

    first = judged(_WARM_UP)
    return (judged(_WARM_UP + _MEASURED) - first) / _MEASURED * 1000


def _each(work: Callable[[], object], seconds: float) -> float:
    """Return milliseconds that doing something takes, over at least one time."""
    count, begun = 0, time.perf_counter()
    while True:
        work()
        count += 1
        now = time.perf_counter()
        if now >= begun + seconds:
            return (now - begun) / count * 1000
