"""Bundles in the hands of a stranger: any unzip opens them, and what LISEZMOI.txt says works as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.needs("openssl"), pytest.mark.needs("unzip")]
# name, seal key, for a third party: a chain of statuses, both kinds of seal, odd names.
BY_HAND = (
    ("première version.pdf", "p256", False),
    ("acte révoqué.pdf", "rsa-pss", True),
    ("arrêté déjà signé.pdf", "p256", True),
    ("déclaration.xml", "rsa-pss", False),
    ("-option $(date).xml", "p256", False),
)
# All but `mimetype`, which proves nothing, and the text that is followed.
EACH_KIND = (
    *("document/*", "META-INF/*.xml", "META-INF/*.p7s", "certificates/*", "revocation/*", "evidence.json"),
    *("ledger/entries/*[0-9].json", "ledger/entries/*.opening.json", "ledger/entries/*.tlog-proof"),
    "LISEZMOI.txt",
)
MARK = "ÉCHEC / FAILED"


def test_unzip_and_python_read_every_bundle(service: Any, unpacked: dict[Path, Path]) -> None:
    for bundle, folder in unpacked.items():
        done = subprocess.run(["unzip", "-tq", bundle], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), bundle
        assert "No errors detected" in done.stdout
        with zipfile.ZipFile(bundle) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert {
                path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
            } == set(names)
            assert names[0] == "mimetype"
            assert archive.read("mimetype") == b"application/vnd.etsi.asic-e+zip"
            for name in names:
                assert archive.read(name) == (folder / name).read_bytes()


def test_names_with_accents_come_out_right(service: Any, unpacked: dict[Path, Path]) -> None:
    for item in service.items:
        (document,) = (unpacked[item.bundle] / "document").iterdir()
        assert document.name == item.original.name == unicodedata.normalize("NFC", item.name)
        assert document.read_bytes() == item.original.read_bytes()
    assert any(ord(letter) > 0x3000 for item in service.items for letter in item.name)


def follow(folder: Path, text: str, service: Any, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Do what the text says: the two variables, then its line that runs everything at once."""
    (line,) = re.findall(
        r"  (sed -n 's/\^    //p' .* bash \.\./\S+)$", (folder / text).read_text(), re.MULTILINE
    )
    environment = {**os.environ, "ROOTS": str(service.roots), "VKEYS": str(service.vkeys), "LC_ALL": "C"}
    environment["TMPDIR"] = str(tmp_path)
    return subprocess.run(
        ["bash", "-c", line.replace("../", f"{tmp_path}/")],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
        encoding="utf-8",
    )


@pytest.mark.parametrize(("name", "algorithm", "third_party"), BY_HAND)
def test_the_instructions_work_as_written(
    name: str, algorithm: str, third_party: bool, service: Any, unpacked: dict[Path, Path], tmp_path: Path
) -> None:
    item = service.one(name, algorithm)
    folder = unpacked[item.for_third_party if third_party else item.bundle]
    done = follow(folder, "LISEZMOI.txt", service, tmp_path)
    assert (done.returncode, MARK in done.stderr) == (0, False), done.stderr
    assert done.stdout.splitlines()[-1] == "TOUT EST EN ORDRE / ALL IS WELL"
    assert done.stderr.count("CMS Verification successful") == 2
    assert done.stdout.count("Verification: OK") == 2
    entries = len(list(folder.glob("ledger/entries/*.tlog-proof")))
    assert entries == (
        1 if name in {"déclaration.xml", "arrêté déjà signé.pdf", "-option $(date).xml"} else 2
    )
    assert done.stdout.count("Signature Verified Successfully") == entries
    assert [path.name for path in tmp_path.iterdir()] == ["controle.sh"]


def changed(path: Path) -> bytes:
    """One bit of a file that its proof rests on."""
    good = path.read_bytes()
    # The end of a seal is its timestamp's signature; of a receipt, the last hash comes before the blank line.
    at = {".p7s": len(good) - 1, ".tlog-proof": good.find(b"\n\n") - 8}.get(path.suffix, len(good) // 2)
    return good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]


def test_who_only_reads_the_screen_sees_every_change(
    service: Any, unpacked: dict[Path, Path], tmp_path: Path
) -> None:
    """Without `set -e`: a check that fails inside a loop must not go by in silence."""
    folder = unpacked[service.one("première version.pdf").bundle]
    for pattern in EACH_KIND:
        path = max(folder.glob(pattern))
        good = path.read_bytes()
        path.write_bytes(changed(path))
        done = follow(folder, "README.txt", service, tmp_path)
        path.write_bytes(good)
        assert (done.returncode != 0, MARK in done.stderr) == (True, True), path
        assert done.stdout.splitlines()[-1] == MARK, path
    extra = folder / "ledger" / "extra.json"
    extra.write_bytes(b"{}")
    done = follow(folder, "README.txt", service, tmp_path)
    extra.unlink()
    assert done.stdout.splitlines()[-1] == MARK
