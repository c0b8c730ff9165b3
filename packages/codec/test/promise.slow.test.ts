// What each class makes for a message: buffers and bytes of heap. The bounds are those of docs/codec.md.
import {
  BORROWED,
  Endpoint,
  encodeFrame,
  FRAME,
  FRAME_END,
  FrameDecoder,
  FrameEncoder,
  LEASED,
  MESSAGE,
  MessageDecoder,
  NEED_MORE,
  OWNED,
  type PayloadMemory,
  type Role,
} from '@ws/codec';
import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { buffersMade } from './buffers-made.ts';
import { bytes, join } from './support.ts';

const SIZES = [16, 1024, 65_536];
/** Messages in a chunk or in a flush. */
const TOGETHER = [1, 16];

type Read = (chunk: Uint8Array) => void;

function messageReader(memory: PayloadMemory): () => Read {
  return () => {
    const decoder = new MessageDecoder({ role: 'server', memory });
    return (chunk) => {
      decoder.push(chunk);
      for (let event: number; (event = decoder.next()) > NEED_MORE; ) {
        expectIs(event, MESSAGE);
        if (memory === LEASED) decoder.takeLease()!.release();
      }
    };
  };
}

/** `expect` allocates. */
function expectIs(event: number, other: number): void {
  if (event !== other) throw new Error(`event ${event}`);
}

const readers: Readonly<Record<string, () => Read>> = {
  FrameDecoder() {
    const decoder = new FrameDecoder({ role: 'server' });
    return (chunk) => {
      decoder.push(chunk);
      for (let event: number; (event = decoder.next()) > NEED_MORE; ) {
        if (event !== FRAME) expectIs(event, FRAME_END);
      }
    };
  },
  'FrameDecoder.writable'() {
    const decoder = new FrameDecoder({ role: 'server' });
    return (chunk) => {
      for (let at = 0; at < chunk.length; ) {
        const place = decoder.writable();
        const end = Math.min(chunk.length, at + place.length);
        for (let i = at; i < end; i++) place[i - at] = chunk[i]!;
        decoder.commit(end - at);
        while (decoder.next() > NEED_MORE);
        at = end;
      }
    };
  },
  MessageDecoder: messageReader(BORROWED),
  'MessageDecoder, LEASED': messageReader(LEASED),
  'MessageDecoder, OWNED': messageReader(OWNED),
  'Endpoint with a function'() {
    const endpoint = new Endpoint({ role: 'server' });
    const on = (): void => {};
    return (chunk) => endpoint.receive(chunk, on);
  },
  Endpoint() {
    const endpoint = new Endpoint({ role: 'server' });
    return (chunk) => void endpoint.receive(chunk);
  },
};

interface Writer {
  readonly send: (payload: Uint8Array) => void;
  readonly flush: () => void;
}

const written = (_chunk: Uint8Array, release: () => void): void => release();
const free = (): void => {};

const writers: Readonly<Record<string, (role: Role) => Writer>> = {
  FrameEncoder(role) {
    const encoder = new FrameEncoder({ role, nextKey: () => 0x37fa213d });
    return {
      send: (payload) => void encoder.frame(2, true, 0, payload),
      flush: () => encoder.flush(written),
    };
  },
  Endpoint(role) {
    const endpoint = new Endpoint({ role });
    return {
      send: (payload) => void endpoint.send(payload),
      flush: () => endpoint.output(written),
    };
  },
  'Endpoint with a release'(role) {
    const endpoint = new Endpoint({ role });
    return {
      send: (payload) => void endpoint.send(payload, free),
      flush: () => endpoint.output(written),
    };
  },
};

/** Buffers and bytes of heap for each message: alone in a chunk or flush, and as one of 16. */
type Bound = readonly [buffers: number, alone: number, together: number];

// The heap: a release function has 72 bytes, a view 96. One unmasks all messages of a chunk up to 8 KiB,
// four views a message of 64 KiB. A lease that is taken has a closure. An event of an Endpoint has
// its objects.
const READ: Readonly<Record<string, Readonly<Record<number, Bound>>>> = {
  FrameDecoder: { 16: [0, 0, 0], 1024: [0, 96, 6], 65_536: [0, 385, 385] },
  'FrameDecoder.writable': { 16: [0, 0, 0], 1024: [0, 0, 0], 65_536: [0, 0, 0] },
  MessageDecoder: { 16: [0, 0, 0], 1024: [0, 96, 6], 65_536: [0, 385, 385] },
  'MessageDecoder, LEASED': { 16: [0, 288, 288], 1024: [0, 384, 384], 65_536: [0, 384, 384] },
  'MessageDecoder, OWNED': { 16: [1, 216, 216], 1024: [1, 376, 376], 65_536: [1, 568, 568] },
  'Endpoint with a function': { 16: [0, 0, 0], 1024: [0, 96, 6], 65_536: [0, 385, 385] },
  Endpoint: { 16: [1, 549, 274], 1024: [1, 730, 457], 65_536: [1, 896, 626] },
};
const WRITTEN: Readonly<Record<string, Readonly<Record<number, Bound>>>> = {
  FrameEncoder: { 16: [0, 72, 5], 1024: [0, 72, 5], 65_536: [0, 568, 568] },
  Endpoint: { 16: [0, 72, 5], 1024: [0, 72, 5], 65_536: [0, 992, 992] },
  'Endpoint with a release': { 16: [0, 72, 5], 1024: [0, 72, 5], 65_536: [0, 992, 992] },
};
/** Compilers and the coverage of a test run allocate too. The smallest object has 24 bytes. */
const MORE = 16;

/** Bytes of the key as a BigInt, which V8 makes where it does not inline the code that masks. */
const WIDE_KEY = 40;

/** `round` handles `count` messages, and `masks` them by words or not. */
function check(
  round: () => void,
  count: number,
  size: number,
  [buffers, alone, together]: Bound,
  masks: boolean,
): void {
  const bound = (count === 1 ? alone : together) + MORE + (masks ? WIDE_KEY : 0);
  const rounds = Math.ceil((size > 5000 ? 50 : 1000) / count);
  for (let i = 0; i < 5 * rounds; i++) round();
  expect(buffersMade(round)).toBe(buffers * count);
  // The least reading: code that is not compiled yet allocates numbers.
  const least = leastHeap(round, rounds, bound * rounds * count) / rounds / count;
  expect(least).toBeLessThanOrEqual(bound);
}

/** Bytes of heap of `rounds` calls, of the least of many readings. Ends at one of at most `bound`. */
function leastHeap(round: () => void, rounds: number, bound: number): number {
  let least = Infinity;
  for (let reading = 0; reading < 60 && least > bound; reading++) {
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < rounds; i++) round();
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  return least;
}

describe.each(Object.entries(readers))('%s', (name, make) => {
  it.each(SIZES)('reads a message of %d bytes within its bounds', (size) => {
    const frame = encodeFrame(2, bytes(size), { maskKey: 0x37fa213d });
    for (const count of TOGETHER) {
      const wire = join(Array<Uint8Array>(count).fill(frame));
      const chunk = new Uint8Array(wire.length);
      const read = make();
      const round = (): void => {
        chunk.set(wire);
        read(chunk);
      };
      check(round, count, size, READ[name]![size]!, size > 16);
    }
  });
});

describe.each(Object.entries(writers))('%s', (name, make) => {
  describe.each(['server', 'client'] as const)('of a %s', (role) => {
    it.each(SIZES)('writes a message of %d bytes within its bounds', (size) => {
      const payload = bytes(size);
      for (const count of TOGETHER) {
        const { send, flush } = make(role);
        const round = (): void => {
          for (let i = 0; i < count; i++) send(payload);
          flush();
        };
        check(round, count, size, WRITTEN[name]![size]!, role === 'client');
      }
    });
  });
});
