"""Whether witnesses know more of the ledger than a recovery could bring back."""

from __future__ import annotations

from storage.errors import ObjectMissing
from vault.composition.parts import Parts
from vault.composition.witnesses import witness_policy
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import last_cosigned
from vault.ledger.stored import StoredTiles, latest_checkpoint
from vault.ledger.tiles import CHECKPOINT_PATH
from vault.ledger.witness_client import Extension, WitnessClient, WitnessFork, WitnessUnavailable

_FOUND = (
    "{code} {url} : ce témoin a contresigné {theirs} inscriptions, ou un autre contenu ; ce coffre en montre {ours}. "
    "Remettez les fichiers publiés plus récents, si quelqu'un en a gardé une copie, et recommencez ; sinon, clôturez "
    "ce registre : « probans recover --new-generation {origin} --last POINT » avec le PROBANS_ORIGIN suivant. / "
    "this witness cosigned {theirs} entries, or another content; this safe shows {ours}. Put back newer published "
    "files, if anybody kept a copy, and recover again; else retire this ledger: `probans recover --new-generation "
    "{origin} --last CHECKPOINT` with the next PROBANS_ORIGIN (docs/trust.md, Retiring a ledger)."
)
_NOT_ASKED = (
    "{detail} : pas interrogé ; le service le fera au départ. / not asked; the service will at its start."
)


def witnesses_ahead(parts: Parts) -> tuple[list[str], list[str]]:
    """Ask every witness of the settings about the newest checkpoint of a database that was just recovered.

    A copy that was taken back whole, published files too, recovers without any contradiction: only somebody outside
    knows that it is an older state.

    Returns:
        A sentence for each witness that holds more, or another history, with what to do; and one for each that
        did not answer.

    Raises:
        SettingsRefused: the policy of the settings cannot be used.
        VaultError, storage.errors.StorageError: the ledger cannot be read.
    """
    policy = witness_policy(parts.settings.witness_policy, parts.settings.origin, parts.trusted)
    note = _newest(parts)
    if note is None:
        return [], []
    size = Checkpoint.parse(note).size

    def extend(old: int) -> Extension:
        with parts.database.reading() as connection:
            tiles = StoredTiles(connection, {})
            return Extension(tree.root(tiles, old), tuple(tree.consistency_proof(tiles, old, size)))

    ahead: list[str] = []
    silent: list[str] = []
    for name, url in policy.urls.items():
        key = policy.witnesses[name]
        with parts.database.reading() as connection:
            known = last_cosigned(connection, [key])
        client = WitnessClient(url, [key], parts.settings.witness_timeout)
        try:
            client.submit(note, known, extend)
        except WitnessFork as error:
            ahead.append(
                _FOUND.format(
                    code=error.code, url=url, theirs=error.theirs, ours=size, origin=parts.settings.origin
                )
            )
        except WitnessUnavailable as error:
            silent.append(_NOT_ASKED.format(detail=error.detail))
        finally:
            client.close()
    return ahead, silent


def _newest(parts: Parts) -> bytes | None:
    """Return the newest checkpoint, of the database or, where that was rebuilt, of the published files."""
    with parts.database.reading() as connection:
        latest = latest_checkpoint(connection)
    try:
        published = parts.log.get(CHECKPOINT_PATH)
    except ObjectMissing:
        return latest[1] if latest else None
    return latest[1] if latest and latest[0] >= Checkpoint.parse(published).size else published
