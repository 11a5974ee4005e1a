"""A whole safe goes out in one archive: memory does not grow with it, and every bundle inside proves its document."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from signing.trust import TrustStore
from tests.e2e.conftest import Plan
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy

pytestmark = pytest.mark.timeout(3600)

MIB = 1 << 20
EXPORT = """
import json, pathlib, random, sys, time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from vault.bootstrap import open_vault
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.settings import Settings

def status(name):
    (line,) = (line for line in open("/proc/self/status") if line.startswith(name + ":"))
    return int(line.split()[1]) << 10

data, seed, *counts = sys.argv[1:]
vault = open_vault(Settings(data=pathlib.Path(data), publish_interval=0.05))
camille = replace(vault.personas.named("camille").actor, authenticated_at=datetime.now(UTC))

def deposit(number):
    content = random.Random(f"{seed}/{number}").randbytes(20_000 + 400 * (number % 500))
    new = NewDocument("camille", f"Pièce {number}", f"pièce-{number}.bin")
    vault.submissions.deposit(camille, new, iter((content,)), Transfer(f"d{number}"))

def export(key, path):
    camille = replace(vault.personas.named("camille").actor, authenticated_at=datetime.now(UTC))
    exports = vault.people.rights.exports
    asked = exports.ask(camille, camille.safe_id, key).document_id
    begun, size = time.monotonic(), 0
    with open(path, "wb") as file:
        for chunk in exports.archive(camille, asked).chunks:
            size += file.write(chunk)
    return size, time.monotonic() - begun

made = 0
for count in map(int, counts):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deposit, range(made, count)))
    made = count
    path = data + f"-{count}.zip"
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    size, seconds = export(f"e{count}", path)
    print(json.dumps({"count": count, "size": size, "seconds": seconds, "peak": status("VmHWM"), "before": before,
                      "path": path}), flush=True)
pathlib.Path(data + ".vkeys").write_text(vault.trust.vkeys_text)
vault.close()
"""


@dataclass(frozen=True)
class Exported:
    """What the child said of one export: octets and seconds; memory in octets."""

    count: int
    size: int
    seconds: float
    peak: int
    before: int
    path: str


def exported(folder: Path, seed: int, *counts: int) -> list[Exported]:
    script = folder / "export.py"
    script.write_text(EXPORT)
    data = folder / "data"
    command = [sys.executable, str(script), str(data), str(seed), *map(str, counts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Exported(**json.loads(line)) for line in done.stdout.splitlines()]


def proven(folder: Path, path: Path, scratch: Path) -> int:
    """Verify every bundle of an archive; return how many there are."""
    trust = TrustStore.from_pem((folder / "data/keys/pki/roots.pem").read_bytes())
    policy = Policy.from_vkeys((folder / "data.vkeys").read_text())
    count = 0
    with zipfile.ZipFile(path) as archive:
        index = json.loads(archive.read("index.json"))
        assert index["missing"] == []
        digests = {each["file"]: each["sha256"] for each in index["files"]}
        assert [*digests, "index.json"] == archive.namelist()
        for name in archive.namelist():
            if name == "index.json":
                continue
            data = archive.read(name)  # with its CRC
            assert hashlib.sha256(data).hexdigest() == digests[name]
            if name.endswith("/dossier-de-preuve.asice"):
                scratch.write_bytes(data)
                verdict = verify_file(scratch, trust=trust, tsa_trust=None, policy=policy)
                assert verdict.verdict is Outcome.PASSED, (name, verdict.reasons)
                count += 1
    return count


def through(folder: Path, seed: int, small: int, large: int, figure: Callable[[str], None]) -> None:
    few, many = exported(folder, seed, small, large)
    grown = [each.peak - each.before for each in (few, many)]
    verified = proven(folder, Path(many.path), folder / "bundle.asice")
    assert verified == many.count
    figure(
        f"{large} documents, {many.size / MIB:.0f} MiB in {many.seconds:.1f} s, all {verified} bundles verified; "
        f"memory grew {grown[0] / MIB:.1f} MiB for {small} documents ({few.size / MIB:.0f} MiB, {few.seconds:.1f} s), "
        f"{grown[1] / MIB:.1f} MiB for {large}"
    )
    assert many.size > 8 * few.size
    # The first export loads what every later one has.
    assert max(grown) < 32 * MIB
    assert many.peak < few.peak + 32 * MIB


def test_a_whole_safe(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    through(tmp_path, plan.seed, 8, 72, figure)


@pytest.mark.soak("export")
def test_five_hundred_documents(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    through(tmp_path, plan.seed, 50, plan.count or 500, figure)
