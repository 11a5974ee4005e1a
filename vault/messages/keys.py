"""Words about keys. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

KEYS = {
    "SEAL_KEY_MISSING": Entry(
        503,
        "Aucune clé valable n’appose ce cachet ({purpose} {administration}).",
        "L’exploitant doit en installer une : « probans keys csr », puis « probans keys install ».",
        "No valid key makes this seal ({purpose} {administration}).",
        "The operator has to install one: `probans keys csr`, then `probans keys install`.",
    ),
    "UNKNOWN_KEY": Entry(
        404,
        "Il n’y a pas de telle clé.",
        "« probans keys list » donne celles qu’il y a.",
        "There is no such key.",
        "`probans keys list` gives those there are.",
    ),
    "KEY_IN_USE": Entry(
        409,
        "Cette clé sert encore : {count} clés enveloppées la nomment, ou ne se laissent pas lire.",
        "Achevez le changement par « probans keys rotate-encryption », puis recommencez.",
        "This key is still in use: {count} wrapped keys name it, or cannot be read.",
        "Finish the change by `probans keys rotate-encryption`, then try again.",
    ),
    "KEY_RECENT": Entry(
        409,
        "Le changement est trop récent : des dépôts commencés avant lui peuvent s’achever encore.",
        "Recommencez après le {until}.",
        "The change is too recent: deposits that began before it may still come to their end.",
        "Try again after {until}.",
    ),
}
