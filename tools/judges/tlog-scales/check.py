"""Asks tlog-scales about a whole published log: check.py URL VKEYS; ends with `accepted SIZE` or an exception.

tlog-scales is a library with a small command line; this reads every entry through it. Run with the Python of its
own environment (tools/install.sh tlog-scales).
"""

import sys
from pathlib import Path

from tlog_scales import backend, signing, tiles
from tlog_scales.reader import TilesReader


def check(url: str, vkeys: list[str]) -> int:
    """Return the size of a log that the library accepts; raise for one that it does not."""
    reader = TilesReader(backend.make_backend(url))
    checkpoint = reader.get_checkpoint()
    keys = [signing.Vkey.from_string(vkey) for vkey in vkeys]
    verified = signing.VkeySet(*keys).verify(checkpoint.signatures, checkpoint)
    if len(verified) != len(keys):
        raise ValueError(f"{len(verified)} of {len(keys)} keys signed")
    if reader.calculate_root_hash() != checkpoint.root_hash:
        raise ValueError("the tiles do not hash to the checkpoint")
    for index in range(checkpoint.size):
        leaf = tiles.leaf_hash(reader.get_entry(index))
        if leaf != reader.mth(index, index + 1):
            raise ValueError(f"entry {index} is not the one in the tile")
        # Adjacent proofs share nearly everything: one in 64, the first and the last tell as much.
        if index % 64 == 0 or index == checkpoint.size - 1:
            reader.get_inclusion_proof(index, checkpoint.size).check(leaf, checkpoint.root_hash)
    return checkpoint.size


if __name__ == "__main__":
    print("accepted", check(sys.argv[1], Path(sys.argv[2]).read_text().split()))
