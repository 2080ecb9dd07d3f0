"""The event log on Redis Streams: one ordered stream per shard.

Rules of this file: entries are numbered 1, 2, 3, ... without a gap (ids ``<n>-0``); every append is one guarded script,
so it may be sent again; nothing is trimmed unless someone asks.

Theory of operation: `{sNN}:producers` holds each producer's last sequence number and, under the empty name, the number
of the stream's last entry. A stream that lost its tail (a restarted or failed-over server) shows as a position beyond
that number. As that needs a new connection, positions are compared with it once per connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.log import ENTRY_BYTES, Entry, LogError, LogTruncated, LogUnavailable, Mark, SequenceGap

_COUNT_MAX: Final = 256
"""Entries per stream and read: bounds what a reader can be handed when entries suddenly grow."""

_APPEND: Final = """
local last = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local sequence = tonumber(ARGV[2])
if sequence <= last then return 0 end
if sequence ~= last + 1 then return -1 end
local n = tonumber(redis.call('HGET', KEYS[2], '') or '0')
for i = 3, #ARGV, 2 do
  n = n + 1
  redis.call('XADD', KEYS[1], string.format('%.0f-0', n), ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2], '', string.format('%.0f', n))
return 1
"""
_APPEND_SHA: Final = hashlib.sha1(_APPEND.encode(), usedforsecurity=False).hexdigest()


class RedisLog:
    """An `EventLog` in Redis.

    Parameters
    ----------
    url : str, ``unix:///path/redis.sock`` or ``redis://host:port/db``.
    shards : int, how many there are.
    timeout_s : float, seconds to wait for a reply.
    """

    def __init__(self, url: str, shards: int = 16, *, timeout_s: float = 10.0) -> None:
        self.shards = shards
        self._stream_names = {shard: f"headgate.events.{shard:02d}" for shard in range(shards)}
        self._entry_bytes = float(ENTRY_BYTES)
        self._compared: set[int] = set()
        try:
            self._client: Any = redis.Redis.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                socket_read_size=1 << 18,
                driver_info=None,
                redis_connect_func=self._connected,
            )
        except ValueError as error:
            message = (
                f"log url {url!r} is not understood ({error}); write unix:///path/redis.sock or redis://host:6379/0"
            )
            raise LogUnavailable(message) from error
        self._client.set_response_callback("XREAD", _plain)

    def read(self, positions: Mapping[int, Mapping[str, int]], max_bytes: int) -> dict[int, list[Entry]]:
        """Read what follows; see `EventLog.read`."""
        if not positions:
            return {}
        after = {shard: at.get(self._stream_names[shard], 0) for shard, at in positions.items()}
        count = max(1, min(_COUNT_MAX, int(max_bytes / len(after) / self._entry_bytes)))
        reply = self._send(
            "XREAD", "COUNT", count, "STREAMS", *map(_log_key, after), *(f"{offset}-0" for offset in after.values())
        )
        shard_of = {_log_key(shard).encode(): shard for shard in after}
        found = {shard_of[key]: self._entries(shard_of[key], after, raw) for key, raw in reply or ()}
        for shard, offset in after.items():
            if shard not in self._compared:
                self._compare(shard, offset, empty=shard not in found)
        return found

    def append(
        self, shard: int, producer: str, sequence: int, entries: Sequence[bytes | Mark], *, trusted: bool = False
    ) -> bool:
        """Append entries once; see `EventLog.append`."""
        if not producer or sequence < 1:
            message = f"producer {producer!r} with sequence {sequence}: a name and a number from 1 on are needed"
            raise ValueError(message)
        args: list[bytes | str | int] = [producer, sequence]
        kind = "t" if trusted else "l"
        for entry in entries:
            args += ("m", _packed(entry)) if isinstance(entry, Mark) else (kind, entry)
        call = ("EVALSHA", _APPEND_SHA, 2, _log_key(shard), _producers_key(shard), *args)
        try:
            done = self._send(*call)
        except redis.exceptions.NoScriptError:
            self._send("SCRIPT", "LOAD", _APPEND)
            done = self._send(*call)
        if done == -1:
            last = self.last_sequence(shard, producer)
            message = (
                f"append {sequence} of {producer!r} does not follow {last}: the log lost its tail; send from {last + 1}"
            )
            raise SequenceGap(message)
        return bool(done)

    def last_sequence(self, shard: int, producer: str) -> int:
        """The last sequence number appended by a producer; 0: none."""
        return int(self._send("HGET", _producers_key(shard), producer) or 0)

    def end_offsets(self) -> dict[int, dict[str, int]]:
        """Per shard {stream: number of its last entry}; 0: it is empty."""
        ends: list[Any] = []
        pipe = self._client.pipeline(transaction=False)
        for shard in range(self.shards):
            pipe.execute_command("HGET", _producers_key(shard), "")
        try:
            ends = pipe.execute()
        except redis.RedisError as error:
            raise _unavailable(error) from error
        return {shard: {self._stream_names[shard]: int(end or 0)} for shard, end in enumerate(ends)}

    def trim(self, shard: int, through: int) -> None:
        """Forget the entries up to and including ``through`` (retention; never called by reading or appending)."""
        self._send("XTRIM", _log_key(shard), "MINID", f"{through + 1}-0")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _entries(self, shard: int, after: Mapping[int, int], raw: list[Any]) -> list[Entry]:
        stream = self._stream_names[shard]
        offset = after[shard]
        entries = []
        size = 0
        for entry_id, (kind, data) in raw:
            offset += 1
            if entry_id != b"%d-0" % offset:
                message = f"{stream}: entry {offset} was trimmed away; restore the log, or begin with a new --data"
                raise LogTruncated(message)
            if kind in (b"l", b"t"):
                entries.append(Entry(stream, offset, data, None, kind == b"t"))
            else:
                entries.append(Entry(stream, offset, None, _unpacked(data)))
            size += len(data)
        # Follows growth at once and shrinking slowly: too few entries cost time, too many cost memory.
        mean = size / max(1, len(entries))
        self._entry_bytes = max(64.0, mean, self._entry_bytes * 0.8)
        return entries

    def _compare(self, shard: int, after: int, *, empty: bool) -> None:
        """Check a position behind which nothing was found against the stream's end, once per connection."""
        if empty:
            end = int(self._send("HGET", _producers_key(shard), "") or 0)
            # Something may have been appended between the two calls: then it is there now.
            trimmed = end > after and not self._send("XREAD", "COUNT", 1, "STREAMS", _log_key(shard), f"{after}-0")
            if end < after or trimmed:
                how = "it was trimmed" if trimmed else "it lost its tail"
                message = f"{self._stream_names[shard]}: position {after} is not in the log (it ends at {end}): {how}"
                raise LogTruncated(message)
        self._compared.add(shard)

    def _connected(self, connection: Any) -> None:
        connection.on_connect()
        self._compared.clear()

    def _send(self, *parts: bytes | str | int) -> Any:
        try:
            return self._client.execute_command(*parts)
        except redis.exceptions.NoScriptError:
            raise
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ReadOnlyError) as error:
            raise _unavailable(error) from error
        except redis.ResponseError as error:
            message = f"the event log's Redis refused a call: {str(error).splitlines()[0]}"
            raise LogError(message) from error


def _log_key(shard: int) -> str:
    return f"{{s{shard:02d}}}:log"


def _producers_key(shard: int) -> str:
    return f"{{s{shard:02d}}}:producers"


def _packed(mark: Mark) -> bytes:
    return b"%s %d %d" % (mark.kind.encode(), mark.now_ms, mark.clock_ms)


def _unpacked(data: bytes) -> Mark:
    kind, now_ms, clock_ms = data.decode().split()
    return Mark("end" if kind == "end" else "tick", int(now_ms), int(clock_ms))


def _plain(reply: Any, **_: Any) -> Any:
    """Leave a reply as it came: no dict per entry."""
    return reply


def _unavailable(error: redis.RedisError) -> LogUnavailable:
    return LogUnavailable(f"the event log's Redis does not answer ({error}); start it or mend [log] url")
