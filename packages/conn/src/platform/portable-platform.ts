import type { Platform } from './platform.ts';

let decoder: InstanceType<typeof TextDecoder> | undefined;
let encoder: InstanceType<typeof TextEncoder> | undefined;

/**
 * Schedules a later turn of the event loop with the best that the runtime has: setImmediate, a
 * MessageChannel (which browsers do not throttle in background tabs), or setTimeout.
 */
function laterTurn(): (callback: () => void) => void {
  if (typeof setImmediate === 'function') {
    const immediate = setImmediate;
    return (callback) => void immediate(callback);
  }
  if (typeof MessageChannel === 'function') {
    const { port1, port2 } = new MessageChannel();
    const waiting: (() => void)[] = [];
    port1.onmessage = () => waiting.shift()?.();
    port1.unref?.();
    return (callback) => {
      waiting.push(callback);
      port2.postMessage(null);
    };
  }
  return (callback) => void setTimeout(callback, 0);
}

let turn: ((callback: () => void) => void) | undefined;
function later(callback: () => void): void {
  turn ??= laterTurn();
  turn(callback);
}

/** The default platform of a Conn: it uses web globals only, and does not compress. */
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
  setTimer(ms, callback) {
    const timer = setTimeout(callback, ms);
    // A number in browsers, an object in Node.js.
    (timer as { unref?(): void }).unref?.();
    return () => clearTimeout(timer);
  },
  defer: later,
  yield: later,
  warn(text) {
    console.error(text);
  },
};
