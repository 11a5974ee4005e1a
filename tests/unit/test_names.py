"""File names: one and the same everywhere, and deceiving nobody."""

from __future__ import annotations

import unicodedata
from email.message import Message
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.strict_zip import name_problem
from vault.errors import Refused
from vault.files.names import clean_file_name, content_disposition


@pytest.mark.parametrize(
    "name",
    [
        "acte.pdf",
        "Acte de naissance – Zoë Lœuillet.pdf",
        "facture n° 12 (copie).xml",
        "عقد الزواج.pdf",
        "出生証明書.pdf",
        "👪.png",
        "a",
        "console.txt",
        "é" * 90,
    ],
)
def test_honest_names_pass_unchanged(name):
    assert clean_file_name(name) == name


def test_names_are_composed():
    assert clean_file_name("e\u0301tat.pdf") == "état.pdf"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("a\x00.pdf", "control"),
        ("a\r\nSet-Cookie: x.pdf", "control"),
        ("a\x7f", "control"),
        ("a\x85", "control"),
        ("a\u2028b", "control"),
        ("a\ufffe", "unassigned"),
        ("a\ue000", "unassigned"),
        ("می\u200cخواهم", "invisible"),
        ("acte\u202efdp.exe", "invisible"),
        ("acte\u2066x\u2069.pdf", "invisible"),
        ("acte\u200f.pdf", "invisible"),
        ("acte\u061c.pdf", "invisible"),
        ("acte\u200b.pdf", "invisible"),
        ("acte\u00ad.pdf", "invisible"),
        ("\ufeffacte.pdf", "invisible"),
        ("acte\U000e0041.pdf", "invisible"),
        ("acte\ud800.pdf", "surrogate"),
        ("../secret", "path"),
        ("a/b", "path"),
        ("a\\b", "path"),
        ("C:acte.pdf", "reserved"),
        ("a%2e.pdf", "reserved"),
        ("a*.pdf", "reserved"),
        ('a".pdf', "reserved"),
        ("..", "dot"),
        (".profile", "dot"),
        ("acte.pdf.", "dot"),
        (" acte.pdf", "space"),
        ("acte.pdf ", "space"),
        ("acte.pdf\u00a0", "space"),
        ("CON", "device"),
        ("con.pdf", "device"),
        ("nul .txt", "device"),
        ("COM1.tar.gz", "device"),
        ("lpt².pdf", "device"),
        ("é" * 91, "too_long"),
        ("a" * 181, "too_long"),
        ("a" * 100_000, "too_long"),
    ],
)
def test_deceiving_names_are_refused(name, problem):
    with pytest.raises(Refused) as caught:
        clean_file_name(name)
    assert (caught.value.code, caught.value.params["problem"]) == ("NAME_INVALID", problem)


@given(st.text(max_size=200))
def test_whatever_passes_is_safe_everywhere(raw):
    try:
        name = clean_file_name(raw)
    except Refused:
        return
    assert clean_file_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert 0 < len(name.encode()) <= 180
    assert PurePosixPath(name).name == name == PureWindowsPath(name).name
    assert not PureWindowsPath(name).is_reserved()
    assert name_problem(f"document/{name}") is None


def parsed(header: str) -> str | None:
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename()


@given(st.text(min_size=1, max_size=60))
def test_a_header_gives_the_exact_name_back(raw):
    try:
        name = clean_file_name(raw)
    except Refused:
        return
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    value = header.partition("filename*=")[2] or header.partition("filename=")[2]
    if "filename*=" in header:
        assert unquote(value.removeprefix("UTF-8''")) == name
    else:
        assert parsed(header) == name


def test_accents_survive_and_degrade_readably():
    assert content_disposition("acte.pdf") == 'attachment; filename="acte.pdf"'
    assert content_disposition("Œuvre d’été.pdf") == (
        "attachment; filename=\"OEuvre d'ete.pdf\"; filename*=UTF-8''%C5%92uvre%20d%E2%80%99%C3%A9t%C3%A9.pdf"
    )
