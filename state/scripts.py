"""The guarded scripts: every write of a shard's state is one of these.

Rules of this file: 6.2 commands only; all keys share one hash tag; a script checks before it writes, and its first
write is the one Redis itself would refuse a second time (an explicit stream id).

Theory of operation: a shard's meta holds the owner's nonce and ``step``, a number that each guarded write raises by
one. A write names the step it expects. If the step is already one further and the digest of that last write is its
own, the attempt landed before and only its reply was lost: ALREADY. Any other step means that Redis forgot writes (a
lost tail, a stale replica): MISMATCH. Because chunks and checkpoints count as steps too, no lost write of any sort can
go unseen by the next one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Reply(Enum):
    """What a guarded write answers.

    OK: done. ALREADY: an earlier attempt of this very write had landed. FENCED: the shard has another owner.
    MISMATCH: Redis is not where this owner left it. On the last two: drop memory and stand down.
    """

    OK = b"OK"
    ALREADY = b"ALREADY"
    FENCED = b"FENCED"
    MISMATCH = b"MISMATCH"

    @property
    def landed(self) -> bool:
        """Whether the write is stored."""
        return self in (Reply.OK, Reply.ALREADY)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and its SHA-1, by which it is called."""

    name: str
    text: str
    sha: str

    @classmethod
    def of(cls, name: str, text: str) -> Script:
        """Name a script text."""
        return cls(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function at(ms) return string.format('%.0f', ms) end
"""

# ARGV: 1 owner, 2 step expected, 3 step after, 4 digest, 5 lease ms; i is where the rest begins.
_GUARD = (
    """
local held = redis.call('HMGET', KEYS[1], 'owner', 'step', 'digest')
if held[1] ~= ARGV[1] then return 'FENCED' end
if held[2] ~= ARGV[2] then
  if held[2] == ARGV[3] and held[3] == ARGV[4] then return 'ALREADY' end
  return 'MISMATCH'
end
local i = 6
local function take() local v = ARGV[i]; i = i + 1; return v end
"""
    + _NOW
)

_STEP = """
redis.call('HSET', KEYS[1], 'step', ARGV[3], 'digest', ARGV[4], 'lease', at(now + ARGV[5]))
return 'OK'
"""

MANIFEST: Final = Script.of(
    "manifest",
    # KEYS: manifest, then every shard's meta. ARGV: shards, format, identity, first checkpoint.
    """
local found = redis.call('HMGET', KEYS[1], 'shards', 'format', 'identity')
local present, missing = {}, {}
for k = 2, #KEYS do
  local list = redis.call('EXISTS', KEYS[k]) == 1 and present or missing
  list[#list + 1] = k - 2
end
if found[1] then return {'FOUND', found[1], found[2], found[3], table.concat(missing, ',')} end
if #present > 0 then return {'LOST', '', '', '', table.concat(present, ',')} end
for k = 2, #KEYS do
  redis.call('HSET', KEYS[k], 'format', ARGV[2], 'step', '0', 'seq', '0', 'out', '0', 'dlq', '0',
    'checkpoint', ARGV[4])
end
redis.call('HSET', KEYS[1], 'shards', ARGV[1], 'format', ARGV[2], 'identity', ARGV[3])
return {'CREATED', ARGV[1], ARGV[2], ARGV[3], ''}
""",
)

ACQUIRE: Final = Script.of(
    "acquire",
    # KEYS: meta. ARGV: nonce, lease ms, force (1 or 0), nonce known to be dead, holder, code, format.
    _NOW
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return {'MISSING'} end
local held = redis.call('HMGET', KEYS[1], 'owner', 'lease', 'holder', 'format')
if held[4] ~= ARGV[7] then return {'FORMAT', held[4]} end
local left = (tonumber(held[2] or '0') or 0) - now
if held[1] and left > 0 and held[1] ~= ARGV[1] and held[1] ~= ARGV[4] and ARGV[3] ~= '1' then
  return {'BUSY', held[1], held[3] or '', at(left)}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease', at(now + ARGV[2]), 'holder', ARGV[5], 'code', ARGV[6])
return {'OK'}
""",
)

RENEW: Final = Script.of(
    "renew",
    # KEYS: meta. ARGV: owner, lease ms.
    _NOW
    + """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 'FENCED' end
redis.call('HSET', KEYS[1], 'lease', at(now + ARGV[2]))
return 'OK'
""",
)

RELEASE: Final = Script.of(
    "release",
    # KEYS: meta. ARGV: owner.
    """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 'FENCED' end
redis.call('HDEL', KEYS[1], 'owner', 'lease', 'holder')
return 'OK'
""",
)

COMMIT: Final = Script.of(
    "commit",
    # KEYS: meta, offsets, delta, out, dlq, ads.
    # ARGV after the guard: seq expected, seq after, out before, out after, dlq before, dlq after, delta,
    # n, offset fields; count, outbox entries (id, n, fields); count, dead letters (the same); n, summary fields.
    _GUARD
    + """
local seq, after = take(), take()
local out, out_after, dlq, dlq_after = take(), take(), take(), take()
local last = redis.call('HMGET', KEYS[1], 'seq', 'out', 'dlq')
if last[1] ~= seq or last[2] ~= out or last[3] ~= dlq then return 'MISMATCH' end
local function set(key)
  local n = tonumber(take())
  while n > 0 do
    local m = math.min(n, 2000)
    redis.call('HSET', key, unpack(ARGV, i, i + m - 1))
    i, n = i + m, n - m
  end
end
local function append(key)
  for _ = 1, tonumber(take()) do
    local id, n = take(), tonumber(take())
    redis.call('XADD', key, id, unpack(ARGV, i, i + n - 1))
    i = i + n
  end
end
redis.call('XADD', KEYS[3], after .. '-0', 'd', take())
set(KEYS[2])
append(KEYS[4])
append(KEYS[5])
set(KEYS[6])
redis.call('HSET', KEYS[1], 'seq', after, 'out', out_after, 'dlq', dlq_after)
"""
    + _STEP,
)

WRITE_CHUNKS: Final = Script.of(
    "write_chunks",
    # KEYS: meta, chunks, then the key of each chunk. ARGV after the guard: per chunk its field, its info, its bytes.
    _GUARD
    + """
for k = 3, #KEYS do
  local field, info = take(), take()
  redis.call('SET', KEYS[k], take())
  redis.call('HSET', KEYS[2], field, info)
end
"""
    + _STEP,
)

FINISH_CHECKPOINT: Final = Script.of(
    "finish_checkpoint",
    # KEYS: meta, chunks, delta, then the keys of chunks to delete.
    # ARGV after the guard: record, oldest delta id to keep, fields of the chunks to delete.
    _GUARD
    + """
redis.call('HSET', KEYS[1], 'checkpoint', take())
local oldest = take()
for k = 4, #KEYS do
  redis.call('DEL', KEYS[k])
  redis.call('HDEL', KEYS[2], take())
end
redis.call('XTRIM', KEYS[3], 'MINID', oldest)
"""
    + _STEP,
)
