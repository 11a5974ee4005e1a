"""Every code raised in the safe has words, in French and English, that its params can fill."""

from __future__ import annotations

import ast
import string
from collections import defaultdict
from pathlib import Path

import pytest

import vault
from vault import errors
from vault.messages.catalogue import CATALOGUE, UNKNOWN_CODE, message, readable_size, status
from vault.messages.entries import NAME_PROBLEMS

TREE = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.VaultError)
}
AGREED = {
    400: [
        "ENCODING_INVALID",
        "IDEMPOTENCY_KEY_INVALID",
        "IDEMPOTENCY_KEY_REQUIRED",
        "JSON_DUPLICATE_KEY",
        "JSON_INVALID",
        "TRUNCATED",
    ],
    401: ["UNAUTHENTICATED"],
    403: ["FORBIDDEN"],
    404: ["NOT_FOUND", "UNKNOWN_ADMINISTRATION", "UNKNOWN_HOLDER"],
    405: ["METHOD_NOT_ALLOWED"],
    409: ["IDEMPOTENCY_KEY_REUSED", "NOT_PUBLISHED", "RECEIPT_PENDING", "STATE_CONFLICT", "TWIN_RUNNING"],
    410: ["DOCUMENT_DESTROYED"],
    411: ["LENGTH_REQUIRED"],
    412: ["PRECONDITION_FAILED"],
    413: ["JSON_TOO_LARGE", "TOO_LARGE"],
    415: ["UNSUPPORTED_MEDIA_TYPE"],
    416: ["RANGE_INVALID"],
    422: ["BODY_INVALID", "EMPTY_FILE", "FIELD_INVALID", "NAME_INVALID", "PURPOSE_REQUIRED"],
    429: ["RATE_LIMITED"],
    500: ["INTERNAL"],
    503: ["BUSY", "LEDGER_UNAVAILABLE", "STORAGE_UNAVAILABLE", "TSA_UNAVAILABLE"],
}


# Inner failures have the common words of OPERATOR_NEEDED: nobody but an operator can act on them.
OPERATOR = {"LedgerError", "SettingsRefused"}


def literals(node: ast.expr) -> list[str]:
    """The texts a code argument can take: a literal, or both arms of a conditional."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def raised() -> dict[str, list[set[str]]]:
    """Codes raised with a class of the safe's tree, with the params each place gives."""
    found: dict[str, list[set[str]]] = defaultdict(list)
    for source in Path(vault.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TREE - OPERATOR:
                for code in literals(node.args[0]):
                    found[code].append({keyword.arg or "*" for keyword in node.keywords})
    return found


def placeholders(code: str) -> set[str]:
    entry = CATALOGUE[code]
    texts = (entry.title_fr, entry.action_fr, entry.title_en, entry.action_en)
    return {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field}


def test_the_search_finds_what_is_known_to_be_raised():
    assert {"EMPTY_FILE", "NAME_INVALID", "PDF_TOO_COMPLEX", "STORAGE_UNAVAILABLE"} <= raised().keys()


def test_every_code_raised_has_words():
    assert raised().keys() - CATALOGUE.keys() == set()


def test_every_place_gives_the_params_its_words_need():
    missing = [
        (code, field)
        for code, places in raised().items()
        if code in CATALOGUE
        for given in places
        for field in placeholders(code)
        if "*" not in given and field.removesuffix("_size") not in given
    ]
    assert missing == []


@pytest.mark.parametrize("expected", AGREED)
def test_agreed_statuses(expected):
    assert {code: status(code) for code in AGREED[expected]} == dict.fromkeys(AGREED[expected], expected)


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_words_are_there_in_both_languages(code):
    entry = CATALOGUE[code]
    texts = (entry.title_fr, entry.action_fr, entry.title_en, entry.action_en)
    assert all(text.strip() and text.endswith((".", ":.")) for text in texts)
    assert entry.title_fr != entry.title_en
    assert entry.action_fr != entry.action_en
    assert 400 <= entry.status <= 599
    params = {field.removesuffix("_size"): 12_345 for field in placeholders(code)}
    for lang in ("fr", "en"):
        shown = message(code, lang, **params)
        assert "…" not in shown.title + shown.action
        assert "{" not in shown.title + shown.action


def test_an_error_message_never_fails():
    assert message("TOO_LARGE").status == 413
    assert "…" in message("TOO_LARGE").title
    assert message("NO_SUCH_CODE", "en") == message(UNKNOWN_CODE, "en")
    assert message("EMPTY_FILE", "de") == message("EMPTY_FILE", "fr")
    assert "{0.__class__}" in message("FIELD_INVALID", field="{0.__class__}").title
    assert len(message("FIELD_INVALID", field="x" * 10_000).title) < 300


def test_sizes_are_readable():
    assert readable_size(20_000_000, english=False) == "20\u00a0Mo"
    assert readable_size(1_500, english=False) == "1,5\u00a0ko"
    assert readable_size(1_500, english=True) == "1.5\u00a0kB"
    assert readable_size(3, english=True) == "3\u00a0B"
    assert "20\u00a0Mo" in message("TOO_LARGE", limit=20_000_000).title


@pytest.mark.parametrize("problem", sorted(NAME_PROBLEMS))
def test_name_problems_are_told_in_words(problem):
    french = message("NAME_INVALID", problem=problem, character="U+202E").title
    english = message("NAME_INVALID", "en", problem=problem, character="").title
    assert NAME_PROBLEMS[problem][0] in french
    assert "U+202E" in french
    assert NAME_PROBLEMS[problem][1] in english
