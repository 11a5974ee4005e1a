"""Commit of one group of staged files: contents, then names, then folders."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from storage.base import Staged, Stored
from storage.errors import ObjectMissing, StorageError, StorageUnavailable
from storage.filesystem_disk import Disk, unavailable
from storage.filesystem_staging import StagedFile
from storage.filesystem_tree import ObjectTree

_Argument = TypeVar("_Argument")


class Committer:
    """Makes groups of staged files durable; one group at a time calls it, from any thread."""

    def __init__(self, disk: Disk, tree: ObjectTree, threads: int) -> None:
        """Remember where objects go and from how many threads they are flushed."""
        self._disk = disk
        self._tree = tree
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="object-sync")

    def close(self) -> None:
        """End the flushing threads."""
        self._pool.shutdown()

    def commit(self, group: list[Staged]) -> list[Stored | StorageError]:
        """Make one group durable. An object's failure is its own result, not the group's.

        1. Flush contents, mode and retention of every file.
        2. Give each flushed file its final name, or adopt the object that already bears it.
        3. Flush every folder touched, those of folders not known to be durable too.
        """
        # 1
        flushed = self._spread(lambda item: staged_file(item).sync(), group)
        # 2
        results: list[Stored | StorageError] = []
        needed: dict[str, list[str]] = {}
        for item, failure in zip(group, flushed, strict=True):
            results.append(failure or self._name(item, needed))
        # 3
        folders = list({folder for ancestors in needed.values() for folder in ancestors})
        outcomes = dict(zip(folders, self._spread(self._disk.sync_folder, folders), strict=True))
        failures = {
            folder: next((outcomes[each] for each in ancestors if outcomes[each] is not None), None)
            for folder, ancestors in needed.items()
        }
        for folder, failure in failures.items():
            if failure is None:
                self._disk.confirm(folder)
        for place, item in enumerate(group):
            if isinstance(results[place], Stored):
                failure = failures[self._tree.folder(item.address)]
                if failure is None:
                    staged_file(item).close()
                else:
                    results[place] = failure
        return results

    def _name(self, item: Staged, needed: dict[str, list[str]]) -> Stored | StorageError:
        """Link one file under its address; note in `needed` which folders are to be flushed."""
        folder = self._tree.folder(item.address)
        file = staged_file(item)
        try:
            if folder not in needed:
                needed[folder] = self._disk.prepare(folder)
            while True:
                with unavailable("naming an object"):
                    if file.link(self._tree.path(item.address)):
                        return Stored(item.address, item.size, item.retain_until)
                try:
                    return self._tree.adopt(item)
                except ObjectMissing:  # the object in our way was deleted: link again, if there is a file
                    if file.closed:
                        raise StorageUnavailable("these staged bytes are gone: put them again") from None
        except StorageError as error:
            return error

    def _spread(
        self, work: Callable[[_Argument], None], arguments: list[_Argument]
    ) -> list[StorageError | None]:
        """Do blocking work for all arguments, on the pool's threads when there are several."""

        def attempt(argument: _Argument) -> StorageError | None:
            try:
                work(argument)
            except StorageError as error:
                return error
            return None

        if len(arguments) < 2:
            return [attempt(argument) for argument in arguments]
        step = min(self._threads, len(arguments))

        def share(start: int) -> list[StorageError | None]:
            return [attempt(argument) for argument in arguments[start::step]]

        outcomes: list[StorageError | None] = [None] * len(arguments)
        try:
            shares = list(self._pool.map(share, range(step)))
        except RuntimeError:
            return [StorageUnavailable("the store is closed") for _ in arguments]
        for start, part in enumerate(shares):
            outcomes[start::step] = part
        return outcomes


def staged_file(item: Staged) -> StagedFile:
    """Return the open file of a staged object. Raises TypeError when another store staged it."""
    if not isinstance(item.handle, StagedFile):
        raise TypeError("this was staged by another store")
    return item.handle
