"""Recovery files as audits read them: by commitment, the last ones kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from vault.changes import Change
from vault.records import RecordBook

_FILES_KEPT = 64


class Book:
    """Recovery files by commitment, the last ones read kept: a group's entries belong to many documents."""

    def __init__(self, records: RecordBook) -> None:
        self._records = records
        self._kept: OrderedDict[str, Mapping[bytes, Change]] = OrderedDict()

    def changes(self, name: str) -> Mapping[bytes, Change]:
        """Return the changes of a file. Raises StorageError, LedgerError(RECORD_INVALID)."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        changes = [Change.decode(data) for data in self._records.read(name)]
        self._kept[name] = {change.commitment: change for change in changes}
        if len(self._kept) > _FILES_KEPT:
            self._kept.popitem(last=False)
        return self._kept[name]

    def forget(self) -> None:
        """Read everything anew."""
        self._kept.clear()
