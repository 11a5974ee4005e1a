"""Settings of batches; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from pydantic import BaseModel, Field

MIB = 1 << 20


class BatchSettings(BaseModel):
    """How much a batch may take at once (`docs/batches.md`)."""

    batch_lines: int = Field(
        1_000_000, gt=0, le=100_000_000, description="Lines of a batch's manifest at most."
    )
    batch_manifest_bytes: int = Field(256 * MIB, gt=0, description="Largest manifest of a batch, in octets.")
    batch_part_bytes: int = Field(
        256 * MIB,
        gt=0,
        description="Largest zip or tar of a batch's files, in octets; more come as more parts.",
    )
    batch_parts_at_once: int = Field(
        4, gt=0, le=64, description="Such parts that one process works on at the same time; beyond, 503 BUSY."
    )
    batch_threads: int = Field(
        2, gt=0, le=64, description="Groups of files of one part that are issued at the same time."
    )
    batch_group: int = Field(
        64,
        gt=0,
        le=512,
        description="Files in such a group at most; they are flushed and entered in the ledger together.",
    )
    batch_days: int = Field(
        30, gt=0, le=3650, description="Days after which a batch that nobody finished is cancelled."
    )
