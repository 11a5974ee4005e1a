"""The only module that chooses concrete backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from identity.config import load_providers
from identity.embedded import EmbeddedProvider, draw_key
from identity.embedded_client import EmbeddedIdentity
from identity.errors import IdentityError
from identity.oidc import OpenIdProvider
from identity.providers import Providers
from plumbing.disk import make_folder
from plumbing.locks import in_turn, lock_file
from signing.trust import TrustStore
from vault.assembly import assemble, desk_of
from vault.backends.keys import encryption_file, ledger_key_maker, open_cabinet, open_wrapper
from vault.backends.notices import channels_of
from vault.backends.scan import open_antivirus
from vault.backends.stores import open_stores
from vault.backends.traces import open_traces
from vault.backends.tsa import dating
from vault.clock import Clock, SystemClock
from vault.composition.parts import Parts
from vault.core.keyfiles import read_or_make
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.twins import TwinGuard
from vault.errors import SettingsRefused
from vault.ledger.generations import generation_of, prefix_of
from vault.ledger.key_folder import LedgerKeyFolder
from vault.ledger.replica import Replica
from vault.maintenance.moved import using
from vault.people.identities import Identities, made_up_people
from vault.records.book import RecordBook
from vault.sealing.desk import SealingDesk
from vault.sealing.held_keys import demand_files, demand_origin, has_begun, key_folder_of, secret, usable_keys
from vault.sealing.rewrapping import demand_own_keys
from vault.service import Vault
from vault.settings import Settings


@contextmanager
def opening(settings: Settings) -> Iterator[None]:
    """Let the processes of a host open a data folder in turn: the first one makes keys, tables and entry 0."""
    make_folder(settings.data)
    with in_turn(lock_file(settings.data / "opening.lock")):
        yield


def open_parts(
    settings: Settings,
    clock: Clock | None = None,
    *,
    new_generation: bool = False,
    first_keys: bool = False,
) -> Parts:
    """Open the backends that the settings name.

    Args:
        settings: see `Settings`.
        clock: the machine's clock when None.
        new_generation: the origin is of a generation of the ledger that is about to begin: its keys are made.
        first_keys: the keys of a safe that has not begun may be made in production too: two hosts that start at once
            would otherwise each make their own.

    Raises:
        SettingsRefused: the settings cannot be used; KEYS_MISSING, KEYS_UNUSABLE.
        LedgerError: LEDGER_ORIGIN_MISMATCH when the database holds another log.
    """
    settings.check()
    clock = clock or SystemClock()
    data, keys = settings.data, settings.keys_folder
    for folder in (data, keys, key_folder_of(keys, settings.origin), settings.spool_folder):
        # A folder's own name must survive power loss too, or all that is in it goes with it.
        make_folder(folder)
    with ExitStack() as resources:
        resources.enter_context(using(data))
        database = Database.open(settings.database_address, data / "run", settings.database_limits)
        resources.callback(database.close)
        database.migrate()
        replica = _open_replica(settings, resources)
        stores = open_stores(settings, clock, resources)
        log = stores.log_of(settings.origin) if prefix_of(settings.origin) else stores.root_log
        if not new_generation:
            demand_origin(database, settings.origin)
        begun = generation_of(settings.origin) > 1 or has_begun(database, log)
        create = not begun and (first_keys or not settings.is_production)
        kek, index = encryption_file(settings), keys / "index.key"
        if not create:
            own = [keys / "pki/root.p12"] if settings.key_cabinet is None else []
            demand_files(kek, index, *own)
        with usable_keys():
            wrapper = open_wrapper(settings)
        pki = open_cabinet(settings, clock)
        resources.callback(pki.close)
        return Parts(
            settings=settings,
            clock=clock,
            database=database,
            objects=stores.objects,
            log=log,
            root_log=stores.root_log,
            log_of=stores.log_of,
            records=RecordBook(stores.records, wrapper),
            keyring=Keyring(wrapper, secret(index)),
            ledger_keys=LedgerKeyFolder.open(
                key_folder_of(keys, settings.origin),
                settings.origin,
                create=create or new_generation,
                make=ledger_key_maker(settings),
            ),
            guard=TwinGuard(data / "run", database.locks),
            pki=pki,
            identities=open_identities(settings, clock),
            antivirus=open_antivirus(settings),
            resources=resources.pop_all(),
            sites=stores.sites,
            replica=replica,
        )


def _open_replica(settings: Settings, resources: ExitStack) -> Replica | None:
    if not settings.database_reads_url:
        return None
    # Nobody waits for it to be replicated any further.
    limits = replace(settings.database_limits, replicated=False)
    replica = Replica(settings.database_reads_url, settings.data / "run", limits)
    resources.callback(replica.close)
    return replica


def open_vault(settings: Settings, clock: Clock | None = None, *, background: bool = True) -> Vault:
    """Start the service.

    Args:
        settings: see `Settings`.
        clock: the machine's clock when None.
        background: False leaves healing and notification to explicit calls (ledger and publication run).

    Raises:
        SettingsRefused: the settings cannot be used.
        LedgerError: LEDGER_BEHIND when the database is older than the published ledger: run `probans recover`.
    """
    parts = open_parts(settings, clock)
    running = ExitStack()
    running.callback(parts.close)
    try:
        open_traces(settings, running)
        demand_own_keys(parts.database, parts.keyring)
        return assemble(parts, dating(parts), channels_of(settings), running, background=background)
    except BaseException:
        running.close()
        raise


def open_identities(settings: Settings, clock: Clock) -> Identities:
    """Return where digital identities come from: the providers' file, else made-up people. Raises SettingsRefused."""
    try:
        if settings.identity_providers is not None:
            named = load_providers(settings.identity_providers)
            return Identities(Providers(OpenIdProvider(config, clock) for config in named), None)
        key = read_or_make(settings.keys_folder / "dev-identity.pem", draw_key)
        embedded = EmbeddedProvider(key, settings.data / "run" / "dev-identity", made_up_people(), clock)
    except IdentityError as error:
        raise SettingsRefused("SETTINGS_REFUSED", str(error)) from error
    return Identities(Providers([EmbeddedIdentity(embedded, clock)]), embedded)


def sealing_desk(parts: Parts) -> SealingDesk:
    """Return what seals and timestamps with the keys at hand, for commands that start no service.

    Raises:
        SettingsRefused: the settings cannot be used.
    """
    dated = dating(parts)
    return desk_of(parts, dated.authority, dated.revocation)


def timestamp_trust(parts: Parts) -> TrustStore:
    """Return what vouches for the authorities whose tokens the service takes, of seals and of anchors.

    Raises:
        SettingsRefused: a file that the settings name cannot be read.
    """
    return TrustStore([*dating(parts).roots])
