"""A whole production stack on this machine: every part a real server of its own, several services before them.

PostgreSQL with a synchronous standby, an S3 gateway with Object Lock, clamd, two outside timestamp authorities, seal
keys in a SoftHSM2 token with certificates of an authority of the tests' own. Each service has its own data folder and
shares the keys. Personas stand for the people of an identity provider.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from signing.base import KeyPurpose
from signing.cabinet_table import Entry, changing, write_file
from signing.tokens import Pkcs11Token
from signing.trust import TrustStore
from tests.e2e.harness.outside_tsa import OutsideAuthorities
from tests.e2e.harness.samples import ADMINISTRATION
from tests.e2e.harness.server import Server as Service
from tests.e2e.harness.slowed import Relay
from tests.services.authority import Authority
from tests.services.clamd import Daemon
from tests.services.postgresql import Server, address_at
from tests.services.softhsm import Tokens
from tests.services.versitygw import Gateway
from vault.settings import Settings

DATABASE = "safe"
_KEYS = (
    ("reception", KeyPurpose.RECEPTION_SEAL, ""),
    ("evidence", KeyPurpose.EVIDENCE_SEAL, ""),
    ("act", KeyPurpose.ACT_SEAL, ADMINISTRATION),
)


class Production:
    """The parts, and the settings that name them.

    Attributes:
        folder: of everything that the services keep outside of the parts.
        database, standby: PostgreSQL; commits wait for the standby.
        store: the S3 gateway.
        scanner: clamd.
        authorities: the outside timestamp authorities.
        tokens: where the token with the seal keys lies.
        relays: by `database`, `store`, `tsa` and `scanner`; only where asked for.
        settings: of each service, without its data folder: environment without its prefix.
        services: those that run.
    """

    def __init__(
        self,
        folder: Path,
        tokens: Tokens,
        settings: Mapping[str, object] | None = None,
        *,
        relayed: bool = False,
        database_options: tuple[str, ...] = (),
        place: Path | None = None,
        workers: int = 1,
    ) -> None:
        """Start all the parts; no service yet.

        Args:
            folder: a short path, not there yet.
            tokens: of this process, since the module is initialised once.
            settings: more of them.
            relayed: put a relay before each part that is reached through the network.
            database_options: of PostgreSQL.
            place: where the database's files lie; None for memory where that can be.
            workers: processes of each service.
        """
        folder.mkdir(parents=True)
        self.folder, self.tokens, self._workers = folder, tokens, workers
        self.services: list[Service] = []
        self.relays: dict[str, Relay] = {}
        self._open = ExitStack()
        try:
            self._start(settings or {}, relayed, database_options, place)
        except BaseException:
            self.close()
            raise

    def _start(
        self, settings: Mapping[str, object], relayed: bool, options: tuple[str, ...], place: Path | None
    ) -> None:
        many = "max_connections=200"
        self.database = Server(many, *options, place=place)
        self._open.callback(self.database.remove)
        # Before the standby is copied, so that it has it too: after a restart of the primary it is back at once.
        self.database.execute("ALTER SYSTEM SET wal_retrieve_retry_interval = '200ms'")
        self.database.create(DATABASE)
        self.standby = self.database.standby(many)
        self._open.callback(self.standby.remove)
        self.database.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.database.execute("SELECT pg_reload_conf()")
        self.store = Gateway()
        self._open.callback(self.store.remove)
        self.authorities = OutsideAuthorities(self.folder / "tsa")
        self._open.callback(self.authorities.close)
        self.certifier = Authority()
        self._open.callback(self.certifier.close)
        self.scanner = Daemon("StreamMaxLength 8M")
        self._open.callback(self.scanner.remove)
        database, store, scan_port = self.database.folder, self.store.endpoint, self.scanner.port
        if relayed:
            sockets = Path(tempfile.mkdtemp(prefix="probans-relay-"))
            self._open.callback(shutil.rmtree, sockets, ignore_errors=True)
            self.relays = {
                "database": Relay.postgresql(sockets, database),
                "store": Relay.tcp(int(store.rpartition(":")[2])),
                "tsa": Relay.tcp(self.authorities.port),
                "scanner": Relay.tcp(self.scanner.port),
            }
            for relay in self.relays.values():
                self._open.callback(relay.close)
            database, store = sockets, f"http://127.0.0.1:{self.relays['store'].port}"
            scan_port = self.relays["scanner"].port
            self.authorities.reached_at(self.relays["tsa"].port)
        cabinet = self._cabinet(self.folder / "cabinet")
        for name, secret in (("access", self.store.access_key), ("secret", self.store.secret_key)):
            (self.folder / name).write_text(secret + "\n")
        self.settings: dict[str, object] = {
            "DATABASE_URL": address_at(database, DATABASE),
            "STORE_ENDPOINT": store,
            "STORE_BUCKET": self.store.bucket(locked=True),
            "STORE_PLAIN_BUCKET": self.store.bucket(locked=False),
            "STORE_ACCESS_KEY_FILE": self.folder / "access",
            "STORE_SECRET_KEY_FILE": self.folder / "secret",
            "TSA_AUTHORITIES": self.authorities.file,
            "KEYS": self.folder / "keys",
            "KEY_CABINET": cabinet,
            "KEY_ROOTS": cabinet.parent / "roots.pem",
            "SCANNER": "clamd",
            "SCANNER_ADDRESS": f"127.0.0.1:{scan_port}",
            **settings,
        }

    def _cabinet(self, folder: Path) -> Path:
        """Make seal keys in a token of their own and have them certified; return the table's path."""
        folder.mkdir(mode=0o700)
        place = self.tokens.new(f"stack-{secrets.token_hex(6)}")
        token = Pkcs11Token.open(place, self.tokens.secret())
        shutil.copy(self.tokens.pin_file, folder / "pin")
        table = folder / "cabinet.json"
        for number, (name, purpose, administration) in enumerate(_KEYS, 1):
            key_id = bytes([number])
            token.generate("p256", name, key_id)
            public = token.signer(name, key_id).public_key()
            write_file(folder / f"{name}.pem", self.certifier.issue(public, purpose=purpose), 0o644)
            source = {
                "module": str(place.module),
                "token": place.label,
                "key": name,
                "key_id": key_id.hex(),
                "pin_file": "pin",
            }
            entry = Entry(name, purpose, "active", "token", source, administration, f"{name}.pem")
            with changing(table) as entries:
                entries.append(replace(entry))
        token.close()
        (folder / "roots.pem").write_bytes(self.certifier.roots_pem)
        return table

    @property
    def trust(self) -> TrustStore:
        """Return the roots of the seals."""
        return TrustStore.from_pem(self.certifier.roots_pem)

    @property
    def timestamp_trust(self) -> TrustStore:
        """Return the roots of the timestamps."""
        return TrustStore.from_pem(self.authorities.anchors.read_bytes())

    def data(self, number: int) -> Path:
        """Return the data folder of a service."""
        return self.folder / f"host-{number}" / "data"

    def start(self, number: int) -> Service:
        """Start a service on its data folder."""
        self.data(number).parent.mkdir(exist_ok=True)
        return Service(self.data(number), self._workers, self.settings)

    def environment(self, number: int) -> dict[str, str]:
        """Return what a command needs to work on the stack as a service's host does."""
        named = {**self.settings, "DATA": self.data(number)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PROBANS_")}
        return kept | {f"PROBANS_{name}": str(value) for name, value in named.items()}

    def opened_settings(self, number: int) -> Settings:
        """Return the settings of a service's host, for this process."""
        named = {name.lower(): value for name, value in self.settings.items()}
        return Settings(**{**named, "data": self.data(number)})  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop the services, then the parts."""
        try:
            for service in self.services:
                service.stop()
        finally:
            self._open.close()

    @contextmanager
    def serving(self, count: int) -> Iterator[list[Service]]:
        """Run services for the block; those in the list at its end are stopped."""
        for number in range(count):
            self.services.append(self.start(number))
        try:
            yield self.services
        finally:
            services, self.services = self.services, []
            for service in services:
                service.stop()
