"""The guarded scripts of the executor's ledger: every write of it is one of these.

Rules of this file: 6.2 commands only; a script checks before it writes; all numbers travel as text (Lua's would lose
digits of money). A counter is raised only behind a check that cannot pass twice.

Theory of operation: a move of a command names the state and the attempt it starts from, so it lands once or not at all;
a reservation also names the version of its account, so two executors that weighed the same facts cannot both pass.
"""

from __future__ import annotations

from typing import Final

from state.scripts import Script

# An outcome is numbered and stored once per command and result; the caller has checked the rest.
_TELL: Final = """
local function tell(key, result, reason, observed, at)
  if redis.call('HSETNX', key, 'told:' .. result, at) == 0 then return end
  local id, shard = unpack(redis.call('HMGET', key, 'id', 'shard'))
  local number = redis.call('HINCRBY', '{ledger}:outcome_numbers', shard, 1)
  redis.call('XADD', string.format('{ledger}:outcomes:%02d', shard), number .. '-0',
    'id', id, 'result', result, 'reason', reason, 'observed', observed, 'at', at)
end
"""

# KEYS: 1 cursor. ARGV: 1 shard, 2 number, 3 now, then per command: facts as JSON, body.
RECORD: Final = Script.of(
    "record",
    _TELL
    + """
local alarms = 0
local function supersede(id)
  local key = '{ledger}:command:' .. id
  local state, result = unpack(redis.call('HMGET', key, 'state', 'result'))
  if result ~= '' or (state ~= 'proposed' and state ~= 'approved') then return end
  redis.call('HSET', key, 'state', 'failed', 'result', 'held', 'reason', 'superseded')
  redis.call('ZREM', '{ledger}:due', id)
  redis.call('ZREM', '{ledger}:awaiting', id)
  tell(key, 'held', 'superseded', '', ARGV[3])
end
local function enter(c, body)
  local key = '{ledger}:command:' .. c.id
  local known = redis.call('HGET', key, 'digest')
  if known then
    if known ~= c.digest then
      redis.call('HSET', '{ledger}:alarms', c.id .. ' ' .. c.digest, '1')
      alarms = alarms + 1
    end
    return
  end
  redis.call('HSET', key, 'id', c.id, 'digest', c.digest, 'body', body, 'shard', ARGV[1], 'state', c.state,
    'result', c.result, 'reason', c.reason, 'attempts', '0', 'owner', '')
  redis.call('ZADD', '{ledger}:index', c.created, c.id)
  if c.result ~= '' then return end
  local newest, open = unpack(redis.call('HMGET', c.entity, 'newest', 'open'))
  if newest and tonumber(newest) > tonumber(c.number) then
    return supersede(c.id)
  end
  if open then supersede(open) end
  redis.call('HSET', c.entity, 'newest', c.number, 'open', c.id)
  redis.call('ZADD', c.state == 'approved' and '{ledger}:due' or '{ledger}:awaiting', c.due, c.id)
end
for i = 4, #ARGV, 2 do enter(cjson.decode(ARGV[i]), ARGV[i + 1]) end
local cursor = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if tonumber(ARGV[2]) > cursor then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return alarms
""",
)

# KEYS: 1 account, 2 entity, 3 flight, 4 changes, 5-7 writes (entity, campaign, account), 8 stops.
# ARGV: 1-3 starts of the rate windows, 4-6 scopes of the switches.
VIEW: Final = Script.of(
    "view",
    """
local stopped = 0
for i = 4, 6 do stopped = stopped + redis.call('HEXISTS', KEYS[8], ARGV[i]) end
local writes = {}
for i = 1, 3 do writes[i] = redis.call('ZCOUNT', KEYS[4 + i], ARGV[i], '+inf') end
return {redis.call('HGET', KEYS[1], 'version') or '0', stopped, redis.call('HMGET', KEYS[2], 'micros', 'paused'),
  redis.call('HGETALL', KEYS[3]), redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'), writes}
""",
)

# What a platform shows, where it is not what the ledger knew: somebody else's change.
# KEYS: 1 account, 2 entity, 3 changes, 4 flight. ARGV: 1 version, 2 now, 3 micros or "", 4 paused "1" "0" or "".
OBSERVE: Final = Script.of(
    "observe",
    """
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] or redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
local micros, paused = unpack(redis.call('HMGET', KEYS[2], 'micros', 'paused'))
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
local moved = micros and ARGV[3] ~= '' and micros ~= ARGV[3]
local flipped = paused and ARGV[4] ~= '' and paused ~= ARGV[4]
if (moved or flipped) and ARGV[3] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[2], string.format('%015d|%s|%s|0', version, micros or ARGV[3], ARGV[3]))
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], 'micros', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], 'paused', ARGV[4]) end
return 1
""",
)

# A command whose story was lived elsewhere (in virtual time) enters at its end: no queue, no switch, no outcome told.
# KEYS: 1 index. ARGV: per command: facts as JSON, body.
KEEP: Final = Script.of(
    "keep",
    """
for i = 1, #ARGV, 2 do
  local c = cjson.decode(ARGV[i])
  local key = '{ledger}:command:' .. c.id
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'body', ARGV[i + 1], unpack(c.set))
    redis.call('ZADD', KEYS[1], c.created, c.id)
  end
end
return 'OK'
""",
)

# One step of one command. KEYS: 1 command, 2 account, 3 entity, 4 flight, 5 changes, 6-8 writes. ARGV: 1 JSON.
MOVE: Final = Script.of(
    "move",
    _TELL
    + """
local m = cjson.decode(ARGV[1])
local state, attempts, owner, result = unpack(redis.call('HMGET', KEYS[1], 'state', 'attempts', 'owner', 'result'))
if state ~= m.from or attempts ~= m.attempts or result == 'held' then return 'LOST' end
if m.owner and owner ~= m.owner then return 'LOST' end
if m.version and (redis.call('HGET', KEYS[2], 'version') or '0') ~= m.version then return 'MOVED' end
for _, scope in ipairs(m.scopes) do
  if redis.call('HEXISTS', '{ledger}:stops', scope) == 1 then return 'STOPPED' end
end
redis.call('HSET', KEYS[1], unpack(m.set))
local version = 0
if m.flight ~= '' or m.change then version = redis.call('HINCRBY', KEYS[2], 'version', 1) end
if m.flight == 'add' then redis.call('HSET', KEYS[4], m.id, m.action) end
if m.flight == 'remove' then redis.call('HDEL', KEYS[4], m.id) end
for i = 6, 8 do
  if m.writes == 'add' then
    redis.call('ZADD', KEYS[i], m.now, m.write)
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', '(' .. m.keep)
  end
  if m.writes == 'remove' then redis.call('ZREM', KEYS[i], m.write) end
end
if m.change then
  redis.call('ZADD', KEYS[5], m.now, string.format('%015d|%s', version, m.change))
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', '(' .. m.keep)
end
if #m.seen > 0 then redis.call('HSET', KEYS[3], unpack(m.seen)) end
redis.call('ZREM', '{ledger}:due', m.id)
redis.call('ZREM', '{ledger}:awaiting', m.id)
if m.due then redis.call('ZADD', '{ledger}:' .. m.queue, m.due, m.id) end
if m.tell then tell(KEYS[1], m.tell, m.reason, m.observed, m.now) end
return 'OK'
""",
)
