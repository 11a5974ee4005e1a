"""The commands that README gives for proving a document offline are run as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
README = (ROOT / "README.md").read_text("utf-8")
SECTION = README.partition("## Prove it yourself, offline")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where `make demo` ran, and then lost the safe itself."""
    folder = tmp_path_factory.mktemp("readme")
    subprocess.run(
        [BIN / "probans", "demo", "--out", "demo", "--no-serve"], cwd=folder, check=True, capture_output=True
    )
    shutil.copytree(folder / "demo/data/ledger", folder / "ledger")
    shutil.rmtree(folder / "demo/data")
    return folder


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = command.replace(".venv/bin/", f"{BIN}/")
    return subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)


def test_every_verify_line_ends_in_passed(folder: Path) -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) == 3
    for line in lines:
        done = run(line, folder)
        assert done.returncode == 0, done.stdout + done.stderr
        verdict = json.loads(done.stdout)["verdict"] if "--json" in line else done.stdout.split("\n\n")[1][:6]
        assert verdict == "PASSED"


def test_without_trust_files_nothing_passes(folder: Path) -> None:
    assert run(".venv/bin/probans verify demo/act.asice", folder).returncode == 3


@pytest.mark.needs("unzip")
@pytest.mark.needs("openssl")
def test_by_hand_with_unzip_and_openssl(folder: Path) -> None:
    done = run(BLOCKS[1], folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("unzip")
@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    "damage",
    [
        "sed -i s/naissance/Naissance/ bundle/ledger/entries/*.opening.json",
        "printf x >> bundle/ledger/entries/1.json",
        "dd if=/dev/zero of=bundle/document/acte-de-naissance.pdf bs=1 seek=3000 count=8 conv=notrunc",
    ],
)
def test_by_hand_damage_is_noticed(folder: Path, damage: str) -> None:
    shutil.rmtree(folder / "bundle", ignore_errors=True)
    unzip, rest = BLOCKS[1].split("\n", 1)
    done = run(f"{unzip}\n{damage}\n{rest}", folder)
    shutil.rmtree(folder / "bundle")
    assert done.returncode != 0, done.stdout + done.stderr


def test_status_and_audit_from_a_copied_ledger(folder: Path) -> None:
    trust = "--trust demo/trust/roots.pem --vkeys demo/trust/ledger.vkeys"
    done = run(f".venv/bin/probans verify demo/act.asice {trust} --ledger ledger --json", folder)
    assert json.loads(done.stdout)["status"]["source"] == "ledger"
    assert run(".venv/bin/probans audit ledger --vkeys demo/trust/ledger.vkeys", folder).returncode == 0
