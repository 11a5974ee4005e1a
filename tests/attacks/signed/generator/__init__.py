"""Makes signed files that mislead, one for each rule, and the genuine ones beside them.

python -m tests.attacks.signed.generator FOLDER: writes all of them, with `attacks.tsv` and the trusted root.
"""

from __future__ import annotations

from tests.attacks.signed.generator import changes, containers, coverage, keys
from tests.attacks.signed.generator.base import ATTACKS, Attack, Bench, Made

__all__ = ["ATTACKS", "Attack", "Bench", "Made", "changes", "containers", "coverage", "keys"]
