"""What lies in a locked bucket beside what was committed: nobody needs a key to look."""

from __future__ import annotations

from collections.abc import Iterator

from storage.base import Oddity
from storage.names import is_address
from storage.s3_buckets import PROOFS
from storage.s3_client import S3Client, b64
from storage.s3_versions import Version, by_name, head, level, versions

OBJECTS, LEDGER = "objects/", "ledger/"


def oddities(client: S3Client, bucket: str) -> Iterator[Oddity]:
    """Look at every version of every name.

    Steps:
        1. A name that is neither an object's, nor of the ledger, nor of a proof, is foreign.
        2. A delete marker hides the name from whoever gives no version.
        3. Several versions that are not of the same octets: somebody wrote over it, and what was first still lies
           there.
        4. A version without identifier was written while versioning was off.

    Raises:
        StorageUnavailable: the bucket cannot be listed.
    """
    for key, found in by_name(_everything(client, bucket)):
        # 1
        if not _own(key):
            yield Oddity("NAME_FOREIGN", _short(key), "a name that the safe never writes")
            continue
        if key.startswith(PROOFS):
            continue
        # 2
        data = [each for each in found if not each.marker]
        if data and any(each.marker and each.latest for each in found):
            yield Oddity("OBJECT_HIDDEN", _short(key), "a delete marker lies over it; its octets are there")
        # 3
        if len({(each.size, each.etag) for each in data}) > 1 and _differ(client, bucket, key, data):
            words = f"{len(data)} versions; what was committed is one of them"
            yield Oddity("OBJECT_OVERWRITTEN", _short(key), words)
        # 4
        if any(each.version == "null" for each in found):
            yield Oddity("VERSION_MISSING", _short(key), "written while the bucket had no versioning")


def _everything(client: S3Client, bucket: str) -> Iterator[Version]:
    """Yield all there is, part by part: some services walk all that comes before a page."""
    direct, tops = level(client, bucket, "")
    yield from direct
    for top in tops:
        if top != OBJECTS:
            yield from versions(client, bucket, top)
            continue
        direct, shards = level(client, bucket, top)
        yield from direct
        for shard in shards:
            yield from versions(client, bucket, shard)


def _own(key: str) -> bool:
    if key.startswith((LEDGER, PROOFS)):
        return True
    shard, _, address = key.removeprefix(OBJECTS).partition("/")
    return key.startswith(OBJECTS) and is_address(address) and address.startswith(shard) and len(shard) == 2


def _differ(client: S3Client, bucket: str, key: str, data: list[Version]) -> bool:
    """Tell whether a version has other octets: the same may have been sent in one piece and in parts."""
    address = key.rpartition("/")[2]
    if not is_address(address):
        return True
    own = b64(bytes.fromhex(address))
    return any(head(client, bucket, key, each.version).sha256 != own for each in data)


def _short(key: str) -> str:
    """Return a name as reports may show it; an attacker may have chosen it."""
    address = key.rpartition("/")[2]
    if is_address(address):
        return address
    return key.encode("ascii", "backslashreplace").decode()[:200]
