"""What a shard has given out so far: its outbox and its dead letters, read without owning it.

Rules of this file: it only reads; entries come in the order of their numbers, a page at a time, so that memory stays
small however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from state.caller import Caller
from state.keys import ShardKeys
from state.redis_client import command

PAGE: Final = 200
Fields = dict[bytes, bytes]


class ShardReader:
    """Reads one shard.

    Parameters
    ----------
    caller : on a client from `state.redis_client.connect`. shard : int.
    """

    def __init__(self, caller: Caller, shard: int) -> None:
        self._caller = caller
        self._keys = ShardKeys.of(shard)

    def outbox(self, after: int = 0) -> Iterator[tuple[int, Fields]]:
        """The outbox entries behind number ``after``: (number, fields)."""
        return self._entries(self._keys.out, after)

    def dead_letters(self, after: int = 0) -> Iterator[tuple[int, Fields]]:
        """The dead letters behind number ``after``: (number, fields)."""
        return self._entries(self._keys.dlq, after)

    def _entries(self, key: str, after: int) -> Iterator[tuple[int, Fields]]:
        while True:
            page = self._page(key, f"{after + 1}-0")
            for name, flat in page:
                after = int(name.partition(b"-")[0])
                yield after, dict(zip(flat[::2], flat[1::2], strict=True))
            if len(page) < PAGE:
                return

    def _page(self, key: str, start: str) -> list[Any]:
        client = self._caller.client
        page: list[Any] = self._caller.patiently(lambda: command(client, "XRANGE", key, start, "+", "COUNT", PAGE))
        return page
