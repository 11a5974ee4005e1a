"""Record store in an S3 bucket that never had versioning: what is replaced or deleted there is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from storage.errors import ObjectMissing
from storage.names import is_record_name, writable_record_name
from storage.s3_client import S3Client
from storage.s3_versions import names

FOLDER = "records/"


class S3RecordStore:
    """`RecordStore` on S3, for any number of threads, processes and hosts."""

    def __init__(self, client: S3Client, bucket: str, folder: str = FOLDER) -> None:
        """Take a bucket as it is; `storage.s3_buckets.demand_plain` says whether it will do."""
        self._client = client
        self._bucket = bucket
        self._folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a record; a reader sees the old bytes or the new.

        Raises:
            NameRefused: no record may bear this name.
            StorageUnavailable: it cannot be written.
        """
        self._client.put_small(
            self._bucket, self._folder + writable_record_name(name), data, "application/octet-stream"
        )

    def add(self, name: str, data: bytes) -> None:
        """Write under a new name. Raises NameRefused, StorageUnavailable."""
        self.write(name, data)

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises ObjectMissing, StorageUnavailable."""
        if not is_record_name(name):
            raise ObjectMissing("no record has this name")
        return self._client.call("GET", self._bucket, self._folder + name).body

    def copies(self, name: str) -> Sequence[bytes]:
        """Return the bytes, if there are any. Raises StorageUnavailable."""
        try:
            return [self.read(name)]
        except ObjectMissing:
            return []

    def delete(self, name: str) -> None:
        """Delete; absent is success. Raises StorageUnavailable."""
        if is_record_name(name):
            self._client.remove(self._bucket, self._folder + name)

    def names(self) -> Iterator[str]:
        """Yield every name, sorted. Raises StorageUnavailable."""
        found = (key.removeprefix(self._folder) for key in names(self._client, self._bucket, self._folder))
        yield from sorted(name for name in found if is_record_name(name))

    def sweep_staging(self, older_than: timedelta) -> int:
        """Nothing is staged here."""
        return 0
