"""What PDFium draws of files, each in a process of its own: what it remembers of one file shows in the next.

`python -I pdfium.py FILE...` prints a JSON list: for each file the digests of its first two pages, or what went wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pypdfium2

_DPI, _PAGES = 30, 2
_SECONDS = 10  # for one file


def drawn(files: Sequence[Path]) -> list[object]:
    """Return for each file the digests of its first pages, or a text: why there are none."""
    command = [sys.executable, "-I", __file__, *map(str, files)]
    done = subprocess.run(command, capture_output=True, timeout=60 + _SECONDS * len(files), check=True)
    return list(json.loads(done.stdout))


def _alone(path: str) -> object:
    """Look at one file in a copy of this process, which has PDFium loaded and nothing else."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        os.write(writing, json.dumps(_pages(path)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said) if status == 0 else "died"


def _pages(path: str) -> object:
    try:
        with pypdfium2.PdfDocument(path) as document:
            digests = []
            for index in range(min(len(document), _PAGES)):
                bitmap = document[index].render(scale=_DPI / 72)
                digests.append(hashlib.sha256(bytes(bitmap.buffer)).hexdigest())
            return digests
    except pypdfium2.PdfiumError as error:
        return str(error)


if __name__ == "__main__":
    sys.stdout.write(json.dumps([_alone(path) for path in sys.argv[1:]]))
