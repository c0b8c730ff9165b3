import { constants, inflateRawSync, type Zlib } from 'node:zlib';

/** The plain bytes of a compressed message, or why there are none. */
export type InflateResult =
  | { readonly bytes: Buffer; readonly complete: 'yes' | 'unspecified' }
  | 'broken'
  | 'too long';

const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
/** Two final blocks that may follow a block which ends at a byte boundary. */
const ENDS = [Buffer.from([0x03, 0x00]), Buffer.from([0x01, 0x00, 0x00, 0xff, 0xff])];
const MAX_FINALS = 8;
const MAX_PLAIN_BYTES = 1024 * 1024;

/**
 * Inflates a message by RFC 7692, section 7.2.2, with zlib's one-shot function. A message may
 * contain several deflate streams. Checks that the last one is complete.
 *
 * @param history - Plain bytes that the message may refer to.
 */
export function inflateMessage(payload: Uint8Array, history: Uint8Array): InflateResult {
  let plain = Buffer.alloc(0);
  // An empty payload has no block for the tail to end.
  if (payload.length === 0) return { bytes: plain, complete: 'yes' };
  let rest = Buffer.concat([payload, TAIL]);
  try {
    for (let finals = 0; ; ) {
      const window = Buffer.concat([history, plain]).subarray(-32_768);
      const { bytes, used } = inflateOnce(rest, window, constants.Z_SYNC_FLUSH);
      plain = Buffer.concat([plain, bytes]);
      // If the tail adds plain bytes, it did not complete an empty block: the message was cut off.
      const cutOff = (): boolean =>
        bytes.length !==
        inflateOnce(rest.subarray(0, -4), window, constants.Z_SYNC_FLUSH).bytes.length;
      if (used < rest.length || endsHere(rest, window)) {
        if (++finals > MAX_FINALS || (used === rest.length && cutOff())) return 'broken';
        rest = rest.subarray(used);
        if (rest.length === 0 || rest.equals(TAIL)) return { bytes: plain, complete: 'yes' };
        // The final block consumed a part of the tail: the rest of the tail is no message.
        if (rest.length < TAIL.length) return { bytes: plain, complete: 'unspecified' };
        continue;
      }
      const complete = !cutOff() && ENDS.every((end) => endsWith(rest, window, end, bytes));
      return complete ? { bytes: plain, complete: 'yes' } : 'broken';
    }
  } catch (error) {
    return (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE' ? 'too long' : 'broken';
  }
}

function inflateOnce(
  data: Uint8Array,
  window: Uint8Array,
  finishFlush: number,
): { bytes: Buffer; used: number } {
  const dictionary = window.length > 0 ? { dictionary: window } : {};
  const options = { finishFlush, info: true, maxOutputLength: MAX_PLAIN_BYTES, ...dictionary };
  const { buffer, engine } = inflateRawSync(data, options) as unknown as {
    buffer: Buffer;
    engine: Zlib;
  };
  return { bytes: buffer, used: engine.bytesWritten };
}

/** Whether the data ends with a final block. */
function endsHere(data: Uint8Array, window: Uint8Array): boolean {
  try {
    inflateOnce(data, window, constants.Z_FINISH);
    return true;
  } catch {
    return false;
  }
}

function endsWith(data: Uint8Array, window: Uint8Array, end: Uint8Array, bytes: Buffer): boolean {
  try {
    const all = Buffer.concat([data, end]);
    const read = inflateOnce(all, window, constants.Z_FINISH);
    return read.used === all.length && read.bytes.equals(bytes);
  } catch {
    return false;
  }
}
