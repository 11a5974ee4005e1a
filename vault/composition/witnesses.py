"""Which witnesses the operator chose: the policy file of the settings, joined with the log's own keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vault.errors import SettingsRefused
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.policy import NO_QUORUM, Policy


def witness_policy(path: Path | None, origin: str, own: Policy) -> Policy:
    """Return the policy under which this log is to be verified.

    Args:
        path: c2sp.org/tlog-policy file; None for no witness. Its log lines, where there are any for this log,
            must be of the log's own keys; those of other logs are left out.
        origin: identity of the log.
        own: the log's own keys.

    Raises:
        SettingsRefused: SETTINGS_REFUSED with what is wrong with the file.
    """
    if path is None:
        return own
    try:
        read = Policy.parse(path.read_bytes())
    except OSError as error:
        raise _refused(f"{path.name} cannot be read") from error
    except LedgerProofRefused as error:
        raise _refused(f"{path.name}, {error.detail}") from error
    if not set(read.log_keys(origin)) <= set(own.logs):
        raise _refused(f"{path.name} lists keys of {origin} that are not this log's")
    if not read.witnesses:
        raise _refused(f"{path.name} names no witness")
    if absent := [name for name in read.witnesses if name not in read.urls]:
        raise _refused(f"{path.name}: witness {absent[0]} has no address to ask it at")
    if {key.public for key in own.logs} & {key.public for key in read.witnesses.values()}:
        raise _refused(f"{path.name}: a key of this log cannot be its witness")
    return with_keys(read, own)


def counting(policy: Policy) -> Policy:
    """Return the policy that counts the same witnesses and asks for none."""
    return replace(policy, quorum=NO_QUORUM)


def with_keys(policy: Policy, own: Policy) -> Policy:
    """Return a policy with the log's keys as they are now: they may have been changed since it was read."""
    return replace(policy, logs=own.logs, last_sizes=own.last_sizes)


def _refused(detail: str) -> SettingsRefused:
    return SettingsRefused("SETTINGS_REFUSED", f"PROBANS_WITNESS_POLICY: {detail}.")
