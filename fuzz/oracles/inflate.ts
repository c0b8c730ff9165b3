import { constants, inflateRawSync, type Zlib } from 'node:zlib';

/** What a compressed message is worth: its plain bytes, or that it is broken, or too long to be looked at. */
export type Inflated =
  | { readonly bytes: Buffer; readonly whole: 'yes' | 'perhaps' }
  | 'broken'
  | 'too long';

const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
/** Two ways to end a stream that has come to the end of a block at the border of a byte. */
const ENDS = [Buffer.from([0x03, 0x00]), Buffer.from([0x01, 0x00, 0x00, 0xff, 0xff])];
const MAX_FINALS = 8;
const MOST = 1024 * 1024;

/**
 * Inflates a message by RFC 7692, section 7.2.2, with zlib's one-shot function: each stream of it, and at the end whether
 * it was all there.
 *
 * @param history - Plain bytes that may be referred back to.
 */
export function inflated(payload: Uint8Array, history: Uint8Array): Inflated {
  let plain = Buffer.alloc(0);
  // Nothing at all has no block that the tail could end.
  if (payload.length === 0) return { bytes: plain, whole: 'yes' };
  let rest = Buffer.concat([payload, TAIL]);
  try {
    for (let finals = 0; ; ) {
      const window = Buffer.concat([history, plain]).subarray(-32_768);
      const { bytes, used } = inflateOnce(rest, window, constants.Z_SYNC_FLUSH);
      plain = Buffer.concat([plain, bytes]);
      // A tail that gives bytes was not the end of an empty block: the message was cut off before.
      const cutOff = (): boolean =>
        bytes.length !==
        inflateOnce(rest.subarray(0, -4), window, constants.Z_SYNC_FLUSH).bytes.length;
      if (used < rest.length || endsHere(rest, window)) {
        if (++finals > MAX_FINALS || (used === rest.length && cutOff())) return 'broken';
        rest = rest.subarray(used);
        if (rest.length === 0 || rest.equals(TAIL)) return { bytes: plain, whole: 'yes' };
        // The tail was taken for something else, and what is left of it is no message.
        if (rest.length < TAIL.length) return { bytes: plain, whole: 'perhaps' };
        continue;
      }
      const whole = !cutOff() && ENDS.every((end) => endsWith(rest, window, end, bytes));
      return whole ? { bytes: plain, whole: 'yes' } : 'broken';
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
  const options = { finishFlush, info: true, maxOutputLength: MOST, ...dictionary };
  const { buffer, engine } = inflateRawSync(data, options) as unknown as {
    buffer: Buffer;
    engine: Zlib;
  };
  return { bytes: buffer, used: engine.bytesWritten };
}

/** Whether a final block ends with the last byte. */
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
