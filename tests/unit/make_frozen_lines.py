"""Wrote the frozen proofs of journal lines: `python tests/unit/make_frozen_lines.py V1_FOLDER FOLDER`.

Made once, of the frozen log of version 1 and two entries more, by the same keys that everybody knows; from then on
the files are never made again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from vault.clock import rfc3339
from vault.evidence.journal_line import LineDate, LineProof
from vault.ledger.entry import RecordEntry, encode, leaf_hash
from vault.ledger.keys import LedgerKeys
from vault.ledger.opening import ALL, Opening
from vault.ledger.receipt import format_receipt
from vault.ledger.tags import tag
from vault.ledger.tree import inclusion_proof


def frozen_maker() -> ModuleType:
    """Load the script beside this one."""
    path = Path(__file__).with_name("make_frozen_vectors.py")
    spec = importlib.util.spec_from_file_location("make_frozen_vectors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def anchor_of(v1: Path, size: int) -> LineDate:
    """Return an anchor of version 1."""
    pem = (v1 / f"anchors/{size}.crls").read_bytes()
    lists = [part + b"-----END X509 CRL-----\n" for part in pem.split(b"-----END X509 CRL-----\n")[:-1]]
    crls = sorted({x509.load_pem_x509_crl(part).public_bytes(Encoding.DER) for part in lists})
    anchor = (v1 / f"anchors/{size}").read_bytes()
    return LineDate(anchor, (v1 / f"anchors/{size}.tst").read_bytes(), tuple(crls))


def main(v1: Path, folder: Path) -> None:
    made = frozen_maker()
    folder.mkdir(parents=True)
    about = {item["seq"]: item for item in json.loads((v1 / "entries.json").read_text())}
    bodies = [(v1 / f"entries/{seq}.json").read_bytes() for seq in range(10)]
    files: dict[str, bytes] = {}
    for seq in (1, 3, 4):
        item = about[seq]
        proof = LineProof(
            made.ORIGIN,
            bodies[seq],
            (v1 / f"openings/{seq}.holder.json").read_bytes(),
            (v1 / f"receipts/{seq}.tlog-proof").read_bytes(),
            item["chain"],
            item["counter"],
            bytes.fromhex(item["key"]),
            anchor_of(v1, 10),
        )
        files[f"{seq}-{item['chain']}-with-key.json"] = proof.encode()
        kept = LineProof(*(getattr(proof, name) for name in ("origin", "entry", "opening", "receipt")), proof.chain,
                         proof.counter, None, proof.dated)  # fmt: skip
        files[f"{seq}-{item['chain']}.json"] = kept.encode()
    keys = LedgerKeys(made.ORIGIN, *made.private("log"))
    matter = Opening(
        {"event": "consent.given", "matter_id": "csn_A", "document_id": "doc_A", "sha256": made.DIGESTS["A"],
         "ends_at": "2026-12-31T00:00:00.000Z", "details": {"service": "état civil", "days": 30}},
        {"holder": "hold_1", "actor": "hold_1", "mandate": ""},
        {"purpose": "instruction-dossier", "case": "n° 1", "consent": "", "title": "", "file_name": ""},
        tuple(made.seed(f"salt 10 {part}") for part in range(3)),
    )  # fmt: skip
    read = Opening(
        {"event": "document.read", "document_id": "doc_A", "action": "read"},
        {"holder": "hold_1", "actor": "agt_A", "mandate": "", "role": "agent",
         "organisation": "mairie-specimen", "service": "etat-civil"},
        {"purpose": "instruction-dossier", "case": "n° 1", "consent": "csn_A", "title": "", "file_name": "",
         "words": "Pièce illisible au guichet"},
        tuple(made.seed(f"salt 11 {part}") for part in range(3)),
    )  # fmt: skip
    new = (("matter", matter, made.seed("matter A"), 0), ("access", read, made.seed("access A"), 2))
    for _, opening, key, counter in new:
        seq = len(bodies)
        time = rfc3339(made.NOW + timedelta(minutes=seq))
        record = RecordEntry(seq, leaf_hash(bodies[-1]), time, tag(key, counter), opening.commitment())
        bodies.append(encode(record))
    log = made.Log(bodies, keys)
    note = log.note(len(bodies))
    (folder / f"checkpoint-{len(bodies)}").write_bytes(note)
    for seq, (chain, opening, key, counter) in enumerate(new, 10):
        receipt = format_receipt(seq, inclusion_proof(log, seq, len(bodies)), note)
        proof = LineProof(made.ORIGIN, bodies[seq], opening.to_json(ALL), receipt, chain, counter, key)
        files[f"{seq}-{chain}-with-key.json"] = proof.encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    lines = [f"{digest}  {name}" for name, digest in sorted(digests.items())]
    (folder / "SHA256SUMS").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
