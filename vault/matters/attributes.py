"""Attributes that a safe can attest, and by which rule each follows from an act.

The safe does not read what stands in an act. It attests what it knows with certainty: that an act of a type, of an
administration entitled to it, is in force; when and by whom it was issued; and what the issuing administration itself
stated beside it. It never attests that something is not so: the lack of an act proves nothing.

The table is data: `vault/matters/attributes.json`, or the file that the settings name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vault.clock import rfc3339
from vault.domain.documents import Document, Kind
from vault.errors import Refused, SettingsRefused
from vault.files.fields import check_code, check_text

YES = "yes"
MAX_STATED = 20
_MAX_VALUE = 200


class Rule(StrEnum):
    """How the value follows from the act."""

    IN_FORCE = "in-force"  # "yes"
    ISSUED_ON = "issued-on"  # the day the act was received from its issuer, UTC
    ISSUED_BY = "issued-by"  # the issuer's name
    STATED = "stated"  # what the issuer stated beside the act


class Attribute(BaseModel):
    """One attribute.

    Attributes:
        code: lower-case letters, digits and hyphens.
        fr, en: its name for people.
        document_types: an act of any of these types carries it.
        rule: how the value follows.
        issuers: administrations entitled to issue such acts; empty: every administration of this safe.
        values: for stated ones, the only values there are; empty: any text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    fr: str
    en: str
    document_types: tuple[str, ...]
    rule: Rule
    issuers: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise Refused(FIELD_INVALID) naming the member."""
        check_code("code", self.code, required=True)
        check_text("fr", self.fr, _MAX_VALUE, required=True)
        check_text("en", self.en, _MAX_VALUE, required=True)
        for document_type in self.document_types or ("",):
            check_code("document_types", document_type, required=True)
        for value in self.values:
            check_text("values", value, _MAX_VALUE, required=True)

    def concerns(self, document: Document) -> bool:
        """Tell whether a document is an act from which this may follow: its type, its kind, its issuer."""
        is_act = document.kind is Kind.ACT and document.issuer_id is not None
        entitled = not self.issuers or document.issuer_id in self.issuers
        return is_act and entitled and document.document_type in self.document_types

    def value_of(self, document: Document, issuer_name: str) -> str | None:
        """Return the value that follows from an act which is in force, or None."""
        if not self.concerns(document):
            return None
        if self.rule is Rule.IN_FORCE:
            return YES
        if self.rule is Rule.ISSUED_ON:
            return rfc3339(document.created_at)[:10]
        if self.rule is Rule.ISSUED_BY:
            return issuer_name or None
        return None if document.private is None else document.private.attributes.get(self.code)


class Attributes:
    """The table."""

    def __init__(self, table: Sequence[Attribute]) -> None:
        self._table = {attribute.code: attribute for attribute in table}

    def all(self) -> Sequence[Attribute]:
        """Return every attribute, in the order of the file."""
        return tuple(self._table.values())

    def named(self, code: str) -> Attribute:
        """Return an attribute. Raises Refused(ATTRIBUTE_UNKNOWN)."""
        found = self._table.get(code)
        if found is None:
            raise Refused("ATTRIBUTE_UNKNOWN", attribute=code)
        return found

    def check_stated(self, document_type: str, issuer_id: str, stated: Mapping[str, str]) -> None:
        """Check what an administration states beside an act it issues.

        Raises:
            Refused: ATTRIBUTE_UNKNOWN; FIELD_INVALID naming `attributes`, where an attribute is not one that such an
                act carries by statement, or has no such value.
        """
        if len(stated) > MAX_STATED:
            raise Refused("FIELD_INVALID", f"at most {MAX_STATED} attributes", field="attributes")
        for code, value in stated.items():
            attribute = self.named(code)
            fits = attribute.rule is Rule.STATED and document_type in attribute.document_types
            if not fits or (attribute.issuers and issuer_id not in attribute.issuers):
                raise Refused(
                    "FIELD_INVALID", "no attribute that this act states", field=f"attributes.{code}"
                )
            check_text(f"attributes.{code}", value, _MAX_VALUE, required=True)
            if attribute.values and value not in attribute.values:
                raise Refused("FIELD_INVALID", "not one of the values it has", field=f"attributes.{code}")


def load_attributes(path: Path | None) -> Attributes:
    """Read the table: from a file, or the one that comes with the product. Raises SettingsRefused."""
    place = resources.files("vault.matters").joinpath("attributes.json") if path is None else path
    try:
        table = TypeAdapter(tuple[Attribute, ...]).validate_json(place.read_bytes())
        for attribute in table:
            attribute.check()
    except (OSError, ValidationError, Refused) as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"PROBANS_ATTRIBUTES cannot be read: {error}") from error
    if len({attribute.code for attribute in table}) != len(table):
        raise SettingsRefused("SETTINGS_REFUSED", "PROBANS_ATTRIBUTES: a code stands twice")
    return Attributes(table)
