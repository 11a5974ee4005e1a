"""The two buckets of a safe: one where nothing is lost, one where nothing is kept.

Objects and finished files of the ledger lie in a bucket with versioning and Object Lock; recovery records and
files that are replaced lie in one that never had versioning, since an old version there would outlive a destruction.
"""

from __future__ import annotations

from storage.errors import StorageUnavailable
from storage.s3_client import PreconditionFailed, S3Client, StoreRefused

PROOFS = "prove/"
_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def make(client: S3Client, bucket: str, *, locked: bool) -> None:
    """Make a bucket; one that is there already stays as it is. Raises StorageUnavailable."""
    headers = {"x-amz-bucket-object-lock-enabled": "true"} if locked else {}
    try:
        client.call("PUT", bucket, headers=headers)
    except StoreRefused as refusal:
        if refusal.reason not in _THERE:
            raise


def demand_locked(client: S3Client, bucket: str) -> None:
    """Refuse a bucket in which objects cannot be locked, each by its version. Raises StorageUnavailable."""
    if versioning(client, bucket) != "Enabled":
        raise StorageUnavailable(f"bucket {bucket} has no versioning")
    if not lockable(client, bucket):
        raise StorageUnavailable(f"bucket {bucket} has no Object Lock")


def demand_plain(client: S3Client, bucket: str) -> None:
    """Refuse a bucket in which what is deleted or replaced may be kept. Raises StorageUnavailable."""
    if versioning(client, bucket) != "":
        raise StorageUnavailable(
            f"bucket {bucket} has or had versioning: what is deleted there would be kept"
        )


def versioning(client: S3Client, bucket: str) -> str:
    """Return `Enabled`, `Suspended`, or nothing where there never was any. Raises StorageUnavailable."""
    try:
        return client.call("GET", bucket, query={"versioning": ""}).xml().findtext("Status") or ""
    except StoreRefused as refusal:
        if refusal.reason == "VersioningNotConfigured":  # versitygw without a folder for versions
            return ""
        raise


def lockable(client: S3Client, bucket: str) -> bool:
    """Tell whether a bucket has Object Lock. Raises StorageUnavailable."""
    try:
        answer = client.call("GET", bucket, query={"object-lock": ""}).xml()
    except StoreRefused as refusal:
        if refusal.status == 404:
            return False
        raise
    return answer.findtext("ObjectLockEnabled") == "Enabled"


def honours_conditions(client: S3Client, bucket: str) -> bool:
    """Tell whether a service refuses to write over a name when it is asked to. Raises StorageUnavailable."""
    try:
        for _ in range(2):
            client.call("PUT", bucket, f"{PROOFS}conditions", headers={"If-None-Match": "*"})
    except PreconditionFailed:
        return True
    return False
