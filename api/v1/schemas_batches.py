"""What routes about batches take and give."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Instant

BatchStateName = Literal["loading", "checked", "refused", "open", "paused", "finished", "cancelled"]


class BatchStateRequest(Asked):
    """Where a batch shall be."""

    state: Literal["open", "paused", "finished", "cancelled"] = Field(examples=["paused"])


class BatchCounts(BaseModel):
    """Lines of a batch by what became of them."""

    wrong: int = Field(description="The manifest's own line cannot be used.")
    waiting: int = Field(description="Their file did not come yet.")
    refused: int = Field(description="Their file, or their holder, cannot be taken; another file may come.")
    issued: int
    received: int = Field(description="There is an act whose seal waits for its timestamp.")


class BatchAnswer(BaseModel):
    """A batch."""

    id: str = Field(examples=["bat_3f6k9t0w2m4r8s1v5x7y9z0a1b"])
    administration: str
    state: BatchStateName
    lines: int
    counts: BatchCounts
    created_at: Instant
    ended_at: str | None = Field(description="RFC 3339, UTC; null while it goes on.")
    report: str = Field(description="The report line by line, as CSV.")
    summary: str = Field(description="The sealed summary, once it has ended.")
    self: str


class PartProblem(BaseModel):
    """What is wrong with one file of a part."""

    member: int = Field(description="Its place among the files of the part, from 1.")
    line: int | None = Field(description="Line it is for; null where there is none.")
    code: str
    field: str


class PartAnswer(BaseModel):
    """What became of the files of a part."""

    members: int = Field(description="Files looked at.")
    issued: int
    already: int = Field(description="Whose line had been issued before, with the same file.")
    refused: int
    unmatched: int = Field(description="That no line names, or whose line has another file's act.")
    busy: int = Field(description="That another sender issues at this moment; ask for the batch's counts.")
    stopped: bool = Field(description="The batch was paused or ended meanwhile: the rest was left.")
    problems: list[PartProblem] = Field(description="The first hundred.")
