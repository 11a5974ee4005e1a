"""The fenced examination: `python -I -m vault.files.pdf_probe PATH LIMITS SECONDS`.

Run by `vault.files.pdf_guard.probe`. Prints one JSON object on standard output. Dying (memory, processor time, a
crash of qpdf) is an answer too: the caller reads it as too complex.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vault.files.pdf_guard import InspectionLimits, fence
from vault.files.pdf_inspection import examine


def main(arguments: list[str]) -> int:
    """Fence this process, examine the file, print the report; returns the exit status."""
    path, limits, seconds = arguments
    allowed = InspectionLimits(**json.loads(limits))
    fence(allowed, int(seconds))
    with examine(Path(path), allowed, watch_memory=False) as report:
        answer = {
            "findings": report.findings,
            "pages": report.pages,
            "signed": report.signed,
            "version": report.version,
            "embeds": report.embeds,
            "dangles": report.dangles,
        }
        sys.stdout.write(json.dumps(answer, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
