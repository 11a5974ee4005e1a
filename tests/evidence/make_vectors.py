"""Writes the vectors of a format version: `python tests/evidence/make_vectors.py FOLDER [anchored]`.

Done once for each version, before its first release; from then on the files are never made again.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signing.trust import TrustStore
from vault.evidence.verify import verify_file


def _support(name: str = "conftest.py") -> Any:
    path = Path(__file__).with_name(name)
    spec = importlib.util.spec_from_file_location(f"evidence_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(folder: Path) -> None:
    """Make a safe, its documents and their bundles; keep what is public of them."""
    support = _support()
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        safe = support.Safe(Path(scratch))
        for _ in range(300):
            safe.log.append(support.new_key(), support.new_key())
        first, second = safe.issue("premier acte"), safe.issue("second acte", "acte corrigé.pdf")
        safe.supersede(first, second)
        attachment = safe.deposit()
        everything = frozenset({"document", "parties", "context"})
        files = {
            "act.pdf": first.content,
            "act-superseded.asice": safe.bundle(first),
            "act-holder.asice": safe.bundle(second, reveal=everything),
            "attachment.asice": safe.bundle(attachment),
            "attachment-unsealed.asice": safe.bundle(attachment, sealed=False),
        }
        (folder / "roots.pem").write_bytes(safe.pki.roots_pem())
        (folder / "ledger.vkeys").write_text("".join(f"{key}\n" for key in safe.log.keys.vkeys))
        for name, data in files.items():
            (folder / name).write_bytes(data)
            verdict = verify_file(folder / name, trust=safe.trust(), policy=safe.log.policy())
            (folder / f"{name}.json").write_bytes(verdict.as_json())


def anchored(folder: Path) -> None:
    """Make bundles with an anchor of an authority under another root."""
    support, anchoring = _support(), _support("test_bundle_anchor.py")
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        safe = support.Safe(Path(scratch) / "safe")
        outside = anchoring.Anchoring(safe, support.DevPki.open(Path(scratch) / "outside", datetime.now(UTC)))
        for _ in range(300):
            safe.log.append(support.new_key(), support.new_key())
        act, attachment = safe.issue("acte daté"), safe.deposit()
        files = {
            "act.asice": outside.bundle(act),
            "attachment-unsealed.asice": outside.bundle(attachment, sealed=False),
        }
        roots = safe.pki.roots_pem() + outside.pki.roots_pem()
        (folder / "roots.pem").write_bytes(roots)
        (folder / "ledger.vkeys").write_text("".join(f"{key}\n" for key in safe.log.keys.vkeys))
        trust = TrustStore.from_pem(roots)
        for name, data in files.items():
            (folder / name).write_bytes(data)
            verdict = verify_file(folder / name, trust=trust, policy=safe.log.policy())
            (folder / f"{name}.json").write_bytes(verdict.as_json())


if __name__ == "__main__":
    (anchored if sys.argv[2:] == ["anchored"] else main)(Path(sys.argv[1]))
