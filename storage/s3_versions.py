"""What a bucket holds: every version and delete marker of names, and the lock of one version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, takewhile
from operator import attrgetter
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from storage.errors import RetentionActive, StorageUnavailable
from storage.retention import system_now
from storage.s3_client import Answer, S3Client, StoreRefused, b64

COMPLIANCE = "COMPLIANCE"
_NO_LOCK = {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"}
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a name, as a listing tells it.

    Attributes:
        key: the name.
        version: identifier; `null` for one written without versioning.
        latest: what whoever gives no version gets.
        marker: hides the name; it has no octets.
        size: octets.
        modified: when it was written, as the listing says; for order only.
        etag: as the service gave it.
    """

    key: str
    version: str
    latest: bool
    marker: bool
    size: int
    modified: str
    etag: str


@dataclass(frozen=True, slots=True)
class Held:
    """What the service says of one version.

    Attributes:
        version: identifier.
        size: octets.
        mode: of its retention: `COMPLIANCE`, `GOVERNANCE`, empty for none.
        until: end of its retention.
        sha256: checksum that the service keeps, base64; empty where it keeps none.
        etag: as the service gave it.
    """

    version: str
    size: int
    mode: str
    until: datetime | None
    sha256: str
    etag: str

    @property
    def retain_until(self) -> datetime | None:
        """End of a retention that nobody can lift."""
        return self.until if self.mode == COMPLIANCE else None


def due(until: datetime | None) -> datetime | None:
    """Return a date that lies ahead; services refuse to lock until one that is over, and it would lock nothing."""
    return until if until is not None and until > system_now() else None


def written_date(until: datetime) -> str:
    """Return a date as requests carry it."""
    return until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_date(text: str) -> datetime:
    """Read a date of any number of decimals, rounded up to a second. Raises StorageUnavailable."""
    head, point, tail = text.removesuffix("Z").partition(".")
    try:
        moment = datetime.strptime(f"{head}+0000", "%Y-%m-%dT%H:%M:%S%z")
        fraction = int(tail) if point else 0
        return moment + _SECOND if fraction else moment
    except (ValueError, OverflowError) as error:
        raise StorageUnavailable("the store gave a date that cannot be read") from error


def versions(client: S3Client, bucket: str, prefix: str) -> Iterator[Version]:
    """Yield every version and marker of the names that begin with a prefix, by name.

    Raises:
        StorageUnavailable: the listing cannot be had, or makes no sense.
    """
    for root in _pages(client, bucket, {"prefix": prefix}):
        yield from _versions_of(root, prefix)


def by_name(found: Iterator[Version]) -> Iterator[tuple[str, list[Version]]]:
    """Group a listing by name: each with its versions and markers."""
    for key, group in groupby(found, attrgetter("key")):
        yield key, list(group)


def of_key(client: S3Client, bucket: str, key: str) -> list[Version]:
    """Return the versions and markers of one name. Raises StorageUnavailable."""
    # A name comes before those that begin with it.
    return list(takewhile(lambda each: each.key == key, versions(client, bucket, key)))


def level(client: S3Client, bucket: str, prefix: str) -> tuple[list[Version], list[str]]:
    """Return what lies right under a prefix: versions of names, and prefixes up to the next slash.

    Raises:
        StorageUnavailable: the listing cannot be had, or makes no sense.
    """
    found: list[Version] = []
    below: set[str] = set()
    for root in _pages(client, bucket, {"prefix": prefix, "delimiter": "/"}):
        url = (root.findtext("EncodingType") or "") == "url"
        found += _versions_of(root, prefix)
        below.update(_text(each, "Prefix", url=url) for each in root.iter("CommonPrefixes"))
    return found, sorted(each for each in below if each.startswith(prefix))


def _pages(client: S3Client, bucket: str, query: dict[str, str]) -> Iterator[ET.Element]:
    place: dict[str, str] = {}
    while True:
        root = client.call(
            "GET", bucket, query={"versions": "", "encoding-type": "url", **query, **place}
        ).xml()
        yield root
        if (root.findtext("IsTruncated") or "").lower() != "true":
            return
        url = (root.findtext("EncodingType") or "") == "url"
        after = {
            "key-marker": _text(root, "NextKeyMarker", url=url),
            "version-id-marker": root.findtext("NextVersionIdMarker") or "",
        }
        after = {name: value for name, value in after.items() if value}
        if "key-marker" not in after or after == place:
            raise StorageUnavailable("the store's listing does not go on")
        place = after


def _versions_of(root: ET.Element, prefix: str) -> list[Version]:
    url = (root.findtext("EncodingType") or "") == "url"
    found = [_version(element, url=url) for element in root if element.tag in {"Version", "DeleteMarker"}]
    if any(not each.key.startswith(prefix) for each in found):
        raise StorageUnavailable("the store listed names that were not asked for")
    # Some services give all markers of a page first.
    return sorted(found, key=attrgetter("key"))


def names(client: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    """Yield the names that begin with a prefix and are not hidden. Raises StorageUnavailable."""
    token = ""
    while True:
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        root = client.call(
            "GET", bucket, query=query | ({"continuation-token": token} if token else {})
        ).xml()
        url = (root.findtext("EncodingType") or "") == "url"
        found = [_text(element, "Key", url=url) for element in root.iter("Contents")]
        if any(not key.startswith(prefix) for key in found):
            raise StorageUnavailable("the store listed names that were not asked for")
        yield from found
        if (root.findtext("IsTruncated") or "").lower() != "true":
            return
        after = root.findtext("NextContinuationToken") or ""
        if not after or after == token:
            raise StorageUnavailable("the store's listing does not go on")
        token = after


def head(client: S3Client, bucket: str, key: str, version: str) -> Held:
    """Ask for size and checksum of a version, and its lock if the service shows it.

    Raises:
        ObjectMissing: no such version.
        StorageUnavailable: the store does not answer, or not sensibly.
    """
    answer = client.call(
        "HEAD", bucket, key, query={"versionId": version}, headers={"x-amz-checksum-mode": "ENABLED"}
    ).headers
    until = answer.get("x-amz-object-lock-retain-until-date")
    return Held(
        version,
        _number(answer.get("content-length")),
        answer.get("x-amz-object-lock-mode", ""),
        read_date(until) if until else None,
        answer.get("x-amz-checksum-sha256", ""),
        answer.get("etag", ""),
    )


def locked(client: S3Client, bucket: str, key: str, version: str) -> Held:
    """Ask for a version and its lock, which versitygw shows of the newest version only unless it is asked for.

    Raises:
        ObjectMissing: no such version.
        StorageUnavailable: the store does not answer, or not sensibly.
    """
    held = head(client, bucket, key, version)
    if held.mode:
        return held
    try:
        root = client.call("GET", bucket, key, query={"retention": "", "versionId": version}).xml()
    except StoreRefused as refusal:
        if refusal.status == 404 or refusal.reason in _NO_LOCK:
            return held
        raise
    until = root.findtext("RetainUntilDate")
    return replace(held, mode=root.findtext("Mode") or "", until=read_date(until) if until else None)


def is_held(client: S3Client, bucket: str, key: str, version: str) -> bool:
    """Tell whether a legal hold lies on a version. Raises ObjectMissing, StorageUnavailable."""
    try:
        root = client.call("GET", bucket, key, query={"legal-hold": "", "versionId": version}).xml()
    except StoreRefused as refusal:
        if refusal.status == 404 or refusal.reason in _NO_LOCK:
            return False
        raise
    return root.findtext("Status") == "ON"


def keep(
    client: S3Client,
    bucket: str,
    key: str,
    version: str,
    until: datetime,
    mode: str = COMPLIANCE,
    headers: dict[str, str] | None = None,
) -> None:
    """Set the retention of a version. Raises ObjectMissing, StoreRefused, StorageUnavailable."""
    date = f"<RetainUntilDate>{written_date(until)}</RetainUntilDate>"
    text = f"<Retention><Mode>{mode}</Mode>{date}</Retention>"
    send_xml(client, bucket, key, {"retention": "", "versionId": version}, text, headers)


def delete_version(client: S3Client, bucket: str, key: str, version: str, kept: str) -> None:
    """Delete a version; absent is success.

    Args:
        client: talks to the service.
        bucket: of the object.
        key: its name.
        version: which.
        kept: what to say where the service keeps it.

    Raises:
        RetentionActive: it is kept.
        StorageUnavailable: the store does not answer.
    """
    try:
        client.remove(bucket, key, {"versionId": version})
    except StoreRefused as refusal:
        if refusal.status == 403:
            raise RetentionActive(kept) from refusal
        raise


def hold(client: S3Client, bucket: str, key: str, version: str, *, on: bool) -> None:
    """Put a legal hold on a version, or lift it. Raises ObjectMissing, StoreRefused, StorageUnavailable."""
    text = f"<LegalHold><Status>{'ON' if on else 'OFF'}</Status></LegalHold>"
    send_xml(client, bucket, key, {"legal-hold": "", "versionId": version}, text)


def send_xml(
    client: S3Client,
    bucket: str,
    key: str | None,
    query: dict[str, str],
    text: str,
    headers: dict[str, str] | None = None,
    *,
    method: str = "PUT",
) -> Answer:
    """Send a small XML body, with the checksum that services demand of those. Raises StorageUnavailable."""
    body = text.encode()
    md5 = b64(hashlib.md5(body, usedforsecurity=False).digest())
    return client.call(
        method, bucket, key, body=body, query=query, headers={"Content-MD5": md5, **(headers or {})}
    )


def _version(element: ET.Element, *, url: bool) -> Version:
    marker = element.tag == "DeleteMarker"
    return Version(
        _text(element, "Key", url=url),
        element.findtext("VersionId") or "null",
        (element.findtext("IsLatest") or "").lower() == "true",
        marker,
        0 if marker else _number(element.findtext("Size")),
        element.findtext("LastModified") or "",
        element.findtext("ETag") or "",
    )


def _text(element: ET.Element, name: str, *, url: bool) -> str:
    text = element.findtext(name) or ""
    return unquote_plus(text) if url else text


def _number(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError as error:
        raise StorageUnavailable("the store gave a size that cannot be read") from error
