"""python -m tests.attacks.signed.generator FOLDER: writes every attack, `attacks.tsv` and the trusted root.

In `attacks.tsv`: file, family, the verdict it must get, the reasons of which one is the main one, what it is over.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.attacks.signed.generator import ATTACKS, Bench, Made
from tests.judging.conftest import World


def write(folder: Path, bench: Bench) -> list[Path]:
    """Write everything; returns the files of the attacks in order."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.pem").write_bytes(bench.world.root.certificate.public_bytes(Encoding.PEM))
    files, lines = [], ["file\tfamily\tverdict\tcodes\tover"]
    for attack in ATTACKS:
        made = attack.make(bench)
        made = made if isinstance(made, Made) else Made(made)
        suffix = {b"%PDF": ".pdf", b"PK\x03\x04": ".asice"}.get(made.data[:4], ".bin")
        path = folder / f"{attack.family}-{attack.name}{suffix}"
        path.write_bytes(made.data)
        names = []
        for number, content in enumerate(made.over):
            names.append(f"{path.name}.over{number}")
            (folder / names[-1]).write_bytes(content)
        verdict = "INDETERMINATE" if attack.unsure else "FAILED" if attack.codes else "PASSED"
        lines.append("\t".join((path.name, attack.family, verdict, " ".join(attack.codes), " ".join(names))))
        files.append(path)
    (folder / "attacks.tsv").write_text("\n".join(lines) + "\n")
    return files


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.attacks.signed.generator FOLDER")
    sys.stdout.write(f"{len(write(Path(sys.argv[1]), Bench(World())))} files\n")
