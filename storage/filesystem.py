"""Stores on a local file system that honours fsync."""

from __future__ import annotations

from storage.filesystem_log import FilesystemLogStore
from storage.filesystem_objects import FilesystemConfig, FilesystemObjectStore
from storage.filesystem_records import FilesystemRecordStore

__all__ = ["FilesystemConfig", "FilesystemLogStore", "FilesystemObjectStore", "FilesystemRecordStore"]
