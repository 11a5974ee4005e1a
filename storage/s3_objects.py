"""Write-once object store in an S3 bucket with versioning and Object Lock.

Names are `objects/ab/<address>`. An object is the version, under its name, that has the octets of its address and the
longest lock: others may lie beside it (a delete marker hides nothing from whoever reads by version, and whoever writes
over a name only adds a version), and `storage.s3_findings` reports them. Retention is in COMPLIANCE mode, sent with
every object and read back, to the second, rounded up.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from storage import retention
from storage.base import Durability, Oddity, Staged, Stored
from storage.errors import ObjectDamaged, ObjectMissing, RetentionActive, StorageUnavailable
from storage.names import is_address, known_address
from storage.s3_buckets import honours_conditions
from storage.s3_client import PreconditionFailed, S3Client, StoreRefused, b64
from storage.s3_findings import OBJECTS as FOLDER
from storage.s3_findings import oddities
from storage.s3_staging import StagedOctets, stage, staged_octets
from storage.s3_upload import READ_SIZE, Content, digest_of, fetch, sweep_uploads, write
from storage.s3_versions import (
    Held,
    by_name,
    delete_version,
    due,
    hold,
    is_held,
    keep,
    level,
    locked,
    of_key,
    versions,
)

_MEDIA_TYPE = "application/octet-stream"
_YIELD = 1 << 20
_TRIES = 5
_STRIPES = 64


@dataclass(frozen=True, slots=True)
class S3ObjectsConfig:
    """Settings of the S3 object store.

    Attributes:
        bucket: with versioning and Object Lock.
        spool: folder of the unnamed files in which encrypted octets wait; None for the system's.
        threads: requests of one process at a time that write.
        parts_above: octets from which on an object is sent in parts.
        remembered: versions whose identifier a process keeps in mind.
        proved: whether a proof says that not even the store's administrator can lift a lock.
    """

    bucket: str
    spool: Path | None = None
    threads: int = 16
    parts_above: int = 64 * 1024 * 1024
    remembered: int = 65_536
    proved: bool = False


def key_of(address: str) -> str:
    """Return an object's name in the bucket."""
    return f"{FOLDER}{address[:2]}/{address}"


class S3ObjectStore:
    """`ObjectStore` on S3 Object Lock, for any number of threads, processes and hosts.

    Two processes must not delete and commit the same address at once: between the check of a lock and a deletion
    another host may set one, and it is for the service to judge.
    """

    def __init__(
        self, client: S3Client, config: S3ObjectsConfig, now: Callable[[], datetime] = retention.system_now
    ) -> None:
        """Take a bucket as it is; `storage.s3_buckets.demand_locked` says whether it will do."""
        self._client = client
        self._config = config
        self._now = now
        self._pool = ThreadPoolExecutor(config.threads, thread_name_prefix="s3-put")
        self._known: OrderedDict[str, str] = OrderedDict()
        self._guard = threading.Lock()
        self._conditions: bool | None = None
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]

    def put(self, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Staged:
        """Stage octets in a file without name, while hashing them.

        Raises:
            StorageUnavailable: they cannot be written.
            ValueError: the retention has no time zone.
        """
        return stage(chunks, retention.whole_seconds(retention.checked(retain_until)), self._config.spool)

    def commit(self, staged: Sequence[Staged]) -> list[Stored]:
        """Make staged objects durable and immutable: each acknowledged, its version and lock read back.

        Raises:
            StorageUnavailable: some could not be written or locked; commit again, or put again.
            ObjectDamaged: other octets stand under one of the addresses.
        """
        for item in staged:
            staged_octets(item)
        if len(staged) < 2:
            return [self._commit(item) for item in staged]
        try:
            return list(self._pool.map(self._commit, staged))
        except RuntimeError as error:
            raise StorageUnavailable("the store is closed") from error

    def discard(self, staged: Sequence[Staged]) -> None:
        """Close staged files, which lets the file system forget them."""
        for item in staged:
            staged_octets(item).file.close()

    def read(self, address: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield stored octets by version; a range is cut at the end of the object.

        Each request takes a few mebibytes whole, so that a slow reader holds no connection.

        Raises:
            ObjectMissing: at the call.
            StorageUnavailable: at the call or while reading.
            ValueError: offset or length is negative.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        held = self._held(address)
        end = held.size if length is None else min(held.size, offset + length)
        return self._chunks(address, held.version, offset, end)

    def _chunks(self, address: str, version: str, offset: int, end: int) -> Iterator[bytes]:
        while offset < end:
            data = fetch(
                self._client,
                self._config.bucket,
                key_of(address),
                version,
                offset,
                min(READ_SIZE, end - offset),
            )
            offset += len(data)
            for start in range(0, len(data), _YIELD):
                yield data[start : start + _YIELD]

    def stat(self, address: str) -> Stored:
        """Return size and retention. Raises ObjectMissing, StorageUnavailable."""
        return _stored(address, self._held(address))

    def extend(self, address: str, retain_until: datetime) -> Stored:
        """Lengthen the retention.

        Raises:
            ObjectMissing: no such object.
            RetentionActive: the new date is earlier than the present one.
            StorageUnavailable: the store does not take it.
        """
        until = retention.whole_seconds(retention.checked(retain_until))
        with self._locked(known_address(address)):
            held = self._find(address)
            if retention.later(held.retain_until, until) != until:
                raise RetentionActive("a retention can be lengthened, never shortened")
            return _stored(address, self._kept(address, held, until))

    def legal_hold(self, address: str, *, on: bool) -> None:
        """Forbid deletion whatever the retention, until this is lifted. Raises ObjectMissing, StorageUnavailable."""
        with self._locked(known_address(address)):
            held = self._find(address)
            hold(self._client, self._config.bucket, key_of(address), held.version, on=on)
            if is_held(self._client, self._config.bucket, key_of(address), held.version) is not on:
                raise StorageUnavailable("the store does not keep the legal hold it was given")

    def delete(self, address: str) -> None:
        """Delete every version and marker of an object whose retention is over.

        Raises:
            ObjectMissing: no such object.
            RetentionActive: the retention of a version is not over, or a legal hold lies on it.
            StorageUnavailable: the store does not answer.
        """
        bucket, key = self._config.bucket, key_of(known_address(address))
        with self._locked(address):
            found = of_key(self._client, bucket, key)
            data = [locked(self._client, bucket, key, each.version) for each in found if not each.marker]
            if not data:
                raise ObjectMissing("no object has this address")
            if any(each.until is not None and self._now() < each.until for each in data):
                raise RetentionActive("the object is under retention")
            if any(is_held(self._client, bucket, key, each.version) for each in data):
                raise RetentionActive("a legal hold lies on the object")
            self.forget(address)
            for version in (
                *(each.version for each in data),
                *(each.version for each in found if each.marker),
            ):
                delete_version(self._client, bucket, key, version, "the store keeps the object")

    def addresses(self) -> Iterator[str]:
        """Yield every committed address, those behind delete markers too. Raises StorageUnavailable."""
        bucket = self._config.bucket
        for folder in level(self._client, bucket, FOLDER)[1]:
            for key, group in by_name(versions(self._client, bucket, folder)):
                address = key.rpartition("/")[2]
                if is_address(address) and key == key_of(address) and any(not each.marker for each in group):
                    yield address

    def oddities(self) -> Iterator[Oddity]:
        """Yield hidden, overwritten and foreign names of the whole bucket. Raises StorageUnavailable."""
        return oddities(self._client, self._config.bucket)

    def repair(self, address: str, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Stored:
        """Write right octets over damaged ones, under the longer lock: of versions that lock alike the newest is read.

        Raises:
            ObjectMissing: nothing is there.
            ObjectDamaged: the chunks are not of this address either.
            StorageUnavailable: they cannot be written or locked.
        """
        wanted = bytes.fromhex(known_address(address))
        until = retention.whole_seconds(retention.checked(retain_until))
        bucket, key = self._config.bucket, key_of(address)
        item = self.put(chunks, until)
        staged = staged_octets(item)
        try:
            if item.address != address:
                raise ObjectDamaged("these are not the octets of this address")
            with self._locked(address):
                held = self._find(address)
                until = due(retention.later(held.retain_until, until))
                if digest_of(self._client, bucket, key, held) == wanted:
                    return _stored(address, self._kept(address, held, until))
                content = Content(staged.file, item.size, wanted, _MEDIA_TYPE, until)
                limit = self._config.parts_above
                held = write(self._client, bucket, key, content, parts_above=limit, fresh=False)
                self._remember(address, held.version)
                return _stored(address, held)
        finally:
            staged.file.close()

    def forget(self, address: str) -> None:
        """Look anew for the version that is the object: another process may have repaired it."""
        with self._guard:
            self._known.pop(address, None)

    def durability(self) -> Durability:
        """Say what is known of the service: what was proved, and that its disks are its own affair."""
        proof = (
            "a proof says that nobody can"
            if self._config.proved
            else "no proof says that its administrator cannot"
        )
        return Durability(
            survives_power_loss=False,
            immutable_for_operator=self._config.proved,
            note="Objects lie in an S3 bucket under COMPLIANCE locks, each read back before it is acknowledged; "
            f"{proof} lift them; whether they survive a power cut is for the store's documentation to say.",
        )

    def sweep_staging(self, older_than: timedelta) -> int:
        """Abort uploads in parts that crashes left; return how many. Raises StorageUnavailable."""
        return sweep_uploads(self._client, self._config.bucket, FOLDER, older_than)

    def close(self) -> None:
        """End the writing threads; a later commit of several raises StorageUnavailable."""
        self._pool.shutdown()

    def _commit(self, item: Staged) -> Stored:
        staged = staged_octets(item)
        with staged.lock:
            for _ in range(_TRIES):
                try:
                    held = self._written(item, staged)
                    staged.file.close()
                    self._remember(item.address, held.version)
                    return _stored(item.address, held)
                except PreconditionFailed:
                    pass
                except ObjectMissing:
                    if staged.file.closed:
                        raise StorageUnavailable("these staged octets are gone: put them again") from None
        raise StorageUnavailable("the object comes and goes: commit again")

    def _written(self, item: Staged, staged: StagedOctets) -> Held:
        """Write an object, or take the one that stands there for it."""
        if not staged.file.closed and self._honours_conditions():
            with suppress(PreconditionFailed):
                return self._sent(item, staged)
        with self._locked(item.address):
            try:
                held = self._find(item.address)
            except ObjectMissing:
                if staged.file.closed:
                    raise
                # Nobody else in this process writes it now; another host's twin would be harmless.
                return self._sent(item, staged)
            bucket, key, until = self._config.bucket, key_of(item.address), due(item.retain_until)
            if held.size != item.size:
                raise ObjectDamaged("the object that stands under this address has another size")
            if held.sha256 != b64(bytes.fromhex(item.address)) and digest_of(
                self._client, bucket, key, held
            ) != bytes.fromhex(item.address):
                raise ObjectDamaged("the object that stands under this address has other octets")
            if retention.later(held.retain_until, until) != held.retain_until:
                held = self._kept(item.address, held, until)
            return held

    def _sent(self, item: Staged, staged: StagedOctets) -> Held:
        content = Content(
            staged.file, item.size, bytes.fromhex(item.address), _MEDIA_TYPE, due(item.retain_until)
        )
        bucket, key = self._config.bucket, key_of(item.address)
        return write(self._client, bucket, key, content, parts_above=self._config.parts_above)

    def _honours_conditions(self) -> bool:
        """Tell whether the service refuses to write over a name when asked to; found out once, at the first commit.

        Where it does not, a commit looks before it writes, which costs a request.
        """
        with self._guard:
            known = self._conditions
        if known is None:
            known = honours_conditions(self._client, self._config.bucket)
            with self._guard:
                self._conditions = known
        return known

    def _kept(self, address: str, held: Held, until: datetime | None) -> Held:
        """Lengthen a lock; whoever was faster with a longer one has done it."""
        if until is None:
            return held
        bucket, key = self._config.bucket, key_of(address)
        refusal: StoreRefused | None = None
        try:
            keep(self._client, bucket, key, held.version, until)
        except StoreRefused as error:
            refusal = error
        held = locked(self._client, bucket, key, held.version)
        if held.retain_until is None or held.retain_until < until:
            raise StorageUnavailable("the store does not keep the lock it was given") from refusal
        return held

    def _held(self, address: str) -> Held:
        """Return the version that is the object, by the identifier in mind if there is one."""
        with self._guard:
            version = self._known.get(known_address(address))
        if version is not None:
            try:
                return locked(self._client, self._config.bucket, key_of(address), version)
            except ObjectMissing:
                self.forget(address)
        return self._find(address)

    def _find(self, address: str) -> Held:
        """Look for the version that is the object: of those with its checksum, else of all, the longest locked."""
        bucket, key = self._config.bucket, key_of(known_address(address))
        found = [each for each in of_key(self._client, bucket, key) if not each.marker]
        data = [locked(self._client, bucket, key, each.version) for each in found]
        own = [each for each in data if each.sha256 == b64(bytes.fromhex(address))]
        if not data:
            raise ObjectMissing("no object has this address")
        best = max(
            own or data,
            key=lambda each: (each.retain_until is not None, each.retain_until, -data.index(each)),
        )
        self._remember(address, best.version)
        return best

    def _remember(self, address: str, version: str) -> None:
        with self._guard:
            self._known[address] = version
            self._known.move_to_end(address)
            while len(self._known) > self._config.remembered:
                self._known.popitem(last=False)

    def _locked(self, address: str) -> threading.Lock:
        return self._stripes[int(address[:8], 16) % _STRIPES]


def _stored(address: str, held: Held) -> Stored:
    return Stored(address, held.size, held.retain_until)
