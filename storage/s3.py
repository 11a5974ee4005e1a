"""The three stores on an S3 service with Object Lock."""

from __future__ import annotations

from storage.s3_client import S3Client, S3Config
from storage.s3_log import S3LogConfig, S3LogStore
from storage.s3_objects import S3ObjectsConfig, S3ObjectStore
from storage.s3_records import S3RecordStore

__all__ = [
    "S3Client",
    "S3Config",
    "S3LogConfig",
    "S3LogStore",
    "S3ObjectStore",
    "S3ObjectsConfig",
    "S3RecordStore",
]
