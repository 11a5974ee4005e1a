"""Two timestamp authorities of somebody else in a process of their own: one by our code, one by `openssl ts`.

    python -m tests.e2e.harness.outside_tsa FOLDER

Says on a line of JSON where they answer; takes `down` and `well` on standard input, and ends when that ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.services.timestamps import Outside, OutsideOpenssl

REPOSITORY = Path(__file__).resolve().parents[3]


class OutsideAuthorities:
    """The process.

    Attributes:
        file: for PROBANS_TSA_AUTHORITIES.
        anchors: PEM roots of both.
        port: of the first one.
        pid: of the process.
    """

    def __init__(self, folder: Path) -> None:
        """Start it and wait until it answers."""
        folder.mkdir()
        self._folder = folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.harness.outside_tsa", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=REPOSITORY,
            )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (folder / "log").read_text()[-2000:]
        self.port = json.loads(line)["port"]
        self.file = folder / "authorities.json"
        self.anchors = folder / "anchors.pem"

    def reached_at(self, port: int) -> Path:
        """Name another port for the first authority; return the file for the settings."""
        listed = json.loads(self.file.read_bytes())
        listed[0]["url"] = f"http://127.0.0.1:{port}/tsa"
        self.file.write_text(json.dumps(listed))
        return self.file

    def alone(self) -> Path:
        """Leave out the second authority; return the file for the settings."""
        self.file.write_text(json.dumps(json.loads(self.file.read_bytes())[:1]))
        return self.file

    def say(self, word: str) -> None:
        """Tell it `down` or `well`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()
        assert self._process.stdout.readline().decode().strip() == word

    def pause(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self.resume()
        self._process.kill()
        self._process.wait(10)


def main() -> None:
    """Answer until standard input ends."""
    folder = Path(sys.argv[1])
    first, second = Outside("dehors"), OutsideOpenssl("openssl", folder / "openssl")
    listed = [
        {"name": each.name, "url": each.url, "trust": each.anchors(folder).name} for each in (first, second)
    ]
    (folder / "authorities.json").write_text(json.dumps(listed))
    (folder / "anchors.pem").write_bytes(b"".join((folder / each["trust"]).read_bytes() for each in listed))
    print(json.dumps({"port": first.port}), flush=True)
    for line in sys.stdin:
        first.mode = second.mode = line.strip()
        print(line.strip(), flush=True)


if __name__ == "__main__":
    main()
