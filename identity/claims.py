"""What a provider's claims mean here: name, e-mail address, attributes, assurance level."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from identity.base import ASSURANCES, ClaimMap, ProviderConfig, reaches

MAX_TEXT = 200
MAX_EMAIL = 254
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def shown(value: object) -> str:
    """Return a text that can stand in a page, a header or a line: NFC, one line, no control or bidi characters."""
    if not isinstance(value, str):
        return ""
    cleaned = "".join(
        " " if unicodedata.category(character) in ("Zl", "Zp", "Cc") else character
        for character in unicodedata.normalize("NFC", value[: 4 * MAX_TEXT])
        if unicodedata.category(character) not in ("Cf", "Cs", "Co", "Cn")
    )
    return " ".join(cleaned.split())[:MAX_TEXT]


def name_of(claims: Mapping[str, Any], wanted: ClaimMap) -> str:
    """Return the name for pages; empty where the provider gives none."""
    return shown(" ".join(filter(None, (shown(claims.get(each)) for each in wanted.name))))


def email_of(claims: Mapping[str, Any], wanted: ClaimMap) -> str:
    """Return the e-mail address, or an empty text unless it is said to be verified and is a usual one."""
    value = claims.get(wanted.email) if wanted.email else None
    if not (wanted.email_trusted or claims.get("email_verified") is True):
        return ""
    usual = isinstance(value, str) and len(value) <= MAX_EMAIL and _EMAIL.fullmatch(value)
    return str(value) if usual else ""


def attributes_of(claims: Mapping[str, Any], wanted: ClaimMap) -> dict[str, str]:
    """Return the mapped attributes.

    1. A claim that is a text, a whole number or a truth value counts; of a list, every such element.
    2. Where values are listed, others are dropped, and of several the one listed first wins. Without a list of
       values, only a single value counts: which of several was meant nobody can say.
    3. What is fixed wins.

    Args:
        claims: of the ID token and userinfo.
        wanted: the map.

    Returns:
        Attribute to value; attributes without value are absent.
    """
    found: dict[str, str] = {}
    for attribute, claim in wanted.attributes.items():
        # 1
        value = claims.get(claim)
        given = [text for text in map(_text, value if isinstance(value, list) else [value]) if text]
        # 2
        meant = wanted.values.get(attribute)
        if meant is not None:
            given = [meaning for theirs, meaning in meant.items() if theirs in given][:1]
        if len(given) == 1:
            found[attribute] = given[0]
    # 3
    return {**found, **wanted.fixed}


def assurance_of(claims: Mapping[str, Any], config: ProviderConfig) -> str | None:
    """Return the level that the ID token's acr proves, or None; a value that is not configured proves nothing."""
    acr = claims.get("acr")
    level = (
        config.default_assurance if acr is None else config.acr.get(acr, "") if isinstance(acr, str) else ""
    )
    return level if level in ASSURANCES else None


def acr_to_ask(config: ProviderConfig, demanded: str | None) -> str | None:
    """Return the acr value to ask for: the first configured one of the weakest level that reaches the demanded one.

    Returns:
        None where the provider cannot prove that level; an empty text where nothing need be asked for.
    """
    if demanded is None:
        return config.acr_default
    for level in ASSURANCES:
        if reaches(level, demanded):
            for value, proven in config.acr.items():
                if proven == level:
                    return value
    return "" if reaches(config.default_assurance, demanded) else None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) < 2**53:
        return str(value)
    text = shown(value)
    # An identifier that had to be changed or cut is not that identifier any more.
    return text if text == value else ""
