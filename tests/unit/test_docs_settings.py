"""docs/settings.md is what tools/settings_doc.py writes, and names every setting."""

from __future__ import annotations

import runpy
from pathlib import Path

from vault.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "settings_doc.py"))["document"]()
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == made, "run tools/settings_doc.py"


def test_every_setting_is_named_and_explained() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert f"| `PROBANS_{name.upper()}` |" in page
        assert field.description
        assert field.description in page
