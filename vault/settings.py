"""The only module that reads the environment (prefix `PROBANS_`); others get frozen configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from vault.db.limits import DatabaseLimits
from vault.errors import SettingsRefused

GIB = 1024**3


class Settings(BaseSettings):
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
    keys: Path | None = Field(None, description="Folder of keys; empty: `keys` in the data folder.")
    templates: Path | None = Field(
        None,
        description="Folder of the administration's own act templates, searched before the built-in ones.",
    )
    seal_algorithm: Literal["p256", "rsa-pss"] = Field(
        "p256", description="Key type of administrations' act seals (development keys)."
    )
    tsa_url: str = Field("", description="Outside RFC 3161 authority; empty: the embedded one.")
    tsa_trust: Path | None = Field(None, description="PEM anchors of the outside authority.")
    tsa_timeout: float = Field(5.0, gt=0, description="Seconds to wait for the authority's answer.")
    tsa_tolerance: float = Field(
        60.0, gt=0, description="Seconds a token may differ from the service's clock before it is refused."
    )
    anchor_interval_minutes: int = Field(
        60,
        gt=0,
        le=1440,
        description="Minutes from one outside date of the ledger to the next, if entries came.",
    )
    anchor_tsa_url: str = Field(
        "", description="RFC 3161 authority that dates the ledger; empty: the documents' one."
    )
    anchor_tsa_trust: Path | None = Field(
        None, description="PEM anchors of the authority that dates the ledger."
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
    unscanned_allowed: bool = Field(
        True, description="Whether files no antivirus has looked at may be given out (the finding is shown)."
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
    receipt_wait_max: float = Field(10.0, ge=0, description="Longest wait for a receipt, in seconds.")
    access_window_minutes: int = Field(
        15, gt=0, description="Reads of one person, document and purpose within it share one access entry."
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
    def database_address(self) -> str:
        """The database's SQLAlchemy address."""
        return self.database_url or f"sqlite:///{(self.data / 'probans.db').resolve()}"

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

    def check(self) -> Settings:
        """Refuse combinations that would weaken the safe. Raises SettingsRefused."""
        if self.is_production and not self.tsa_url:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production the embedded timestamp authority is refused: set PROBANS_TSA_URL.",
            )
        if self.is_production and self.keys_folder.resolve().is_relative_to(self.data.resolve()):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "In production keys lie outside the data folder: set PROBANS_KEYS."
            )
        return self
