import { asyncContexts } from './async-contexts.ts';
import { inLaterTurn, YieldQueue } from './later-turns.ts';
import type { Platform } from './platform.ts';

let decoder: InstanceType<typeof TextDecoder> | undefined;
let encoder: InstanceType<typeof TextEncoder> | undefined;

const yielded = /* @__PURE__ */ new YieldQueue(inLaterTurn);

/** Calls `callback` in a later turn of the event loop. */
function later(callback: () => void): void {
  yielded.add(callback);
}

/**
 * The default platform of a Conn. Uses web globals only, and declines compression.
 *
 * @example
 * ```ts
 * import { connPair, portablePlatform } from '@ws/conn';
 *
 * let time = 0; // of a test
 * const platform = { ...portablePlatform, now: () => time };
 * const [client] = connPair({ platform });
 * await client.send('hello');
 * ```
 */
export const portablePlatform: Platform = {
  writeUtf8(into, at, text) {
    encoder ??= new TextEncoder();
    return encoder.encodeInto(text, into.subarray(at)).written;
  },
  decodeUtf8(bytes, start, end) {
    decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
    return decoder.decode(bytes.subarray(start, end));
  },
  randomFill(words) {
    crypto.getRandomValues(words);
  },
  now() {
    return performance.now();
  },
  setTimer(ms, callback, keepAlive = false) {
    // Only the matching function can clear the timer: fake timers may replace `clearTimeout` later.
    const clear = clearTimeout;
    const timer = asyncContexts.inRoot(setTimeout, callback, ms);
    // `timer` is a number in browsers, and an object in Node.js.
    if (!keepAlive) (timer as { unref?(): void }).unref?.();
    return () => clear(timer);
  },
  defer: later,
  yield: later,
  warn(text) {
    console.error(text);
  },
};
