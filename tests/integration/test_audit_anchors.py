"""Anchors of a running safe under audit: as published, as listed, and by the command."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from timestamping.verify import Rfc3161Verifier
from vault.bootstrap import open_parts, open_vault, timestamp_trust
from vault.cli.main import build
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.ledger.anchor_audit import audit_anchors
from vault.ledger.audit import StoreFiles
from vault.maintenance.new_generation import begin_generation
from vault.service import Vault
from vault.settings import Settings


def grow(vault: Vault, deposit: Callable[..., Outcome], keys: str) -> list[int]:
    """Submit files, each with an anchor after it; return their sizes."""
    sizes = []
    for key in keys:
        outcome = deposit(key, f"<{key}/>".encode())
        assert vault.publisher.wait(outcome.seq + 1, 5.0)
        sizes.append(vault.anchoring.anchor(force=True))
    return [size for size in sizes if size is not None]


@contextmanager
def served(vault: Vault) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(vault), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/ledger"
        server.should_exit = True
        thread.join()


def audit(*arguments: object) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(build(), ["audit", *(str(word) for word in arguments), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_anchors_of_a_safe(vault: Vault, deposit: Callable[..., Outcome], tmp_path: Path) -> None:
    sizes = grow(vault, deposit, "abc")
    assert len(sizes) == 3
    client = TestClient(create_app(vault), base_url="http://127.0.0.1")
    listed = client.get("/ledger/anchors")
    known = [int(line) for line in listed.text.split()]
    assert set(sizes) <= set(known)
    assert listed.headers["cache-control"] == "no-cache"
    verifier = Rfc3161Verifier(timestamp_trust(vault.parts))
    report = audit_anchors(StoreFiles(vault.parts.log), vault.parts.policy, verifier)
    assert report is not None
    assert (report.problems, report.checked) == ([], len(known))
    # As an auditor elsewhere sees it: by its address, and as a copied folder.
    (tmp_path / "vkeys").write_text("\n".join(vault.trust.vkeys))
    (tmp_path / "roots.pem").write_bytes(vault.parts.pki.roots_pem())
    trust = ("--vkeys", tmp_path / "vkeys", "--tsa-trust", tmp_path / "roots.pem")
    with served(vault) as url:
        code, found = audit(url, *trust)
    assert (code, found["anchors"]["checked"]) == (0, len(known))
    copy = tmp_path / "copy"
    shutil.copytree(vault.settings.data / "ledger", copy)
    assert audit(copy, *trust)[1]["anchors"] == found["anchors"]
    (copy / "anchor" / f"{sizes[1]}.tst").unlink()
    code, found = audit(copy, *trust)
    (problem,) = found["anchors"]["problems"]
    assert (code, problem["code"], problem["where"]) == (1, "ANCHOR_CHAIN_BROKEN", f"anchor {sizes[2]}")
    other = tmp_path / "other.pem"
    settings = vault.settings.model_copy(update={"data": tmp_path / "other"})
    elsewhere = open_vault(settings, background=False)
    other.write_bytes(elsewhere.parts.pki.roots_pem())
    elsewhere.close()
    shutil.copytree(vault.settings.data / "ledger", copy, dirs_exist_ok=True)
    code, found = audit(copy, "--vkeys", tmp_path / "vkeys", "--tsa-trust", other)
    assert (code, found["verdict"], len(found["anchors"]["problems"])) == (3, "INDETERMINATE", len(known))


def test_the_data_folder_is_audited_with_its_anchors(vault: Vault, deposit: Callable[..., Outcome]) -> None:
    grow(vault, deposit, "ab")
    data = vault.settings.data
    vault.close()
    code, found = audit(data)
    assert (code, found["verdict"]) == (0, "PASSED")
    assert found["anchors"]["checked"] >= 2
    words = CliRunner().invoke(build(), ["audit", str(data)]).output
    assert "ancres / anchors" in words
    assert "--tsa-trust" not in words


def test_each_generation_lists_its_own_anchors(tmp_path: Path) -> None:
    """By its address, the log that ended audits like a folder: the list is not that of the database of today."""
    first = Settings(data=tmp_path / "data", origin="probans.example/ledger/1", publish_interval=0.02)
    second = first.model_copy(update={"origin": "probans.example/ledger/2"})
    sizes: dict[str, list[int]] = {}
    for settings, place, count in ((first, "", 5), (second, "2/", 2)):
        if place:
            parts = open_parts(settings, new_generation=True)
            begin_generation(parts, first.origin, None)
            parts.close()
        vault = open_vault(settings)
        holder = vault.personas.named("camille").actor
        for number in range(count):
            new, key = NewDocument("camille", "Note", "note.xml"), Transfer(f"{place}{number}")
            outcome = vault.submissions.deposit(holder, new, iter((b"<a/>",)), key)
            assert vault.publisher.wait(outcome.seq + 1, 5.0)
            vault.anchoring.anchor(force=True)
        sizes[place] = vault.anchor_sizes(place)
        assert len(sizes[place]) >= count
        (tmp_path / f"vkeys-{settings.origin[-1]}").write_text("\n".join(vault.trust.vkeys))
        if not place:
            vault.close()
    assert sizes[""] != sizes["2/"]
    client = TestClient(create_app(vault), base_url="http://127.0.0.1")
    for place, known in sizes.items():
        listed = client.get(f"/ledger/{place}anchors")
        assert [int(line) for line in listed.text.split()] == known
        assert listed.headers["cache-control"] == "no-cache"
    assert [client.get(f"/ledger/{n}/anchors").status_code for n in (1, 3)] == [404, 404]
    roots = tmp_path / "roots.pem"
    roots.write_bytes(vault.parts.pki.roots_pem())
    with served(vault) as url:
        for place, known in sizes.items():
            vkeys = tmp_path / f"vkeys-{place[:1] or '1'}"
            code, found = audit(f"{url}/{place}".rstrip("/"), "--vkeys", vkeys, "--tsa-trust", roots)
            assert (code, found["anchors"]["checked"]) == (0, len(known)), found
    vault.close()
