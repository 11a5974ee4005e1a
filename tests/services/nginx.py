"""The reverse proxy of deploy/nginx, really running: its own file, with addresses and places of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "nginx.conf"
_START_S = 20.0


class Proxy:
    """One proxy in front of one service.

    Attributes:
        folder: of its certificates (`secrets`) and the places where it could buffer (`tmp`).
        port: where it listens, with TLS.
        log: what it wrote.
        trust_of_client: certificate and key that callers show; None: none.
    """

    trust_of_client: tuple[Path, Path] | None = None

    def __init__(self, secrets: Path, upstream: str) -> None:
        """Start it.

        Args:
            secrets: folder with tls_certificate, tls_key and systems_ca; copied.
            upstream: `HOST:PORT` of the service.
        """
        assert PROGRAM is not None
        # Not in pytest's own folder: as root its workers are somebody else, who could not get there.
        folder = self.folder = Path(tempfile.mkdtemp(prefix="probans-proxy-"))
        shutil.copytree(secrets, folder / "secrets")
        self.log = folder / "nginx.log"
        (folder / "tmp").mkdir()
        folder.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        text = CONFIGURATION.read_text("utf-8")
        for mine, of_the_test in (
            ("listen 8443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("server web:8000", f"server {upstream}"),
            (" /tmp/", f" {folder}/tmp/"),
            ("/run/secrets/", f"{folder}/secrets/"),
            ("/dev/stdout", str(self.log)),
        ):
            assert mine in text, mine
            text = text.replace(mine, of_the_test)
        configuration = folder / "nginx.conf"
        configuration.write_text(text, "utf-8")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-p", str(folder), "-c", str(configuration), "-g", "daemon off;"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        told = self.log.read_text("utf-8", "replace")[-2000:]
        self.stop()
        raise AssertionError(told)

    def trust(self) -> ssl.SSLContext:
        """Return what believes its certificate, and shows the caller's."""
        context = ssl.create_default_context(cafile=str(self.folder / "secrets" / "tls_certificate"))
        if self.trust_of_client is not None:
            context.load_cert_chain(*self.trust_of_client)
        return context

    def held_files(self) -> list[str]:
        """Return the files in its places for buffers that exist, or are open though unnamed."""
        found = [str(path) for path in (self.folder / "tmp").rglob("*") if path.is_file()]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "comm").read_text().strip() != "nginx":
                    continue
                found += [str(each.readlink()) for each in (process / "fd").iterdir()]
            except OSError:
                continue
        place = f"{self.folder}/tmp/nginx-"
        return [each for each in found if each.startswith(place)]

    def stop(self) -> None:
        """End it by its pid, with its workers, and remove its folder."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_START_S)
        shutil.rmtree(self.folder, ignore_errors=True)
