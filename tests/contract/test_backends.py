"""Each contract is tried on every backend that is claimed for it, and no test of it is ever passed over."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CLAIMED = {
    "object_store": {"filesystem", "memory", "versitygw", "pair"},
    "log_store": {"filesystem", "memory", "versitygw", "pair"},
    "record_store": {"filesystem", "memory", "versitygw", "pair"},
    "key_wrapper": {"file", "memory", "softhsm2"},
    "database": {"sqlite", "postgresql"},
    "signer": {"pkcs12", "softhsm2", "csc"},
    "timestamp": {"embedded", "another", "openssl", "several"},
}
_LINE = re.compile(r"tests/contract/test_(\w+)_contract\.py::(\w+)\[(.+)\]$")


@pytest.mark.needs("postgresql")
@pytest.mark.needs("versitygw")
@pytest.mark.needs("softhsm2")
@pytest.mark.needs("openssl")
def test_every_suite_runs_on_every_backend() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "tests/contract"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for line in listed.stdout.splitlines():
        if match := _LINE.match(line):
            contract, test, given = match.groups()
            for name in CLAIMED[contract] & set(re.split(r"[-]", given)):
                found[contract][name].add(test)
    assert {contract: set(tried) for contract, tried in found.items()} == CLAIMED
    for contract, tried in found.items():
        # What one backend is tried on, each of them is: a test of its own for one is not of the contract.
        common = set.intersection(*tried.values())
        assert common
        assert len(common) * 2 > len(set.union(*tried.values())), (contract, tried)


def test_nothing_skips() -> None:
    skips = re.compile(r"pytest\.skip\(|mark\.skip|mark\.xfail|unittest\.skip|importorskip")
    found = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in (REPOSITORY / "tests").rglob("*.py")
        if path != Path(__file__)
        for line in path.read_text(encoding="utf-8").splitlines()
        if skips.search(line)
    ]
    assert found == []
