"""The service gone, its data folder deleted, no network: the files alone prove themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signing.trust import TrustStore
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy

PROBANS = Path(sys.executable).with_name("probans")
# Whatever would reach for a network, a database or another program ends the process at once. A fork is the process
# in which the command judges the file: the watch goes on there, and a file whose judge is ended is not PASSED.
ALONE = """
import os, runpy, socket, sys
def watch(event, arguments):
    family = arguments[1] if event == "socket.__new__" else None
    if family in (socket.AF_INET, socket.AF_INET6) or event in FORBIDDEN:
        os.write(2, f"reached out: {event} {arguments}".encode())
        os._exit(99)
FORBIDDEN = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto",
    "sqlite3.connect", "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec",
}
sys.addaudithook(watch)
program, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(program, run_name="__main__")
"""
TRUST = ("--trust", "trust/roots.pem", "--vkeys", "trust/ledger.vkeys")


@pytest.fixture(scope="module")
def left(demonstration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What remains of the demonstration once its data folder is deleted."""
    folder = Path(shutil.copytree(demonstration, tmp_path_factory.mktemp("left") / "demo"))
    shutil.rmtree(folder / "data")
    return folder


def verdict_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    verdict = json.loads(done.stdout)
    assert verdict["verdict"] == "PASSED"
    return verdict


def run(left: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PROBANS_")}
    return subprocess.run(
        [*command],
        cwd=left,
        env={**environment, "HOME": str(left / "nobody"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check_the_three(left: Path, *launcher: str | Path) -> None:
    before = sorted(left.rglob("*"))
    bundle = verdict_of(run(left, *launcher, PROBANS, "verify", "act.asice", *TRUST, "--json"))
    assert (bundle["status"]["value"], bundle["status"]["source"]) == ("valid", "bundle")
    assert bundle["ledger"]["origin"] == "probans.example/ledger/1"
    verdict_of(run(left, *launcher, PROBANS, "verify", "attachment.asice", *TRUST, "--json"))
    alone = verdict_of(run(left, *launcher, PROBANS, "verify", "act.pdf", *TRUST, "--json"))
    assert (alone["ledger"], alone["status"]["source"]) == (None, "none")
    assert sorted(left.rglob("*")) == before


def test_verify_reaches_out_to_nothing(left: Path) -> None:
    check_the_three(left, sys.executable, "-c", ALONE)


@pytest.mark.parametrize(
    ("how", "code", "said"), [(("--in-process",), 99, "reached out"), ((), 3, "VERIFIER_CRASHED")]
)
def test_the_watch_notices(left: Path, how: tuple[str, ...], code: int, said: str) -> None:
    """With the service's ledger to be asked over HTTP, the same command does reach out, and is seen."""
    done = run(
        *(left, sys.executable, "-c", ALONE, PROBANS, "verify", "act.asice", *TRUST),
        *("--ledger", "http://127.0.0.1:9/ledger", *how),
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)


@pytest.mark.needs("unshare")
def test_verify_in_a_namespace_without_network(left: Path) -> None:
    check_the_three(left, "unshare", "-rn")
    done = run(left, "unshare", "-rn", PROBANS, "verify", "act.pdf", *TRUST)
    assert done.returncode == 0
    assert "PASSED" in done.stdout


def test_our_verifier_agrees_with_the_others_on_everything(service: Any) -> None:
    trust = TrustStore.from_pem(service.roots.read_bytes())
    policy = Policy.from_vkeys(service.vkeys.read_bytes())
    statuses = {"première version.pdf": "superseded", "acte révoqué.pdf": "revoked"}
    for item in service.items:
        given = [item.bundle, *([item.for_third_party] if item.for_third_party else [])]
        given += [item.original] if item.is_sealed_pdf else []
        for path in given:
            verdict = verify_file(path, trust=trust, tsa_trust=None, policy=policy)
            assert verdict.verdict.value == "PASSED", (path, verdict.as_json())
            expected = statuses.get(item.name, "valid") if path.suffix == ".asice" else None
            found = verdict.as_dict()["status"]["value"]
            assert expected in {None, found}, path
