/** Bytes that Node may hold for a stream: a piece of a write, and the headers. */
const STREAM_MEMORY = 128 * 1024;
/** Bytes for the session itself. */
const SESSION_MEMORY = 16 * 1024 * 1024;
/** The unit of `maxSessionMemory`. */
const MEGABYTE = 1_000_000;

/**
 * Returns `maxSessionMemory`, in MB, for a session with so many streams. Above it Node refuses new
 * streams, and ends the session after a hundred of them. Node's default, 10 MB, suffices for 150
 * WebSockets whose peers read slowly.
 */
export function sessionMemory(streams: number): number {
  const megabytes = Math.ceil((SESSION_MEMORY + streams * STREAM_MEMORY) / MEGABYTE);
  return Math.min(megabytes, 2 ** 32 - 1);
}
