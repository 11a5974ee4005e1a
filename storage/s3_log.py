"""Log store in two S3 buckets: finished files locked and read by version, the others replaceable.

Which files are finished once they are written (full tiles, anchors) the caller says. Of such a file the first version
is the file: whoever writes over it adds a version that nobody reads. The others lie where nothing is kept.

Conditional writes (`If-None-Match`, `If-Match`) decide between writers where the service honours them. Where it does
not, two hosts could both believe that theirs was written: there the publisher's role, which is a lock in the database,
decides, and the checkpoint in the store only follows. Within a process a lock per path decides in any case.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage import retention
from storage.errors import LogConflict, ObjectMissing, StorageUnavailable
from storage.names import is_log_path, writable_log_path
from storage.s3_client import PreconditionFailed, S3Client, StoreRefused
from storage.s3_upload import READ_SIZE, Content, fetch, write
from storage.s3_versions import (
    Held,
    by_name,
    delete_version,
    due,
    head,
    keep,
    locked,
    names,
    of_key,
    versions,
)

FOLDER = "ledger/"
_STRIPES = 64
_AT_ONCE = 1 << 40
_REMEMBERED = 65_536


@dataclass(frozen=True, slots=True)
class S3LogConfig:
    """Settings of the S3 log store.

    Attributes:
        locked: bucket with versioning and Object Lock, for finished files.
        plain: bucket without versioning, for those that are replaced.
        retention: of finished files, from when they are written.
        finished: tells whether a path is of a file that is never replaced.
        place: of this ledger under `ledger/`, with a slash at its end; empty for the root.
    """

    locked: str
    plain: str
    retention: timedelta
    finished: Callable[[str], bool]
    place: str = ""


class S3LogStore:
    """`LogStore` on S3, for any number of threads; between hosts as far as the service honours conditions."""

    def __init__(
        self, client: S3Client, config: S3LogConfig, now: Callable[[], datetime] = retention.system_now
    ) -> None:
        """Take the buckets as they are."""
        self._client = client
        self._config = config
        self._now = now
        self._prefix = FOLDER + config.place
        self._stripes = [threading.RLock() for _ in range(_STRIPES)]
        # A safe never takes one for the other: what is in mind spares requests, no more.
        self._folders: set[str] = set()
        self._files: set[str] = set()

    def put_if_absent(self, path: str, data: bytes, media_type: str) -> None:
        """Write once; the same bytes again are success.

        Raises:
            LogConflict: other bytes stand there, or the path is a folder, or lies under a file.
            NameRefused: no file may be written at this path.
            StorageUnavailable: it cannot be written.
        """
        with self._locked(writable_log_path(path)):
            self._check_place(path)
            try:
                self._write(path, data, media_type, {"If-None-Match": "*"})
            except PreconditionFailed:
                pass
            else:
                if not self._finished(path):
                    return
            # Of a finished file the first version decides, whether conditions are honoured or not.
            if self._current(path) != data:
                raise LogConflict("other bytes already stand at this path")

    def get(self, path: str) -> bytes:
        """Return the bytes at a path. Raises ObjectMissing, StorageUnavailable."""
        if not is_log_path(path):
            raise ObjectMissing("the log has no such file")
        return self._current(path)

    def compare_and_swap(self, path: str, old: bytes | None, new: bytes, media_type: str) -> None:
        """Replace `old` (None: absent) by `new`.

        Raises:
            LogConflict: something other than `old` stands there, or what stands there is never replaced.
            NameRefused: no file may be written at this path.
            StorageUnavailable: it cannot be written.
        """
        with self._locked(writable_log_path(path)):
            self._check_place(path)
            conditions = [{"If-None-Match": "*"}]
            if self._standing(path) != old:
                raise LogConflict("other bytes stand at this path than those to be replaced")
            if old is not None:
                if self._finished(path):
                    raise LogConflict("what stands at this path is never replaced")
                tag = hashlib.md5(old, usedforsecurity=False).hexdigest()
                # Ceph 16 knows its own tags without their quotes only.
                conditions = [{"If-Match": f'"{tag}"'}, {"If-Match": tag}]
            self._swap(path, old, new, media_type, conditions)
            if old is None and self._finished(path) and self._current(path) != new:
                raise LogConflict("something else came to stand at this path first")

    def _swap(
        self,
        path: str,
        old: bytes | None,
        new: bytes,
        media_type: str,
        conditions: Sequence[Mapping[str, str]],
    ) -> None:
        """Write under the first of conditions, each said in another way, that the service finds met."""
        for place, condition in enumerate(conditions, 1):
            try:
                self._write(path, new, media_type, condition)
            except (PreconditionFailed, ObjectMissing) as refusal:
                # Said in another way only where nothing else stands there, so that the service has no reason to refuse.
                if place == len(conditions) or self._standing(path) != old:
                    raise LogConflict("something else came to stand at this path") from refusal
            else:
                return

    def _standing(self, path: str) -> bytes | None:
        try:
            return self._current(path)
        except ObjectMissing:
            return None

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths that start with a prefix, sorted by code point. Raises StorageUnavailable."""
        if ".." in prefix.split("/") or prefix.startswith("/"):
            return iter(())
        start = self._prefix + prefix
        found = {
            key.removeprefix(self._prefix)
            for key, group in by_name(versions(self._client, self._config.locked, start))
            if any(not each.marker for each in group)
        }
        found.update(key.removeprefix(self._prefix) for key in names(self._client, self._config.plain, start))
        return iter(sorted(path for path in found if is_log_path(path) and path.startswith(prefix)))

    def remove(self, path: str) -> None:
        """Remove a file; absent is success.

        Raises:
            RetentionActive: the file is a finished one, under its lock.
            StorageUnavailable: the store does not answer.
        """
        if not is_log_path(path):
            return
        with self._locked(path):
            if not self._finished(path):
                self._client.remove(self._config.plain, self._key(path))
                return
            for each in of_key(self._client, self._config.locked, self._key(path)):
                kept = "a finished file of the ledger is under its lock"
                delete_version(self._client, self._config.locked, self._key(path), each.version, kept)

    def renew(self) -> int:
        """Lock finished files anew whose lock, from now on, lasts less than half of the time; return how many.

        Raises:
            StorageUnavailable: the store does not answer, or does not keep a lock.
        """
        bucket, now, renewed = self._config.locked, self._now(), 0
        until = due(retention.whole_seconds(now + self._config.retention))
        for path in self.list() if until is not None else ():
            if not self._finished(path):
                continue
            held = locked(self._client, bucket, self._key(path), self._first(path).version)
            ends = held.retain_until
            if until is None or (ends is not None and ends - now >= self._config.retention / 2):
                continue
            keep(self._client, bucket, self._key(path), held.version, until)
            held = locked(self._client, bucket, self._key(path), held.version)
            if held.retain_until is None or held.retain_until < until:
                raise StorageUnavailable("the store does not keep the lock it was given")
            renewed += 1
        return renewed

    def sweep_staging(self, older_than: timedelta) -> int:
        """Nothing is staged here."""
        return 0

    def _key(self, path: str) -> str:
        return self._prefix + path

    def _finished(self, path: str) -> bool:
        return self._config.finished(path)

    def _write(self, path: str, data: bytes, media_type: str, condition: Mapping[str, str]) -> None:
        if self._finished(path):
            until = (
                due(retention.whole_seconds(self._now() + self._config.retention))
                if self._config.retention
                else None
            )
            digest = hashlib.sha256(data).digest()
            content = Content(
                io.BytesIO(data), len(data), digest, media_type or "application/octet-stream", until
            )
            write(self._client, self._config.locked, self._key(path), content, parts_above=_AT_ONCE)
            return
        try:
            self._client.put_small(
                self._config.plain, self._key(path), data, media_type or "application/octet-stream", condition
            )
        except StoreRefused as refusal:
            raise _collision(refusal) from refusal

    def _current(self, path: str) -> bytes:
        if not self._finished(path):
            return self._client.call("GET", self._config.plain, self._key(path)).body
        held = self._first(path)
        parts = (
            fetch(
                self._client,
                self._config.locked,
                self._key(path),
                held.version,
                start,
                min(READ_SIZE, held.size - start),
            )
            for start in range(0, held.size, READ_SIZE)
        )
        return b"".join(parts)

    def _first(self, path: str) -> Held:
        """Return the version that was written first: its lock keeps it, and nothing can be written before it."""
        found = [
            each for each in of_key(self._client, self._config.locked, self._key(path)) if not each.marker
        ]
        if not found:
            raise ObjectMissing("the log has no such file")
        # Listings give the newest first; dates have a second only.
        first = min(reversed(found), key=lambda each: each.modified[:19])
        return head(self._client, self._config.locked, self._key(path), first.version)

    def _check_place(self, path: str) -> None:
        """Refuse a file where another has, or needs, a folder: some services cannot hold both."""
        parts = path.split("/")
        for length in range(1, len(parts)):
            folder = "/".join(parts[:length])
            if folder in self._folders:
                continue
            if self._stands(folder):
                raise LogConflict("a file stands where this path needs a folder")
            if len(self._folders) < _REMEMBERED:
                self._folders.add(folder)
        if path in self._files:
            return
        if next(self.list(f"{path}/"), None) is not None:
            raise LogConflict("a folder stands where this path needs a file")
        if len(self._files) < _REMEMBERED:
            self._files.add(path)

    def _stands(self, path: str) -> bool:
        if not self._finished(path):
            try:
                self._client.call("HEAD", self._config.plain, self._key(path))
            except ObjectMissing:
                return False
            return True
        found = of_key(self._client, self._config.locked, self._key(path))
        return any(not each.marker for each in found)

    def _locked(self, path: str) -> threading.RLock:
        return self._stripes[hashlib.sha256(path.encode()).digest()[0] % _STRIPES]


def _collision(refusal: StoreRefused) -> Exception:
    """Name a file and folder of one name, which services on file systems refuse, as the contract does."""
    if refusal.reason in {"ObjectParentIsFile", "ExistingObjectIsDirectory"}:
        return LogConflict("a path cannot be both a file and a folder")
    if isinstance(refusal, PreconditionFailed):
        return refusal
    return StorageUnavailable(str(refusal))
