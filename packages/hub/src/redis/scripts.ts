/**
 * A room has two keys in one slot. KEYS[1] is a hash: the epoch `e`, the last offset `o`, the
 * server's replication id `r` at the start of the epoch, and the last offset `s` before the epoch.
 * KEYS[2] is a stream of the messages. Their ids are the offsets.
 *
 * A restart or a failover changes the replication id. Messages may be lost then, so a new epoch
 * begins, and its offsets continue after the last known one. A room without keys starts at 1: it is
 * new, or its keys have expired.
 *
 * Uses EVAL instead of EVALSHA: after a flush of the scripts, a publication that falls back to EVAL
 * would be overtaken by the next one.
 */
const read = (withoutKeys: string): string => `
local r = redis.call('INFO', 'replication'):match('master_replid:(%w+)') or ''
local m = redis.call('HMGET', KEYS[1], 'e', 'o', 'r', 's')
local e, o, s = m[1], m[2] or '0', m[4]
if not e then ${withoutKeys} end
if m[3] ~= r then
  e, s = ARGV[1], o
  redis.call('HSET', KEYS[1], 'e', e, 'r', r, 's', s)
end`;

/** ARGV: the id of a new epoch, the message, its channel, size and ttl of the history. */
export function publishScript(command: 'PUBLISH' | 'SPUBLISH'): string {
  return `${read("redis.call('DEL', KEYS[2])")}
o = redis.call('HINCRBY', KEYS[1], 'o', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], o .. '-0', 'm', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('${command}', ARGV[3], e .. ' ' .. o .. ' ' .. ARGV[2])
return {e, o}`;
}

/**
 * ARGV: the id of a new epoch, the limit, epoch and offset of `since` or two empty strings. Returns
 * the epoch, its last offset and the entries; nothing for a room without keys. With the epoch of
 * another history, returns the first messages of the current epoch.
 */
export const HISTORY: string = `${/* @__PURE__ */ read('return {}')}
local from = ARGV[4]
if ARGV[3] == '' then from = math.max(o - ARGV[2], 0)
elseif ARGV[3] ~= e then from = s end
return {e, tonumber(o), redis.call('XRANGE', KEYS[2], from + 1, '+', 'COUNT', ARGV[2])}`;
