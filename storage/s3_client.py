"""Requests to an S3 service, by minio's client: signed, checked, limited in time, with errors of ours.

minio's own calls are used where they do the right thing. Its `put_object` can send neither a condition nor a checksum,
its listings and retention calls refuse dates of nine decimals (ADR 0022): those requests are made here, through the
same signature and transport.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol, cast
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import urllib3
from minio import Minio
from minio import time as minio_time
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from storage.errors import ObjectMissing, StorageUnavailable
from storage.s3_transport import LimitedPool

_ABSENT = {"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "MethodNotAllowed"}
# 405 speaks of a delete marker where something is read; elsewhere it says that the service does no such thing.
_ABSENT_STATUS = {"GET": {404, 405}, "HEAD": {404, 405}}
_WORD = re.compile(r"[A-Za-z0-9]{1,64}")
_OCTETS_PER_SECOND = 1 << 20
_EMPTY = hashlib.sha256(b"").hexdigest()


class StoreRefused(StorageUnavailable):
    """The service answered a request with an error.

    Attributes:
        status: of HTTP; 0 where the answer could not be read.
        reason: the service's own word, such as `AccessDenied`.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the object store refused: {reason} ({status})")
        self.status = status
        self.reason = reason


class PreconditionFailed(StoreRefused):
    """A condition of a request did not hold: something stands there, or something else."""


class Hash(Protocol):
    """What octets are fed to."""

    def update(self, data: bytes, /) -> None:
        """Take octets."""


@dataclass(frozen=True, slots=True)
class S3Config:
    """Where an S3 service is, and who calls.

    Attributes:
        endpoint: `https://HOST[:PORT]`.
        access_key: name of the caller.
        secret_key: its secret.
        region: as the service wants it in signatures.
        ca: PEM anchors of the service; None for the system's.
        seconds: limit of an exchange without content; content may take a second more for each mebibyte.
        connections: kept open.
    """

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    ca: Path | None = None
    seconds: float = 30.0
    connections: int = 32


class Upload:
    """Octets of a file, sent from it without being held in memory.

    Attributes:
        size: of the octets.
        sha256: their digest.
        md5: their MD5, as transport checksum for services that check nothing else.
    """

    def __init__(self, file: IO[bytes], start: int, size: int, also: Hash | None = None) -> None:
        """Read a part of a seekable file once, for its digests, and for another that it is a part of."""
        self._file = file
        self._start = start
        self._left = 0
        self.size = size
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.rewind()
        while chunk := self.read(1 << 18):
            sha256.update(chunk)
            md5.update(chunk)
            if also is not None:
                also.update(chunk)
        self.sha256, self.md5 = sha256.digest(), md5.digest()
        self.rewind()

    def rewind(self) -> None:
        """Begin again."""
        self._file.seek(self._start)
        self._left = self.size

    def read(self, size: int = -1) -> bytes:
        """Return the next octets, none at the end of the part."""
        size = self._left if size < 0 else min(size, self._left)
        data = self._file.read(size)
        self._left -= len(data)
        return data


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered.

    Attributes:
        headers: names in lower case.
        body: whole.
    """

    headers: Mapping[str, str]
    body: bytes

    @property
    def version(self) -> str:
        """Identifier of the version that was written. Raises StorageUnavailable where there is none."""
        version = self.headers.get("x-amz-version-id", "")
        if version in {"", "null"}:
            raise StorageUnavailable("the store gave no version: the bucket has no versioning")
        return version

    def xml(self) -> ET.Element:
        """Parse the body, without name spaces. Raises StorageUnavailable."""
        if b"<!DOCTYPE" in self.body or b"<!ENTITY" in self.body:
            raise StorageUnavailable("the store's answer has a document type")
        try:
            root = ET.fromstring(self.body)  # noqa: S314 - without document type there are no entities
        except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
            raise StorageUnavailable("the store's answer cannot be read") from error
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root


class S3Client(Minio):  # type: ignore[misc, unused-ignore]
    """minio's client with our transport, and requests of any kind."""

    def __init__(self, config: S3Config) -> None:
        """Connect to nothing yet. Raises ValueError when the address or the anchors cannot be used."""
        parts = urlsplit(config.endpoint)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.path.strip("/")
            or parts.query
        ):
            raise ValueError("an object store's address is https://HOST or https://HOST:PORT")
        secure = parts.scheme == "https"
        try:
            tls = ssl.create_default_context(cafile=config.ca) if secure else None
        except OSError as error:
            raise ValueError(f"the store's anchors cannot be read: {error}") from error
        super().__init__(
            parts.netloc,
            config.access_key,
            config.secret_key,
            secure=secure,
            region=config.region,
            http_client=LimitedPool(config.seconds, _OCTETS_PER_SECOND, config.connections, tls),
        )
        self.endpoint = f"{parts.scheme}://{parts.netloc}"

    def put_small(
        self, bucket: str, key: str, data: bytes, media_type: str, condition: Mapping[str, str] | None = None
    ) -> None:
        """Write a small object where no versions are kept, its checksum sent and what is answered compared.

        Raises:
            PreconditionFailed: the condition does not hold.
            StoreRefused: any other error that the service states.
            StorageUnavailable: it was not acknowledged.
        """
        checksum = b64(hashlib.sha256(data).digest())
        headers = {
            "Content-Type": media_type,
            "Content-MD5": b64(hashlib.md5(data, usedforsecurity=False).digest()),
            "x-amz-checksum-sha256": checksum,
            **(condition or {}),
        }
        answer = self.call("PUT", bucket, key, body=data, headers=headers).headers
        if not answer.get("etag") or answer.get("x-amz-checksum-sha256", checksum) != checksum:
            raise StorageUnavailable("the store did not say that it holds what was sent")

    def remove(self, bucket: str, key: str, query: Mapping[str, str] | None = None) -> None:
        """Delete an object, or the version or upload in parts that a query names; absent is success.

        S3 itself says nothing of what is not there. versitygw answers NoSuchKey to one of two who delete it at once.

        Raises:
            StoreRefused, StorageUnavailable: as `call`.
        """
        with suppress(ObjectMissing):
            self.call("DELETE", bucket, key, query=query)

    def call(
        self,
        method: str,
        bucket: str,
        key: str | None = None,
        *,
        body: bytes | Upload | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request and return its answer.

        Raises:
            ObjectMissing: no such object, version or upload.
            PreconditionFailed: a condition does not hold.
            StoreRefused: any other error that the service states.
            StorageUnavailable: no answer in time, or none that can be understood.
        """
        named: dict[str, Any] = {"headers": dict(headers or {}), "query_params": dict(query or {})}
        try:
            answer = self._execute(method, bucket, key, body=cast("bytes", body), **named)
        except _FAILURES as error:
            raise translated(error, method) from error
        return Answer({name.lower(): value for name, value in answer.headers.items()}, answer.data or b"")

    def _build_headers(
        self, host: str, headers: Any = None, body: Any = None, creds: Any = None
    ) -> tuple[Any, datetime]:
        """Say what is signed: always the content's digest, on TLS too; a file's is known already."""
        headers = headers or {}
        headers["Host"] = host
        headers["User-Agent"] = "probans"
        # Answers are read as they are sent: nothing grows on the way in.
        headers["Accept-Encoding"] = "identity"
        if isinstance(body, Upload):
            headers["Content-Length"] = str(body.size)
            headers["x-amz-content-sha256"] = body.sha256.hex()
        else:
            if body:
                headers["Content-Length"] = str(len(body))
            headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest() if body else _EMPTY
        now = datetime.now(UTC)
        headers["x-amz-date"] = minio_time.to_amz_date(now)
        return headers, now


def b64(digest: bytes) -> str:
    """Return a digest as headers carry it."""
    return base64.b64encode(digest).decode()


def translated(error: Exception, method: str) -> StorageUnavailable | ObjectMissing:
    """Return our error for what the client or the transport raised; the service's sentences are left out."""
    status = 0
    reason = type(error).__name__
    if isinstance(error, S3Error):
        status = getattr(error.response, "status", 0)
        reason = error.code if isinstance(error.code, str) and _WORD.fullmatch(error.code) else "unreadable"
    elif isinstance(error, ServerError):
        status = error.status_code
    elif isinstance(error, InvalidResponseError):
        found = re.search(r"Response code: (\d{3})", str(error))
        status = int(found[1]) if found else 0
    else:
        late = isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError) and not isinstance(
            error, urllib3.exceptions.NewConnectionError
        )
        return StorageUnavailable(
            "the object store did not answer in time"
            if late
            else f"the object store cannot be reached: {reason}"
        )
    if status == 412 or reason in {"PreconditionFailed", "ConditionalRequestConflict"}:
        return PreconditionFailed(status, reason)
    if status in _ABSENT_STATUS.get(method, {404}) and reason in _ABSENT:
        return ObjectMissing("the object store has no such object")
    return StoreRefused(status, reason)


# What libraries throw at hostile and broken answers.
_FAILURES = (
    MinioException,
    urllib3.exceptions.HTTPError,
    OSError,
    ET.ParseError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    LookupError,
    AssertionError,
    RecursionError,
)
