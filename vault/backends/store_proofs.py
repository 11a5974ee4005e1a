"""The proof of an object store, as a file beside the keys: written by `probans storage prove`, read at every start.

The file carries no signature: whoever can write it can change the settings too. What it says is not taken on trust
alone: at start the object that the proof left behind is asked for, and must still be under its lock.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plumbing.disk import replace_durably
from storage.proving import Attempt, Proof
from vault.clock import parse_rfc3339, rfc3339
from vault.errors import SettingsRefused

_VERSION = 1
_HOW = "run `probans storage prove`"


def to_json(proof: Proof) -> dict[str, Any]:
    """Return a proof as the file and `--json` show it."""
    return {
        "v": _VERSION,
        "holds": proof.holds,
        "endpoint": proof.endpoint,
        "bucket": proof.bucket,
        "server": proof.server,
        "made_at": rfc3339(proof.made_at),
        "conditions": proof.conditions,
        "kept": {"key": proof.kept[0], "version": proof.kept[1], "until": rfc3339(proof.kept_until)},
        "attempts": [
            {"name": each.name, "outcome": each.outcome, "found": each.found} for each in proof.attempts
        ],
    }


def save(proof: Proof, path: Path) -> None:
    """Write a proof, readable by the service's user only. Raises OSError."""
    replace_durably(path, json.dumps(to_json(proof), indent=1).encode(), alone=True)


def load(path: Path) -> Proof:
    """Read a proof. Raises SettingsRefused when there is none that can be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
        attempts = tuple(Attempt(each["name"], each["outcome"], each["found"]) for each in found["attempts"])
        kept = found["kept"]
        proof = Proof(
            found["endpoint"],
            found["bucket"],
            parse_rfc3339(found["made_at"]),
            found["server"],
            attempts,
            found["conditions"] is True,
            (kept["key"], kept["version"]),
            parse_rfc3339(kept["until"]),
        )
    except FileNotFoundError as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"No proof of the object store: {_HOW}.") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED", f"The proof of the object store cannot be read: {_HOW}."
        ) from error
    if found.get("v") != _VERSION or not attempts:
        raise SettingsRefused("SETTINGS_REFUSED", f"The proof of the object store has another form: {_HOW}.")
    return proof


def demand_fresh(proof: Proof, endpoint: str, bucket: str, now: datetime, longest: timedelta) -> None:
    """Refuse a proof that is of another store, too old, or shows a weakness.

    Raises:
        SettingsRefused: with what to do.
    """
    if (proof.endpoint, proof.bucket) != (endpoint, bucket):
        raise SettingsRefused(
            "SETTINGS_REFUSED", f"The proof is of {proof.endpoint}/{proof.bucket}, not of this store: {_HOW}."
        )
    weak = [each.name for each in proof.attempts if each.outcome not in {"refused", "harmless"}]
    if weak:
        raise SettingsRefused(
            "SETTINGS_REFUSED",
            f"The object store does not hold what it locks ({', '.join(weak)}): take another, or a newer version.",
        )
    if not proof.made_at <= now <= proof.made_at + longest:
        raise SettingsRefused(
            "SETTINGS_REFUSED", f"The proof of the object store is of {rfc3339(proof.made_at)}: {_HOW} again."
        )
