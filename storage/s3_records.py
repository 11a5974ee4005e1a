"""Record store in an S3 bucket that never had versioning: what is replaced or deleted there is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from storage.errors import ObjectMissing
from storage.names import is_record_name, writable_record_name
from storage.s3_client import S3Client
from storage.s3_versions import names

FOLDER = "records/"


class S3RecordStore:
    """`RecordStore` on S3, for any number of threads, processes and hosts."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        """Take a bucket as it is; `storage.s3_buckets.demand_plain` says whether it will do."""
        self._client = client
        self._bucket = bucket

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a record; a reader sees the old bytes or the new.

        Raises:
            NameRefused: no record may bear this name.
            StorageUnavailable: it cannot be written.
        """
        self._client.put_small(
            self._bucket, FOLDER + writable_record_name(name), data, "application/octet-stream"
        )

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises ObjectMissing, StorageUnavailable."""
        if not is_record_name(name):
            raise ObjectMissing("no record has this name")
        return self._client.call("GET", self._bucket, FOLDER + name).body

    def delete(self, name: str) -> None:
        """Delete; absent is success. Raises StorageUnavailable."""
        if is_record_name(name):
            self._client.call("DELETE", self._bucket, FOLDER + name)

    def names(self) -> Iterator[str]:
        """Yield every name, sorted. Raises StorageUnavailable."""
        found = (key.removeprefix(FOLDER) for key in names(self._client, self._bucket, FOLDER))
        yield from sorted(name for name in found if is_record_name(name))

    def sweep_staging(self, older_than: timedelta) -> int:
        """Nothing is staged here."""
        return 0
