"""The only module that reads the environment (prefix `PROBANS_`); others get frozen configurations."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vault.config.batch import BatchSettings
from vault.config.env_file import read_settings_file
from vault.config.keys import KeySettings
from vault.config.scan import ScanSettings
from vault.config.store import StoreSettings
from vault.config.tasks import TaskSettings
from vault.config.tsa import TimestampSettings
from vault.config.watch import WatchSettings
from vault.db.limits import DatabaseLimits
from vault.errors import SettingsRefused

GIB = 1024**3


class Settings(
    BaseSettings,
    KeySettings,
    StoreSettings,
    ScanSettings,
    TimestampSettings,
    TaskSettings,
    WatchSettings,
    BatchSettings,
):
    """Everything an operator can choose; each field is an environment variable `PROBANS_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PROBANS_", extra="forbid", frozen=True, allow_inf_nan=False)

    data: Path = Field(Path("demo/data"), description="Folder of the safe: database, objects, ledger, keys.")
    environment: Literal["development", "production"] = Field(
        "development", description="In production, development keys and personas are refused."
    )
    origin: str = Field(
        "probans.example/ledger/1",
        description="Origin line of the ledger's checkpoints (C2SP tlog-checkpoint).",
    )
    database_url: str = Field(
        "",
        description="`postgresql+psycopg://USER@HOST/NAME`, or another SQLAlchemy address of PostgreSQL or SQLite; "
        "empty: SQLite in the data folder.",
    )
    database_reads_url: str = Field(
        "",
        description="Address of a PostgreSQL server that follows that one, for searches and journals; passed over "
        "where it lags; empty: none.",
    )
    database_connections: int = Field(
        16, ge=4, le=1000, description="Connections of one process to PostgreSQL, beside one for locks."
    )
    database_timeout: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="Seconds that PostgreSQL has for a statement, and that a transaction may lie open unused.",
    )
    spool: Path | None = Field(None, description="Volume of the unnamed spool files; empty: data folder.")
    templates: Path | None = Field(
        None,
        description="Folder of the administration's own act templates, searched before the built-in ones.",
    )
    seal_algorithm: Literal["p256", "rsa-pss"] = Field(
        "p256", description="Key type of administrations' act seals (development keys)."
    )
    max_upload_bytes: int = Field(2 * GIB, gt=0, description="Largest file taken in, in octets.")
    max_json_bytes: int = Field(65_536, gt=0, description="Largest JSON body, in octets.")
    max_pages: int = Field(20_000, gt=0, description="Largest number of pages of an act.")
    retention_days: int = Field(
        3650,
        ge=0,
        le=146_097,  # 400 years: later dates fit neither file systems nor timestamps
        description="Days before which nothing is deleted from the store.",
    )
    publish_interval: float = Field(0.2, gt=0, description="Seconds between ledger publications.")
    ledger_key_overlap_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="Days for which the keys before sign beside new ledger keys.",
    )
    witness_policy: Path | None = Field(
        None,
        description="Witnesses with their addresses and the quorum (c2sp.org/tlog-policy); empty: none is asked.",
    )
    witness_wait: Literal["go-on", "wait"] = Field(
        "go-on",
        description="Too few witnesses reachable: new entries go on, or wait until the quorum is met.",
    )
    witness_timeout: float = Field(5.0, gt=0, description="Seconds a witness has to answer.")
    verify_trust: str = Field(
        "",
        description="PEM anchors of other makers' signatures that the verifier takes besides the safe's own; "
        "`system`: those of this computer; empty: none.",
    )
    verify_trusted_lists: Path | None = Field(
        None,
        description="Folder of trusted lists (ETSI TS 119 612, `*.xml`) with `signers.pem`, the certificates that may "
        "have signed them; empty: none.",
    )
    verify_fetch: bool = Field(
        False,
        description="Whether the verifier fetches revocation data that a file lacks, from public addresses only.",
    )
    heal_interval: float = Field(1.0, gt=0, description="Seconds between tries to seal what waits.")
    request_days: int = Field(
        90,
        gt=0,
        le=3650,
        description="Days for which an administration's request may wait for its answer at most.",
    )
    consent_days: int = Field(
        365, gt=0, le=36_500, description="Days for which a consent may open a document at most."
    )
    mandate_authorities: str | None = Field(
        None,
        description="Administrations, separated by commas, that may open safes, name guardians and representatives, "
        "and tell of deaths and dissolutions; set to nothing: none; not set: none, in development `mairie-specimen`.",
    )
    mandate_days: int = Field(1826, gt=0, le=18_262, description="Days for which a mandate may last at most.")
    closure_notice_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="Days from the confirmation of a safe's closure to the close, in which it can be cancelled.",
    )
    share_days: int = Field(90, gt=0, le=90, description="Days for which a share may be open at most.")
    attributes: Path | None = Field(
        None,
        description="Table of the attributes that can be attested (JSON); empty: the built-in one.",
    )
    sweep_interval: float = Field(
        30.0,
        gt=0,
        description="Seconds between two looks for requests whose time is over and withdrawals that wait for a seal.",
    )
    receipt_wait_max: float = Field(10.0, ge=0, description="Longest wait for a receipt, in seconds.")
    access_window_minutes: int = Field(
        15, gt=0, description="Reads of one person, document and purpose within it share one access entry."
    )
    identity_providers: Path | None = Field(
        None,
        description="File of the OpenID Connect providers that people come from (`docs/identity.md`); empty: in "
        "development, the embedded one with made-up people.",
    )
    mail_host: str = Field(
        "", description="Server that takes mail (SMTP submission); empty: none, in development the log."
    )
    mail_port: int = Field(587, gt=0, le=65535, description="Port of that server.")
    mail_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="Encryption, always with the certificate checked: demanded after the greeting, from the first "
        "octet (port 465), or none, which is refused but for this machine itself.",
    )
    mail_from: str = Field("", description="Address in From of what the service sends.")
    mail_bounces: str = Field(
        "",
        description="Address to which bounces go, with `+` and a token before its `@`; empty: that in From.",
    )
    mail_user: str = Field("", description="User for AUTH; empty: none.")
    mail_password_file: Path | None = Field(None, description="File with the password of that user.")
    mail_ca: Path | None = Field(None, description="PEM anchors of the mail server; empty: the system's.")
    mail_connect_timeout: float = Field(
        10.0, gt=0, le=600, description="Seconds to connect to the mail server."
    )
    mail_timeout: float = Field(60.0, gt=0, le=3600, description="Seconds for one mail as a whole.")
    sms_url: str = Field(
        "",
        description="Gateway of text messages (`docs/notifications.md`); empty: none, in development the log.",
    )
    sms_secret_file: Path | None = Field(None, description="File with the bearer secret for that gateway.")
    sms_sender: str = Field("", max_length=32, description="Sender shown, as the gateway wants it.")
    sms_ca: Path | None = Field(None, description="PEM anchors of that gateway; empty: the system's.")
    sms_timeout: float = Field(20.0, gt=0, le=600, description="Seconds for one text message as a whole.")
    notice_hook_secret_file: Path | None = Field(
        None,
        description="File with the secret of gateways that report bounces to `POST /v1/notices/bounces`; empty: nobody "
        "may.",
    )
    notice_digest_hour: int = Field(
        16, ge=0, le=23, description="Hour of the day, UTC, from which daily messages leave."
    )
    notice_doubt_after: int = Field(
        3, gt=0, le=100, description="Lasting refusals after which a contact must be confirmed again."
    )
    session_idle_minutes: int = Field(
        30, gt=0, le=1440, description="Minutes without a request after which a browser's session ends."
    )
    session_minutes: int = Field(
        480, gt=0, le=10_080, description="Minutes after the login at which a session ends whatever happens."
    )
    assurance: Literal["", "none", "low", "substantial", "high"] = Field(
        "",
        description="Level of identity proof (eIDAS) that consents, shares, mandates and the like demand; empty: "
        "`substantial` in production, none in development.",
    )
    address: str = Field(
        "",
        description="Public address of the service, such as `https://coffre.example`, which proofs of systems must "
        "name; empty: in development, the address a request came to.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of reverse proxies, separated by commas, whose X-Forwarded-For and client "
        "certificate header are believed; empty: nobody's.",
    )
    client_certificate_header: str = Field(
        "",
        description="Header in which a trusted proxy names the client certificate it checked (RFC 9440, or PEM "
        "percent-encoded), and which it takes out of everybody's requests; empty: no certificates.",
    )
    rate_verifications: int = Field(
        120, ge=0, description="Files one caller or network may have verified in a minute; 0: no limit."
    )
    rate_lookups: int = Field(
        120,
        ge=0,
        description="Digests and codes one caller or network may look up in a minute; 0: no limit.",
    )
    rate_logins: int = Field(
        60, ge=0, description="Logins one network may begin or finish in a minute; 0: no limit."
    )
    rate_tokens: int = Field(
        120,
        ge=0,
        description="Access tokens one network may ask for in a minute, and wrong ones it may show; 0: no limit.",
    )
    rate_ledger: int = Field(
        60_000,
        ge=0,
        description="Files of the public ledger one network may get in a minute; 0: no limit.",
    )
    lockout_failures: int = Field(
        10, gt=0, le=100, description="Wrong secrets after which what they were tried on is locked."
    )
    lockout_minutes: float = Field(
        15.0,
        gt=0,
        le=1440,
        description="Minutes of the first lock; each one in a row is twice as long, a day at most.",
    )
    ledger_timeout: float = Field(30.0, gt=0, description="Longest wait for a ledger commit, in seconds.")

    @property
    def is_production(self) -> bool:
        """Tell whether development material must be refused."""
        return self.environment == "production"

    @property
    def keys_folder(self) -> Path:
        """Where keys lie."""
        return self.keys or self.data / "keys"

    @property
    def spool_folder(self) -> Path:
        """Where unnamed spool files are made."""
        return self.spool or self.data / "spool"

    @property
    def store_proof_file(self) -> Path:
        """Where the proof of the object store lies."""
        return self.store_proof or self.keys_folder / "store-proof.json"

    @property
    def database_address(self) -> str:
        """The database's SQLAlchemy address."""
        return self.database_url or f"sqlite:///{(self.data / 'probans.db').resolve()}"

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Networks of the proxies that are believed. Raises SettingsRefused."""
        try:
            return tuple(ip_network(each.strip()) for each in self.trusted_proxies.split(",") if each.strip())
        except ValueError as error:
            raise SettingsRefused(
                "SETTINGS_REFUSED", f"PROBANS_TRUSTED_PROXIES cannot be read: {error}"
            ) from error

    @property
    def rates_per_minute(self) -> Mapping[str, int]:
        """Requests a minute by kind, for `vault.authorization.rates`; kinds without limit are left out."""
        rates = {
            "verifications": self.rate_verifications,
            "lookups": self.rate_lookups,
            "logins": self.rate_logins,
            "tokens": self.rate_tokens,
            "ledger": self.rate_ledger,
        }
        return {kind: count for kind, count in rates.items() if count}

    @property
    def authorities(self) -> frozenset[str]:
        """Administrations that may open safes, name mandataries and tell of deaths and dissolutions."""
        named = self.mandate_authorities
        if named is None:
            named = "" if self.is_production else "mairie-specimen"
        return frozenset(each.strip() for each in named.split(",") if each.strip())

    @property
    def sensitive_assurance(self) -> str:
        """Level that sensitive acts demand: `none`, `low`, `substantial` or `high`."""
        return self.assurance or ("substantial" if self.is_production else "none")

    @property
    def database_limits(self) -> DatabaseLimits:
        """What a process takes of the database; in production commits must wait for a standby."""
        return DatabaseLimits(
            connections=self.database_connections,
            statement_s=self.database_timeout,
            lock_s=min(10.0, self.database_timeout),
            idle_s=self.database_timeout,
            replicated=self.is_production,
        )

    @classmethod
    def from_file(cls, path: Path | None) -> Settings:
        """Return the settings that a file names, and nothing of the environment; without a file, every default.

        Raises:
            SettingsRefused: SETTINGS_REFUSED: it cannot be read, or a setting has no such name or value.
        """
        try:
            return _WrittenSettings(**(read_settings_file(path) if path is not None else {}))  # type: ignore[arg-type]
        except ValidationError as error:
            # Values may be secret: only names are shown.
            wrong = sorted({"_".join(map(str, each["loc"])).upper() for each in error.errors()})
            raise SettingsRefused(
                "SETTINGS_REFUSED", f"No such setting, or no such value: {', '.join(wrong)}."
            ) from None

    def check(self) -> Settings:
        """Refuse combinations that would weaken the safe. Raises SettingsRefused."""
        self.check_store(production=self.is_production)
        self.check_second_folder(self.data)
        self.check_keys(self.data, production=self.is_production)
        self.check_timestamps(production=self.is_production)
        self.check_watch(production=self.is_production)
        self.check_scan()
        if self.client_certificate_header and not self.proxy_networks:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "PROBANS_CLIENT_CERTIFICATE_HEADER would be believed of nobody: set PROBANS_TRUSTED_PROXIES.",
            )
        if self.is_production and not self.address.startswith("https://"):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production people come over TLS, and providers send them back to one address: set PROBANS_ADDRESS "
                "to https://…",
            )
        if self.is_production and self.identity_providers is None:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production the development identities are refused: set PROBANS_IDENTITY_PROVIDERS.",
            )
        return self


class _WrittenSettings(Settings):
    """Settings of which nothing comes from the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See pydantic-settings: only what is given counts."""
        return (init_settings,)
