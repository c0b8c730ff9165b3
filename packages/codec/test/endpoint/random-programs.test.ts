// Random programs of two ends over a transport that holds chunks, releases them in any order and twice, overwrites
// released memory, and whose callbacks throw. What arrives is a prefix of what was sent, unchanged.
import {
  Endpoint,
  type EndpointListener,
  FrameEncoder,
  LEASED,
  MESSAGE,
  MessageDecoder,
  NEED_MORE,
  type Role,
  SlabPool,
  sharedMessageBuffers,
  sharedSlabPool,
} from '@ws/codec';
import { Random } from '@ws/tests';
import { describe, expect, it } from 'vitest';

class Planned extends Error {}

interface Sending {
  send(payload: Uint8Array, free: (() => void) | undefined): void;
  flush(write: (chunk: Uint8Array, release: () => void) => void): void;
  end(): void;
}

interface Receiving {
  receive(chunk: Uint8Array, on: (payload: Uint8Array) => void): void;
  end(): void;
}

const SIZES = [0, 1, 16, 125, 126, 1000, 4096, 20_000, 65_520, 65_521, 70_000];

const senders: Readonly<Record<string, (role: Role) => Sending>> = {
  Endpoint(role) {
    const endpoint = new Endpoint({ role });
    return {
      send: (payload, free) => void endpoint.send(payload, free),
      flush: (write) => endpoint.output(write),
      end: () => void endpoint.end(),
    };
  },
  FrameEncoder(role) {
    const encoder = new FrameEncoder({ role });
    return {
      send: (payload, free) => void encoder.frame(2, true, 0, payload, 0, payload.length, free),
      flush: (write) => encoder.flush(write),
      end: () => encoder.discard(),
    };
  },
  'FrameEncoder with a pool'(role) {
    const pool = new SlabPool({ maxFreeBytes: 20_000 });
    const encoder = new FrameEncoder({ role, pool, slabBytes: 64, borrowFrom: 3000 });
    return {
      send: (payload, free) => void encoder.frame(2, true, 0, payload, 0, payload.length, free),
      flush: (write) => encoder.flush(write),
      end() {
        encoder.discard();
        expect(pool.lent).toBe(0);
      },
    };
  },
};

const receivers: Readonly<Record<string, (role: Role, random: Random) => Receiving>> = {
  Endpoint(role) {
    const endpoint = new Endpoint({ role });
    return {
      receive(chunk, on) {
        const listener: EndpointListener = (kind, bytes, start, end) => {
          if (kind === 'binary') on(bytes.subarray(start, end));
          if (kind === 'close') throw endpoint.closeInfo?.error ?? new Error('closed');
        };
        endpoint.receive(chunk, listener);
      },
      end: () => void endpoint.end(),
    };
  },
  MessageDecoder(role, random) {
    const decoder = new MessageDecoder({ role, memory: LEASED });
    const leases: (() => void)[] = [];
    return {
      receive(chunk, on) {
        decoder.push(chunk);
        try {
          for (let event: number; (event = decoder.next()) > NEED_MORE; ) {
            if (event !== MESSAGE) continue;
            const payload = decoder.bytes.subarray(decoder.start, decoder.end);
            const lease = random.once(2) ? decoder.takeLease() : undefined;
            if (lease !== undefined) leases.push(lease.release);
            on(payload);
          }
        } finally {
          decoder.keep();
        }
        if (decoder.error !== undefined) throw decoder.error;
        // Any order, and sometimes twice.
        while (leases.length > 3) {
          const [release] = leases.splice(random.below(leases.length), 1);
          release!();
          if (random.once(3)) release!();
        }
      },
      end() {
        for (const release of leases) release();
        decoder.destroy();
      },
    };
  },
};

const pairs = Object.keys(senders).flatMap((from) =>
  Object.keys(receivers).map((to) => ({ from, to })),
);

describe.each(pairs)('U3 U15 random programs from $from to $to', ({ from, to }) => {
  it.each(['client', 'server'] as const)('of a %s', (role) => {
    for (let seed = 0; seed < 25; seed++) run(new Random(seed), from, to, role);
  });
});

function run(random: Random, from: string, to: string, role: Role): void {
  const before = sharedSlabPool().lent + sharedMessageBuffers().lent;
  const sender = senders[from]!(role);
  const receiver = receivers[to]!(role === 'client' ? 'server' : 'client', random);
  const sent: Uint8Array[] = [];
  const arrived: Uint8Array[] = [];
  const held: { chunk: Uint8Array; release: () => void }[] = [];
  /** Memory of the caller that is lent to a sender: how often each was freed. */
  const freed: number[] = [];
  const late: (() => void)[] = [];
  let lost = false;

  const maybe = (times: number): void => {
    if (random.once(times)) throw new Planned();
  };
  const tolerated = (work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      if (error instanceof Planned) return false;
      throw error;
    }
  };

  function send(): void {
    const payload = new Uint8Array(SIZES[random.below(SIZES.length)]!).fill(random.below(256));
    const expected = payload.slice();
    const id = freed.push(0) - 1;
    const free = (): void => {
      freed[id]!++;
      payload.fill(0xee);
    };
    sender.send(payload, random.once(2) ? free : undefined);
    sent.push(expected);
    // Copied, or freed: without a release an encoder references large payloads.
    if (role === 'client') payload.fill(0xee);
  }

  function flush(): void {
    const ok = tolerated(() =>
      sender.flush((chunk, release) => {
        maybe(60);
        const entry = { chunk, release };
        held.push(entry);
        if (random.once(3)) deliver();
        if (random.once(20)) send();
        if (!random.once(80)) return;
        // The transport has not taken the chunk of a `write` that throws. It may release it later.
        held.splice(0, held.length, ...held.filter((one) => one !== entry));
        late.push(release);
        throw new Planned();
      }),
    );
    if (!ok) lost = true;
  }

  /** The transport writes the first chunk, in pieces, and releases any that it has written. */
  function deliver(): void {
    const next = held.shift();
    if (next === undefined) return;
    const bytes = next.chunk.slice();
    const release = next.release;
    release();
    if (random.once(4)) release();
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + random.below(random.once(2) ? 20 : 40_000));
      const piece = bytes.slice(at, end);
      let events = 0;
      tolerated(() =>
        receiver.receive(piece, (payload) => {
          arrived.push(payload.slice());
          events++;
          maybe(30);
        }),
      );
      piece.fill(0xdd);
      at = end;
    }
  }

  for (let step = 0; step < 40 && !lost; step++) {
    const act = random.below(4);
    if (act < 2) send();
    else if (act === 2) flush();
    else deliver();
  }
  if (lost) {
    expect(() => sender.send(new Uint8Array(3), undefined)).toThrow('a chunk was lost');
    expect(() => sender.flush(() => {})).toThrow('a chunk was lost');
  } else flush();
  // Chunks that the transport got before a throw may be the last one.
  while (held.length > 0) deliver();
  // An exception of a receiver leaves events for its next call.
  for (let i = 0; i < 40; i++) {
    tolerated(() =>
      receiver.receive(new Uint8Array(0), (payload) => arrived.push(payload.slice())),
    );
  }
  for (const release of late) release();
  expect(arrived.length).toBeLessThanOrEqual(sent.length);
  for (const [i, payload] of arrived.entries()) {
    expect(Buffer.compare(payload, sent[i]!), `message ${i}`).toBe(0);
  }
  if (!lost) expect(arrived.length).toBe(sent.length);
  sender.end();
  receiver.end();
  expect(freed.filter((times) => times > 1)).toEqual([]);
  expect(sharedSlabPool().lent + sharedMessageBuffers().lent).toBe(before);
}
