"""Tries on a real store whatever an attacker with the administrator's keys would, and says what it refused.

Each attempt has a target of its own: an object of 64 octets under a COMPLIANCE lock of seconds. What counts is not the
service's answer but what is left afterwards: the version, its octets, its lock, the bucket's versioning and Object
Lock. Where a bucket could be weakened it is put right at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from storage.errors import ObjectMissing, StorageError, StorageUnavailable
from storage.retention import system_now, whole_seconds
from storage.s3_buckets import PROOFS, honours_conditions, lockable, versioning
from storage.s3_client import S3Client, StoreRefused
from storage.s3_versions import (
    COMPLIANCE,
    by_name,
    due,
    keep,
    locked,
    send_xml,
    versions,
    written_date,
)

Outcome = Literal["refused", "harmless", "succeeded", "undecided"]
GOVERNANCE = "GOVERNANCE"
_BYPASS = {"x-amz-bypass-governance-retention": "true"}
_LOCK = timedelta(seconds=60)
_SOON = timedelta(seconds=20)
_KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was tried.

    Attributes:
        name: stable name, such as `shorten`.
        outcome: `refused`; `harmless` where the service accepted it and everything is as it was; `succeeded`;
            `undecided` where it could not be tried.
        found: the service's answer, or what was changed.
    """

    name: str
    outcome: Outcome
    found: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a store was found to do.

    Attributes:
        endpoint: of the service.
        bucket: whose objects were attacked.
        made_at: when, UTC.
        server: as the service names itself; empty where it does not.
        attempts: all that was tried.
        conditions: whether `If-None-Match` is honoured.
        kept: name of an object that stays under its lock, and its version: whoever relies on the proof asks for it.
        kept_until: end of its lock.
    """

    endpoint: str
    bucket: str
    made_at: datetime
    server: str
    attempts: tuple[Attempt, ...]
    conditions: bool
    kept: tuple[str, str]
    kept_until: datetime

    @property
    def holds(self) -> bool:
        """Tell whether everything was tried and nothing succeeded."""
        return all(each.outcome in {"refused", "harmless"} for each in self.attempts)


@dataclass(frozen=True, slots=True)
class _Target:
    key: str
    version: str
    octets: bytes
    until: datetime


class Prover:
    """Attacks a bucket; nothing in it but `prove/` is touched."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        """Take a client with the administrator's keys: with weaker ones a refusal proves nothing."""
        self._client = client
        self._bucket = bucket
        self._folder = f"{PROOFS}{secrets.token_hex(8)}/"

    def prove(self, keep_for: timedelta) -> Proof:
        """Try everything.

        Steps:
            1. Remove what earlier proofs left, as far as its locks are over.
            2. See that these keys may delete what is not locked, and what is locked in GOVERNANCE mode: else what
               follows would prove the keys weak, not the store strong.
            3. Attack one target after the other.
            4. Attack the bucket, and put right what could be weakened.
            5. Lock an object for as long as the proof is to be relied on, and see that it is.

        Args:
            keep_for: for how long that object stays.

        Raises:
            StorageUnavailable: the bucket cannot be used at all.
        """
        # 1
        self._tidy()
        # 2
        attempts = [self._may_delete(), self._may_bypass()]
        # 3
        attempts += [self._attack(name, attack) for name, attack in self._attacks()]
        # 4
        attempts += [self._weaken(name, attack) for name, attack in self._bucket_attacks()]
        # 5
        until = whole_seconds(system_now() + keep_for) or system_now()
        kept = self._lock(_KEPT, until)
        answer = self._client.call("HEAD", self._bucket, kept.key, query={"versionId": kept.version})
        server = answer.headers.get("server", "").encode("ascii", "backslashreplace").decode()[:100]
        conditions = honours_conditions(self._client, self._bucket)
        self._tidy()
        return Proof(
            self._client.endpoint,
            self._bucket,
            system_now().replace(microsecond=0),
            server,
            tuple(attempts),
            conditions,
            (kept.key, kept.version),
            until,
        )

    def _attacks(self) -> Iterator[tuple[str, Callable[[_Target], None]]]:
        yield "delete-version", self._delete
        yield "delete-version-bypass", lambda target: self._delete(target, _BYPASS)
        yield "delete-many-bypass", self._delete_many
        yield "shorten", lambda target: self._retain(target, COMPLIANCE, system_now() + _SOON)
        yield "shorten-bypass", lambda target: self._retain(target, COMPLIANCE, system_now() + _SOON, _BYPASS)
        yield "downgrade", lambda target: self._retain(target, GOVERNANCE, target.until)
        yield "downgrade-bypass", lambda target: self._retain(target, GOVERNANCE, target.until, _BYPASS)
        yield "remove-lock-bypass", self._remove_lock
        yield "overwrite", self._overwrite
        yield "hide", lambda target: self._call("DELETE", target.key)

    def _bucket_attacks(self) -> Iterator[tuple[str, Callable[[_Target], None]]]:
        yield "suspend-versioning", lambda _: self._version("Suspended")
        yield (
            "drop-bucket-lock",
            lambda _: self._configure_lock("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"),
        )
        yield "empty-bucket-lock", lambda _: self._configure_lock("")
        yield "delete-bucket", lambda _: self._call("DELETE", None)

    def _attack(self, name: str, attack: Callable[[_Target], None]) -> Attempt:
        try:
            target = self._lock(name, whole_seconds(system_now() + _LOCK) or system_now())
            answer = _answer(attack, target)
            changed = self._changed(target)
            if system_now() >= target.until - _SOON:
                return Attempt(name, "undecided", "the store was so slow that the lock was nearly over")
        except StorageError as error:
            return Attempt(name, "undecided", str(error))
        return _judged(name, answer, changed)

    def _weaken(self, name: str, attack: Callable[[_Target], None]) -> Attempt:
        try:
            target = self._lock(name, whole_seconds(system_now() + _LOCK) or system_now())
            answer = _answer(attack, target)
            weak = self._weakness()
            if "versioning" in weak:
                self._version("Enabled")
            if "Object Lock" in weak:
                self._configure_lock("<ObjectLockEnabled>Enabled</ObjectLockEnabled>")
            return _judged(name, answer, weak or self._changed(target))
        except StorageError as error:
            return Attempt(name, "undecided", str(error))

    def _weakness(self) -> str:
        if versioning(self._client, self._bucket) != "Enabled":
            return "the bucket's versioning is off"
        return "" if lockable(self._client, self._bucket) else "the bucket's Object Lock is off"

    def _changed(self, target: _Target) -> str:
        """Return what an attack changed of its target; nothing where it is as it was."""
        try:
            held = locked(self._client, self._bucket, target.key, target.version)
            query = {"versionId": target.version}
            octets = self._client.call("GET", self._bucket, target.key, query=query).body
        except ObjectMissing:
            return "the version is gone"
        if octets != target.octets:
            return "the version has other octets"
        if held.mode != COMPLIANCE:
            return f"the lock is {held.mode or 'gone'}"
        if held.until is None or held.until < target.until:
            return f"the lock ends {held.until or 'never began'}"
        return ""

    def _may_delete(self) -> Attempt:
        try:
            target = self._lock("unlocked", None)
            self._delete(target)
        except StorageError as error:
            return Attempt("control-delete", "undecided", f"these keys may not delete: {error}")
        gone = self._changed(target) == "the version is gone"
        return Attempt(
            "control-delete", "harmless" if gone else "undecided", "what is not locked can be deleted"
        )

    def _may_bypass(self) -> Attempt:
        name = "control-bypass"
        try:
            target = self._lock("governed", whole_seconds(system_now() + _LOCK), GOVERNANCE)
            self._delete(target, _BYPASS)
        except StorageError as error:
            return Attempt(name, "undecided", f"these keys may not pass over GOVERNANCE locks: {error}")
        gone = self._changed(target) == "the version is gone"
        return Attempt(
            name, "harmless" if gone else "undecided", "a lock in GOVERNANCE mode can be passed over"
        )

    def _lock(self, name: str, until: datetime | None, mode: str = COMPLIANCE) -> _Target:
        octets = secrets.token_bytes(64)
        headers = {}
        if until is not None:
            date = written_date(until)
            headers = {"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": date}
        key = self._folder + name
        version = self._client.call("PUT", self._bucket, key, body=octets, headers=headers).version
        target = _Target(key, version, octets, until or system_now())
        if until is not None and mode == COMPLIANCE and self._changed(target):
            raise StorageUnavailable(f"the store does not lock: {self._changed(target)}")
        return target

    def _delete(self, target: _Target, headers: dict[str, str] | None = None) -> None:
        self._call("DELETE", target.key, {"versionId": target.version}, headers)

    def _delete_many(self, target: _Target) -> None:
        text = f"<Delete><Object><Key>{target.key}</Key><VersionId>{target.version}</VersionId></Object></Delete>"
        answer = send_xml(self._client, self._bucket, None, {"delete": ""}, text, _BYPASS, method="POST")
        error = answer.xml().find("Error")
        if error is not None:
            raise StoreRefused(200, error.findtext("Code") or "Error")

    def _retain(
        self, target: _Target, mode: str, until: datetime, headers: dict[str, str] | None = None
    ) -> None:
        keep(self._client, self._bucket, target.key, target.version, until, mode, headers)

    def _remove_lock(self, target: _Target) -> None:
        query = {"retention": "", "versionId": target.version}
        send_xml(self._client, self._bucket, target.key, query, "<Retention></Retention>", _BYPASS)

    def _overwrite(self, target: _Target) -> None:
        self._client.call("PUT", self._bucket, target.key, body=secrets.token_bytes(64))

    def _version(self, status: str) -> None:
        text = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
        send_xml(self._client, self._bucket, None, {"versioning": ""}, text)

    def _configure_lock(self, inner: str) -> None:
        text = f"<ObjectLockConfiguration>{inner}</ObjectLockConfiguration>"
        send_xml(self._client, self._bucket, None, {"object-lock": ""}, text)

    def _call(
        self,
        method: str,
        key: str | None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._client.call(method, self._bucket, key, query=query, headers=headers)

    def _tidy(self) -> None:
        """Delete what no lock keeps any more; what one keeps is left to a later proof."""
        for _, found in by_name(versions(self._client, self._bucket, PROOFS)):
            for each in found:
                with suppress(StorageError):
                    if (
                        each.marker
                        or due(locked(self._client, self._bucket, each.key, each.version).until) is None
                    ):
                        self._call("DELETE", each.key, {"versionId": each.version})


def still_kept(client: S3Client, proof: Proof) -> bool:
    """Tell whether the object that a proof left behind is there, under its lock. Raises StorageUnavailable."""
    key, version = proof.kept
    try:
        held = locked(client, proof.bucket, key, version)
    except ObjectMissing:
        return False
    return held.retain_until is not None and held.retain_until >= proof.kept_until


def _answer(attack: Callable[[_Target], None], target: _Target) -> str:
    """Attack; return the service's refusal, nothing where it accepted."""
    try:
        attack(target)
    except StoreRefused as refusal:
        return f"{refusal.reason} ({refusal.status})"
    except ObjectMissing:
        return "NotFound (404)"
    return ""


def _judged(name: str, answer: str, changed: str) -> Attempt:
    if changed:
        return Attempt(name, "succeeded", changed)
    if answer:
        return Attempt(name, "refused", answer)
    return Attempt(name, "harmless", "accepted, and everything is as it was")
