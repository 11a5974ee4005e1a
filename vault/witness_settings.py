"""Which witnesses the operator chose: the policy file of the settings, joined with the log's own keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vault.errors import SettingsRefused
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import NO_QUORUM, Policy, policy_text


def witness_policy(path: Path | None, keys: LedgerKeys) -> Policy:
    """Return the policy under which this log is to be verified.

    Args:
        path: c2sp.org/tlog-policy file; None for no witness. Its log lines, where there are any for this log,
            must be of the log's own keys; those of other logs are left out.
        keys: the log's own.

    Raises:
        SettingsRefused: SETTINGS_REFUSED with what is wrong with the file.
    """
    own = (keys.ed25519, keys.ml_dsa_44)
    if path is None:
        return Policy(logs=own)
    try:
        read = Policy.parse(path.read_bytes())
    except OSError as error:
        raise _refused(f"{path.name} cannot be read") from error
    except LedgerProofRefused as error:
        raise _refused(f"{path.name}, {error.detail}") from error
    if not set(read.log_keys(keys.origin)) <= set(own):
        raise _refused(f"{path.name} lists keys of {keys.origin} that are not this log's")
    if not read.witnesses:
        raise _refused(f"{path.name} names no witness")
    if absent := [name for name in read.witnesses if name not in read.urls]:
        raise _refused(f"{path.name}: witness {absent[0]} has no address to ask it at")
    if {key.public for key in own} & {key.public for key in read.witnesses.values()}:
        raise _refused(f"{path.name}: a key of this log cannot be its witness")
    return replace(read, logs=own)


def counting(policy: Policy) -> Policy:
    """Return the policy that counts the same witnesses and asks for none."""
    return replace(policy, quorum=NO_QUORUM)


def trust_text(policy: Policy) -> str:
    """Write the policy for verifiers."""
    return policy.text() if policy.witnesses else policy_text([key.vkey for key in policy.logs])


def _refused(detail: str) -> SettingsRefused:
    return SettingsRefused("SETTINGS_REFUSED", f"PROBANS_WITNESS_POLICY: {detail}.")
