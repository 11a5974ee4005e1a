"""SoftHSM2 tokens of the tests' own: a PKCS#11 module whose tokens lie in a temporary folder.

The module reads the name of its configuration from the environment when it is initialised, once for a process: one
folder serves all tests of a process, and each test has tokens of its own in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signing.secret_files import Secret
from signing.tokens import TokenPlace

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
MODULE = next((Path(each) for each in _MODULES if Path(each).is_file()), Path(_MODULES[0]))


def installed() -> bool:
    """Tell whether tokens can be made here."""
    return MODULE.is_file() and all(shutil.which(each) for each in ("softhsm2-util", "pkcs11-tool"))


class Tokens:
    """A folder of tokens.

    Attributes:
        folder: holds `softhsm2.conf`, and `tokens/` with a folder for each token.
        module: the PKCS#11 module.
        pin: of every token.
    """

    pin = "4711-probans"

    def __init__(self) -> None:
        """Make an empty one, and name it to this process and those it starts."""
        self.folder = Path(tempfile.mkdtemp(prefix="probans-hsm-"))
        self.module = MODULE
        self.tokens = self.folder / "tokens"
        self.tokens.mkdir()
        config = self.folder / "softhsm2.conf"
        config.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(config)
        self.environment = {**os.environ}
        self.pin_file = self.folder / "pin"
        self.pin_file.write_text(self.pin + "\n")
        self.pin_file.chmod(0o600)

    def new(self, label: str) -> TokenPlace:
        """Make a token."""
        self.util("--init-token", "--free", "--label", label, "--pin", self.pin, "--so-pin", "so-4711")
        return TokenPlace(self.module, label)

    def remove(self, label: str) -> None:
        """Destroy a token."""
        self.util("--delete-token", "--token", label)

    def util(self, *arguments: str) -> str:
        """Run softhsm2-util."""
        done = subprocess.run(
            ["softhsm2-util", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def secret(self) -> Secret:
        """Return where the PIN is."""
        return Secret.in_file(self.pin_file)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take every token out of its slot, and put it back."""
        aside = self.folder / "away"
        self.tokens.rename(aside)
        try:
            self.tokens.mkdir()
            yield
        finally:
            self.tokens.rmdir()
            aside.rename(self.tokens)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Have every call that looks at an object hang: another process holds the locks of the object store."""
        script = (
            "import fcntl, sys\n"
            "files = [open(name, 'r+b') for name in sys.argv[1:]]\n"
            "[fcntl.lockf(file, fcntl.LOCK_EX) for file in files]\n"
            "print(flush=True); sys.stdin.read()\n"
        )
        names = [str(each) for each in self.tokens.glob("*/generation")]
        holder = subprocess.Popen(
            [sys.executable, "-c", script, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.communicate(timeout=30)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
