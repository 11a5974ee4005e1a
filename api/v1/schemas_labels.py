"""JSON objects about labels."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.v1.schemas import Asked


class LabelsRequest(Asked):
    """The labels that a document is to have."""

    labels: list[str] = Field(
        description="Free words; an empty list takes them all away.", examples=[["Logement", "À garder"]]
    )


class SearchRequest(Asked):
    """What documents are looked for; what is left out does not count."""

    document_type: str = Field("", alias="type", description="Of this type.", examples=["acte-de-naissance"])
    year: str = Field("", description="Received in this year.", examples=["2026"])
    status: str = Field("", description="`valid`, `superseded`, `revoked` or `destroyed`.")
    kind: str = Field("", description="`act` or `attachment`.")
    label: str = Field("", description="With this label, whatever its case and accents.")
    case: str = Field("", description="Of the case with this reference.")
    q: str = Field("", description="With these words in the title, whatever case and accents.")
    cursor: str | None = Field(None, description="`next` of the page before.")
    limit: int = Field(25, ge=1, le=100, description="Documents a page.")


class LabelsAnswer(BaseModel):
    """The labels that a document has now."""

    labels: list[str]


class UsedLabelAnswer(BaseModel):
    """A label of a safe."""

    label: str
    documents: int = Field(description="How many have it.")


class UsedLabelsAnswer(BaseModel):
    """The labels of a safe, in alphabetical order."""

    items: list[UsedLabelAnswer]
