/**
 * The start of each script, in Lua: reads the epoch `e`, the last offset `o` and the last offset `s`
 * before the epoch.
 *
 * A room has two keys in one slot. KEYS[1] is a hash with the fields `e`, `o` and `s`, and with the
 * server's replication id `r` at the start of the epoch. KEYS[2] is a stream of the messages, whose ids
 * are the offsets.
 *
 * A restart or a failover changes the replication id. Messages may be lost then, so a new epoch begins;
 * its offsets continue after the last known offset. A room without keys is new, or its keys have
 * expired; its offsets start at 1.
 *
 * Scripts are run by EVAL, not by EVALSHA: after a flush of the scripts, a publication would fall back
 * to EVAL, and the next publication would overtake it.
 *
 * @param withoutKeys - Lua that runs for a room without keys.
 * @param from - See {@link unlessMoved}; undefined outside of a cluster.
 */
const readRoom = (withoutKeys: string, from: string | undefined): string => `
local i = redis.call('INFO', 'replication')
local r = i:match('master_replid:(%w+)') or ''
local m = redis.call('HMGET', KEYS[1], 'e', 'o', 'r', 's')
local e, o, s = m[1], m[2] or '0', m[4]
if not e then ${withoutKeys} end
if m[3] ~= r then
  ${from === undefined ? '' : unlessMoved(from)}
  e, s = ARGV[1], o
  ${from === undefined ? '' : 'end'}
  redis.call('HSET', KEYS[1], 'e', e, 'r', r, 's', s)
end`;

/**
 * Lua that begins a new epoch, unless the keys have moved here complete, with their slot. A server that
 * has just taken over from its primary may have lost messages after the move.
 *
 * @param from - Lua for the replication id of a primary that may have written the keys. For `?` the
 *   script fails with the id in the keys.
 */
const unlessMoved = (from: string): string => `
local n = tonumber(i:match('second_repl_offset:(%d+)'))
local late = n and i:match('master_repl_offset:(%d+)') - n < ${LATE_BYTES}
local lost = not e or late or m[3] == i:match('master_replid2:(%w+)')
if not lost and ${from} == '?' then return redis.error_reply('${KEYS_FROM} ' .. m[3]) end
if lost or ${from} ~= m[3] then`;

/** Start of the error for keys that another server has written. The replication id in the keys follows. */
export const KEYS_FROM = 'KEYSFROM';
/** Bytes of replication for which a server that has taken over counts as new. */
const LATE_BYTES = 1_048_576;

/** Number of marks in a full history. The script drops the oldest messages up to a mark. */
const MARKS = 32;

/**
 * The script of a publication to a room with history.
 *
 * ARGV: the id of a new epoch, the message, its channel, size, ttl and bytes of the history, ttl of the
 * epoch; in a cluster also a replication id.
 *
 * The field `t` of the hash counts the bytes of all messages. When `t` passes a multiple of `step`, a
 * mark stores the offset of that message. So the script can apply the bound `bytes` without reading
 * messages. Each value of the bound has marks of its own.
 */
export function publishScript(command: 'PUBLISH' | 'SPUBLISH', isShard: boolean): string {
  return `${readRoom("redis.call('DEL', KEYS[2])", isShard ? 'ARGV[8]' : undefined)}
o = redis.call('HINCRBY', KEYS[1], 'o', 1)
local n, bytes = #ARGV[2], tonumber(ARGV[6])
local step = math.max(math.floor(bytes / ${MARKS}), 1)
local t = redis.call('HINCRBY', KEYS[1], 't', n)
local last = math.floor(t / step)
local function mark(i) return 'm' .. step .. ':' .. i % ${2 * MARKS} end
for i = math.max(math.floor((t - n) / step) + 1, last - ${MARKS}), last do
  redis.call('HSET', KEYS[1], mark(i), i .. ' ' .. o)
end
local first = o - ARGV[4]
for i = math.ceil((t - bytes) / step), last do
  if i < 1 then break end
  local at = (redis.call('HMGET', KEYS[1], mark(i))[1] or ''):match('^' .. i .. ' (%d+)$')
  if at then
    first = math.max(first, math.min(at, o - 1))
    break
  end
end
redis.call('XADD', KEYS[2], 'MINID', '~', math.max(first + 1, 0) .. '-0', o .. '-0', 'm', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('${command}', ARGV[3], e .. ' ' .. o .. ' ' .. ARGV[2])
return {e, o}`;
}

/** Bound of the messages that one call returns, and the bytes after which the call ends. */
const PART_SIZE = 200;
const PART_BYTES = 262_144;
/** An XRANGE reads this many messages while their average is below SMALL_BYTES, otherwise one. */
const FEW = 4;
const SMALL_BYTES = 16_384;

/**
 * The script of a read of the history. The first read of a room creates its epoch.
 *
 * ARGV: the id of a new epoch, the limit, epoch and offset of `since` or two empty strings, the ttl of
 * the epoch, the size of the history; in a cluster also a replication id. Returns the epoch, its last
 * offset and entries: the first after `since`; without `since`, the last; if `since` has another epoch,
 * the first of the current epoch; if it has none, the first of all. The stream may have more than the
 * size, because XADD drops whole nodes of 100 entries.
 *
 * Redis serves no other client while the script runs, and a MiB takes 40 ms. So the script reads a few
 * entries at a time, until it has {@link PART_BYTES}.
 */
export const historyScript = (
  isShard: boolean,
): string => `${readRoom("redis.call('DEL', KEYS[2])", isShard ? 'ARGV[7]' : undefined)}
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local from = ARGV[4]
if from == '' then from = o - ARGV[2]
elseif ARGV[3] == '' then from = 0
elseif ARGV[3] ~= e then from = s end
from = math.max(from, o - ARGV[6], 0)
local found, bytes, limit = {}, 0, math.min(ARGV[2], ${PART_SIZE})
while #found < limit and bytes < ${PART_BYTES} do
  local count = math.min(limit - #found, bytes < #found * ${SMALL_BYTES} + 1 and ${FEW} or 1)
  local entries = redis.call('XRANGE', KEYS[2], from + 1, '+', 'COUNT', count)
  for _, entry in ipairs(entries) do
    found[#found + 1] = entry
    bytes = bytes + #entry[2][2]
  end
  if #entries < count then break end
  from = found[#found][1]:match('^%d+')
end
return {e, tonumber(o), found}`;
