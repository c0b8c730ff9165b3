import type { Host } from './host.ts';

let decoder: InstanceType<typeof TextDecoder> | undefined;
let encoder: InstanceType<typeof TextEncoder> | undefined;

/**
 * A later turn of the event loop by the best that the platform has: setImmediate, a MessageChannel (not throttled
 * in a browser's tab), or setTimeout.
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

/** What a Conn stands on where nobody lends it anything better: web globals only. */
export const portableHost: Host = {
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
    // A number in browsers, an object in Node.
    (timer as { unref?(): void }).unref?.();
    return () => clearTimeout(timer);
  },
  defer: later,
  yield: later,
};
