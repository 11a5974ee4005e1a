"""What other verifiers say of the files that the attack generator makes: EU DSS, strict, and pyHanko, used plainly.

python -m tests.interop.foreign.peers: records on which files somebody disagrees with us, and writes the table of
docs/interop.md anew. It must be read before it is committed: who is right is said there by family.
"""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko_certvalidator import ValidationContext

from signing.trust import TrustStore
from tests.attacks.signed.generator import ATTACKS, Bench, Made
from tests.interop.foreign.corpus import DATA, PAGE
from tests.judging.conftest import World
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file

JAR = Path(__file__).resolve().parents[3] / ".cache" / "judges" / "dss.jar"
# Those whose verdict hangs on the time of asking, or on what is given beside the file, are left to us.
LEFT_OUT = {"time", "revocation", "records", "paths"}


@dataclass(frozen=True)
class Opinion:
    """Who accepts a file; None: was not asked."""

    ours: bool
    dss: bool | None
    pyhanko: bool | None

    @property
    def agreed(self) -> bool:
        return all(item in {None, self.ours} for item in (self.dss, self.pyhanko))


def opinions(folder: Path) -> dict[str, Opinion]:
    """Ask everybody about every file; returns by "family/name"."""
    bench = Bench(World())
    world, now = bench.world, datetime.now(UTC)
    trust = TrustStore([world.root.certificate])
    root = folder / "root.pem"
    root.write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    arguments: list[str] = ["--trust", str(root)]
    for name, issuer in (("ca", world.ca), ("root", world.root)):
        path = folder / f"{name}.crl"
        path.write_bytes(world.crl(issuer, start=now - timedelta(hours=1), end=now + timedelta(days=1)))
        arguments += ["--crl", str(path)]
    files: dict[str, Path] = {}
    ours: dict[str, bool] = {}
    for attack in ATTACKS:
        made = attack.make(bench)
        made = made if isinstance(made, Made) else Made(made)
        head = made.data.lstrip()[:4]
        if attack.family in LEFT_OUT or made.over or made.options or head not in {b"%PDF", b"PK\x03\x04"}:
            continue
        name = f"{attack.family}/{attack.name}"
        files[name] = folder / f"{len(files)}{'.pdf' if head == b'%PDF' else '.asice'}"
        files[name].write_bytes(made.data)
        ours[name] = verify_file(files[name], trust=trust, at=made.at).verdict is Outcome.PASSED
    dss = _dss([*arguments, *map(str, files.values())]) if JAR.is_file() else {}
    return {
        name: Opinion(
            ours[name], dss.get(str(path)), _pyhanko(path, world) if path.suffix == ".pdf" else None
        )
        for name, path in files.items()
    }


def _dss(arguments: list[str]) -> Mapping[str, bool]:
    command = ["java", "-jar", str(JAR), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        verdict["file"]: bool(verdict["signatures"] or verdict["timestamps"])
        and all(item["indication"] == "TOTAL_PASSED" for item in verdict["signatures"])
        and all(
            stamp["indication"] == "PASSED" for item in verdict["signatures"] for stamp in item["timestamps"]
        )
        and all(item["indication"] == "PASSED" for item in verdict["timestamps"])
        for verdict in verdicts
    }


def _pyhanko(path: Path, world: World) -> bool:
    """Validate every signature as the documentation shows; an exception refuses the file."""
    root = asn1_x509.Certificate.load(world.root.certificate.public_bytes(Encoding.DER))

    def context() -> ValidationContext:
        return ValidationContext(trust_roots=[root], allow_fetching=False)

    try:
        reader = PdfFileReader(io.BytesIO(path.read_bytes()))
        stamps = [validate_pdf_timestamp(item, context()) for item in reader.embedded_timestamp_signatures]
        signatures = reader.embedded_regular_signatures
        return (
            bool(signatures)
            and all(validate_pdf_signature(item, context()).bottom_line for item in signatures)
            and all(stamp.valid and stamp.intact and stamp.trusted for stamp in stamps)
        )
    except Exception:
        return False


# Why, for each family and answer of ours; a file's own words come first.
WHY = {
    "allowed": "We: nothing but what the signature allows came after it.",
    "cms": "We: ETSI EN 319 142-1 and 319 122-1 ask for one signer in a PDF, content-type id-data and the attribute "
    "that names the signer's certificate; without it another certificate for the same key can be put in its place.",
    "containers": "We: two programs unpack two things, or a name means another place.",
    "coverage": "We: octets of the signed revision are not under the signature.",
    "forgery": "We: Contents holds one value; what stands behind it is signed by nobody and read by some.",
    "forms": "We: a field's widget, name, type or actions are no form filling, and what a signature covers with its "
    "appearance was there to be read.",
    "objects": "We: another reader, which searches for objects or follows the other table, shows another document.",
    "permissions": "We: the signature forbids it, or what was added can hide what was signed.",
    "roles": "We: the certificate's own usages say that it is for something else (we: INDETERMINATE).",
    "shadow": "We: what is shown, or what is done when it is opened, is not what was signed.",
    "signatures": "We: one of the signatures cannot be read, and that is said.",
    "tail": "We: octets behind the last revision are under no signature.",
    "timestamps": "We: what claims to prove the time proves nothing of this file.",
}
WORDS = {True: "accepts", False: "refuses", None: "-"}
RECORDED = DATA / "disagreements.tsv"
BEGIN, END = "<!-- disagreements: begin -->", "<!-- disagreements: end -->"


def recorded() -> dict[str, tuple[str, str, str]]:
    """Read the disagreements that are known: ours, DSS's and pyHanko's answers by file."""
    lines = RECORDED.read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return {name: (ours, dss, pyhanko) for name, ours, dss, pyhanko in rows}


def disagreements(found: Mapping[str, Opinion]) -> dict[str, tuple[str, str, str]]:
    """Keep the files on which somebody disagrees with us."""
    return {
        name: (WORDS[item.ours], WORDS[item.dss], WORDS[item.pyhanko])
        for name, item in found.items()
        if not item.agreed
    }


def table() -> str:
    """Return the table of docs/interop.md: files of one family with the same answers together."""
    groups: dict[tuple[str, tuple[str, str, str]], list[str]] = {}
    for name, answers in recorded().items():
        family, _, short = name.partition("/")
        groups.setdefault((family, answers), []).append(short)
    lines = ["| files | we | DSS strict | pyHanko | who is right |", "|---|---|---|---|---|"]
    for (family, answers), names in sorted(groups.items()):
        lines.append(f"| {family}: {', '.join(names)} | {' | '.join(answers)} | {WHY[family]} |")
    return "\n".join(lines)


def quiet() -> None:
    """Keep pyHanko's words off the terminal."""
    warnings.simplefilter("ignore")
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)


def main() -> int:
    """Record the disagreements, and write them into docs/interop.md."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        found = opinions(Path(folder))
    rows = ("\t".join((name, *answers)) for name, answers in disagreements(found).items())
    RECORDED.write_text("\n".join(("file\tours\tdss\tpyhanko", *rows)) + "\n", encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
