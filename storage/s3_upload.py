"""How octets of a file get into a bucket: in one request, or in parts, and what the service then says it holds.

A service is not believed on its answer alone: the version written is asked for again, and its size, lock and checksum
are compared. Where a service keeps no checksum of a kind we know, the octets are read back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO

from storage.errors import StorageError, StorageUnavailable
from storage.retention import system_now
from storage.s3_client import Hash, S3Client, StoreRefused, Upload, b64
from storage.s3_versions import COMPLIANCE, Held, head, keep, locked, written_date

_PART = 16 * 1024 * 1024
_MOST_PARTS = 10_000
READ_SIZE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """A file to be stored.

    Attributes:
        file: seekable.
        size: of it.
        sha256: of it.
        media_type: as the service gives it out.
        until: end of its retention; None for none.
    """

    file: IO[bytes]
    size: int
    sha256: bytes
    media_type: str
    until: datetime | None


def write(
    client: S3Client, bucket: str, key: str, content: Content, *, parts_above: int, fresh: bool = True
) -> Held:
    """Write a file as a new version, and have the service say what it holds.

    Steps:
        1. Send it with its retention, its digest and its checksum, under the condition that nothing stands there.
        2. Ask for that version: size, lock, checksum. A lock that was dropped on the way is set now.
        3. Where the service keeps no checksum that can be compared, read the octets back.

    Args:
        client: of the service.
        bucket: where.
        key: name.
        content: what.
        parts_above: size from which on it is sent in parts.
        fresh: only where nothing stands; services that know no conditions write another version.

    Raises:
        PreconditionFailed: something stands there.
        StorageUnavailable: it cannot be written, or the service does not hold what was sent.
    """
    condition = {"If-None-Match": "*"} if fresh else {}
    # 1
    send = _in_parts if content.size > parts_above else _at_once
    version, checksum, md5 = send(client, bucket, key, content, condition)
    # 2
    held = _kept(client, bucket, key, version, content.until)
    if held.size != content.size:
        raise StorageUnavailable("the store holds another size than was sent")
    if held.sha256:
        if held.sha256 != checksum:
            raise StorageUnavailable("the store holds another checksum than was sent")
    # 3
    elif held.etag.strip('"') != md5 and digest_of(client, bucket, key, held) != content.sha256:
        raise StorageUnavailable("the store holds other octets than were sent")
    return held


def digest_of(client: S3Client, bucket: str, key: str, held: Held) -> bytes:
    """Read a version and return its SHA-256. Raises ObjectMissing, StorageUnavailable."""
    digest = hashlib.sha256()
    for start in range(0, held.size, READ_SIZE):
        digest.update(fetch(client, bucket, key, held.version, start, min(READ_SIZE, held.size - start)))
    return digest.digest()


def fetch(client: S3Client, bucket: str, key: str, version: str, start: int, size: int) -> bytes:
    """Read a range of a version, at most `READ_SIZE` octets. Raises ObjectMissing, StorageUnavailable."""
    if size == 0:
        return b""
    asked = {"Range": f"bytes={start}-{start + size - 1}"}
    body = client.call("GET", bucket, key, query={"versionId": version}, headers=asked).body
    if len(body) != size:
        raise StorageUnavailable("the store gave another range than was asked for")
    return body


def sweep_uploads(client: S3Client, bucket: str, folder: str, older_than: timedelta) -> int:
    """Abort uploads in parts that crashes left; return how many. Raises StorageUnavailable."""
    limit, count = system_now() - older_than, 0
    root = client.call("GET", bucket, query={"uploads": "", "prefix": folder}).xml()
    for each in root.iter("Upload"):
        begun, key, name = (each.findtext(tag) or "" for tag in ("Initiated", "Key", "UploadId"))
        begun_at = datetime.fromisoformat(f"{begun[:19]}+00:00") if len(begun) >= 19 else limit
        if key.startswith(folder) and begun_at < limit:
            client.remove(bucket, key, {"uploadId": name})
            count += 1
    return count


def _kept(client: S3Client, bucket: str, key: str, version: str, until: datetime | None) -> Held:
    held = head(client, bucket, key, version)
    if until is None or _holds(held, until):
        return held
    # Another version may lie above it already; or the lock was dropped, as Ceph does with what is sent in parts.
    if not _holds(held := locked(client, bucket, key, version), until):
        keep(client, bucket, key, version, until)
        held = locked(client, bucket, key, version)
    if not _holds(held, until):
        raise StorageUnavailable("the store does not keep the lock it was given")
    return held


def _holds(held: Held, until: datetime) -> bool:
    return held.retain_until is not None and held.retain_until >= until


def _headers(content: Content) -> dict[str, str]:
    headers = {"Content-Type": content.media_type}
    if content.until is not None:
        headers["x-amz-object-lock-mode"] = COMPLIANCE
        headers["x-amz-object-lock-retain-until-date"] = written_date(content.until)
    return headers


def _at_once(
    client: S3Client, bucket: str, key: str, content: Content, condition: dict[str, str]
) -> tuple[str, str, str]:
    body = Upload(content.file, 0, content.size)
    if body.sha256 != content.sha256:
        raise StorageUnavailable("the staged octets changed")
    headers = {"x-amz-checksum-sha256": b64(body.sha256), "Content-MD5": b64(body.md5), **condition}
    answer = client.call("PUT", bucket, key, body=body, headers=_headers(content) | headers)
    return answer.version, b64(body.sha256), body.md5.hex()


def _in_parts(
    client: S3Client, bucket: str, key: str, content: Content, condition: dict[str, str]
) -> tuple[str, str, str]:
    start = _headers(content) | {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "COMPOSITE"}
    upload = client.call("POST", bucket, key, query={"uploads": ""}, headers=start).xml().findtext("UploadId")
    if not upload:
        raise StorageUnavailable("the store gave no name for an upload in parts")
    try:
        digests, md5s, listed = _send_parts(client, bucket, key, upload, content)
        version = _complete(client, bucket, key, upload, listed, condition)
    except BaseException:
        with suppress(StorageError):
            client.remove(bucket, key, {"uploadId": upload})
        raise
    count = len(listed)
    composite = f"{b64(hashlib.sha256(digests).digest())}-{count}"
    return version, composite, f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{count}"


def _send_parts(
    client: S3Client, bucket: str, key: str, upload: str, content: Content
) -> tuple[bytes, bytes, list[str]]:
    """Send every part; return their SHA-256, their MD5, and what names them."""
    digests, md5s, listed, whole = b"", b"", [], hashlib.sha256()
    for number, part in enumerate(_parts(content, whole), 1):
        digests, md5s = digests + part.sha256, md5s + part.md5
        query = {"partNumber": str(number), "uploadId": upload}
        headers = {"x-amz-checksum-sha256": b64(part.sha256), "Content-MD5": b64(part.md5)}
        answer = client.call("PUT", bucket, key, body=part, query=query, headers=headers)
        etag = answer.headers.get("etag", "").strip('"')
        if not etag.isalnum():
            raise StorageUnavailable("the store did not say what it took")
        listed.append(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag>"
            f"<ChecksumSHA256>{b64(part.sha256)}</ChecksumSHA256></Part>"
        )
    if whole.digest() != content.sha256:
        raise StorageUnavailable("the staged octets changed")
    return digests, md5s, listed


def _complete(
    client: S3Client, bucket: str, key: str, upload: str, listed: list[str], condition: dict[str, str]
) -> str:
    text = f"<CompleteMultipartUpload>{''.join(listed)}</CompleteMultipartUpload>"
    answer = client.call(
        "POST", bucket, key, body=text.encode(), query={"uploadId": upload}, headers=condition
    )
    # Long completions answer 200 first and may end in an error.
    if answer.xml().tag == "Error":
        raise StoreRefused(200, "CompletionFailed")
    return answer.version


def _parts(content: Content, whole: Hash) -> Iterator[Upload]:
    step = max(_PART, -(-content.size // _MOST_PARTS))
    for start in range(0, content.size, step):
        yield Upload(content.file, start, min(step, content.size - start), whole)
