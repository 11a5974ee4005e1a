"""The channel of development: what would have left stands in the log. No address does, and the words name nobody."""

from __future__ import annotations

import logging

from vault.domain.notices import ChannelName, Letter

_log = logging.getLogger("probans.notices")


class LogChannel:
    """`vault.domain.notices.Channel` into the log. Codes of confirmation stand there too: refused in production."""

    def __init__(self, name: ChannelName) -> None:
        self._name = name

    @property
    def longest_s(self) -> float:
        """See `Channel`."""
        return 1.0

    def send(self, letter: Letter) -> None:
        """See `Channel`."""
        _log.info("%s: %s", self._name.value, letter.words.text, extra={"channel": self._name.value})

    def rest(self) -> None:
        """See `Channel`."""
