"""What a bucket holds: every version and delete marker of names, and the lock of one version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, takewhile
from operator import attrgetter
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from storage.errors import StorageUnavailable
from storage.s3_client import S3Client, b64

COMPLIANCE = "COMPLIANCE"
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
        hold: whether a legal hold lies on it.
        sha256: checksum that the service keeps, base64; empty where it keeps none.
        etag: as the service gave it.
    """

    version: str
    size: int
    mode: str
    until: datetime | None
    hold: bool
    sha256: str
    etag: str

    @property
    def retain_until(self) -> datetime | None:
        """End of a retention that nobody can lift."""
        return self.until if self.mode == COMPLIANCE else None


def whole_seconds(until: datetime | None) -> datetime | None:
    """Round a date up to a second: some services keep no more."""
    if until is None or not until.microsecond:
        return until
    return until.replace(microsecond=0) + _SECOND


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
    place = {"key-marker": "", "version-id-marker": ""}
    while True:
        query = {name: value for name, value in place.items() if value}
        answer = client.call(
            "GET", bucket, query={"versions": "", "prefix": prefix, "encoding-type": "url", **query}
        )
        root = answer.xml()
        url = (root.findtext("EncodingType") or "") == "url"
        found = [_version(element, url=url) for element in root if element.tag in {"Version", "DeleteMarker"}]
        if any(not each.key.startswith(prefix) for each in found):
            raise StorageUnavailable("the store listed names that were not asked for")
        yield from sorted(found, key=attrgetter("key"))
        if (root.findtext("IsTruncated") or "").lower() != "true":
            return
        after = {
            "key-marker": _text(root, "NextKeyMarker", url=url),
            "version-id-marker": root.findtext("NextVersionIdMarker") or "",
        }
        if not after["key-marker"] or after == place:
            raise StorageUnavailable("the store's listing does not go on")
        place = after


def by_name(found: Iterator[Version]) -> Iterator[tuple[str, list[Version]]]:
    """Group a listing by name: each with its versions and markers."""
    for key, group in groupby(found, attrgetter("key")):
        yield key, list(group)


def of_key(client: S3Client, bucket: str, key: str) -> list[Version]:
    """Return the versions and markers of one name. Raises StorageUnavailable."""
    # A name comes before those that begin with it.
    return list(takewhile(lambda each: each.key == key, versions(client, bucket, key)))


def folders(client: S3Client, bucket: str, prefix: str) -> list[str]:
    """Return the parts of a prefix up to the next slash, that any version lies under. Raises StorageUnavailable."""
    found: set[str] = set()
    marker = ""
    while True:
        query = {"versions": "", "prefix": prefix, "delimiter": "/", "encoding-type": "url"}
        root = client.call("GET", bucket, query=query | ({"key-marker": marker} if marker else {})).xml()
        url = (root.findtext("EncodingType") or "") == "url"
        found.update(
            text
            for each in root.iter("CommonPrefixes")
            if (text := _text(each, "Prefix", url=url)).startswith(prefix)
        )
        if (root.findtext("IsTruncated") or "").lower() != "true":
            return sorted(found)
        after = _text(root, "NextKeyMarker", url=url)
        if not after or after == marker:
            raise StorageUnavailable("the store's listing does not go on")
        marker = after


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
    """Ask for the lock and checksum of a version. Raises ObjectMissing, StorageUnavailable."""
    answer = client.call(
        "HEAD", bucket, key, query={"versionId": version}, headers={"x-amz-checksum-mode": "ENABLED"}
    ).headers
    until = answer.get("x-amz-object-lock-retain-until-date")
    return Held(
        version,
        _number(answer.get("content-length")),
        answer.get("x-amz-object-lock-mode", ""),
        read_date(until) if until else None,
        answer.get("x-amz-object-lock-legal-hold", "") == "ON",
        answer.get("x-amz-checksum-sha256", ""),
        answer.get("etag", ""),
    )


def keep(
    client: S3Client, bucket: str, key: str, version: str, until: datetime, mode: str = COMPLIANCE
) -> None:
    """Set the retention of a version. Raises ObjectMissing, StoreRefused, StorageUnavailable."""
    text = (
        f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{written_date(until)}</RetainUntilDate></Retention>"
    )
    send_xml(client, bucket, key, {"retention": "", "versionId": version}, text)


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
) -> None:
    """Put a small XML body, with the checksum that services demand of those. Raises StorageUnavailable."""
    body = text.encode()
    md5 = b64(hashlib.md5(body, usedforsecurity=False).digest())
    client.call("PUT", bucket, key, body=body, query=query, headers={"Content-MD5": md5, **(headers or {})})


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
