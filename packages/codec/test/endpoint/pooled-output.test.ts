import { Endpoint, FrameEncoder, SlabPool, sharedSlabPool } from '@ws/codec';
import { collectGarbage, naiveDecode } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buffersMade } from '../buffers-made.ts';
import { bytes, join } from '../support.ts';

type Write = (chunk: Uint8Array, release: () => void) => void;
const WIRE_LOST = 'a chunk was lost: end the transport';
const CLOSE_1006 = { kind: 'close', code: 1006, reason: '', wasClean: false };
let lentBefore = 0;

/** Slabs of the thread that are lent because of the test. */
const lent = (): number => sharedSlabPool().lent - lentBefore;
beforeEach(() => {
  lentBefore = sharedSlabPool().lent;
});

const payloads = (wire: Uint8Array): Uint8Array[] =>
  naiveDecode(wire, 'client').frames.map(({ payload }) => payload);

/** The two classes that write, in the same words. */
const classes = {
  Endpoint: () => {
    const endpoint = new Endpoint({ role: 'server' });
    return {
      send: (data: Uint8Array, free?: () => void): unknown => endpoint.send(data, free),
      flush: (write: Write): void => endpoint.output(write),
      bytes: () => endpoint.output(),
      waits: () => endpoint.bufferedAmount,
    };
  },
  FrameEncoder: () => {
    const encoder = new FrameEncoder({ role: 'server' });
    return {
      send: (data: Uint8Array, free?: () => void): unknown =>
        encoder.frame(2, true, 0, data, 0, data.length, free),
      flush: (write: Write): void => encoder.flush(write),
      bytes: () => encoder.bytes(),
      waits: () => encoder.pending,
    };
  },
};

describe.each(['Endpoint', 'FrameEncoder'] as const)('%s', (name) => {
  const make = classes[name];

  it('U2 U4 makes no buffer for a message of an output', () => {
    const output = make();
    const data = bytes(1000);
    const rounds = (): void => {
      for (let i = 0; i < 100; i++) {
        output.send(data);
        output.flush((_chunk, release) => release());
      }
    };
    rounds();
    expect(buffersMade(rounds)).toBe(0);
    expect(lent()).toBe(0);
  });

  it('U2 lends chunks of the pool until each is released, in any order', () => {
    const output = make();
    const released: (() => void)[] = [];
    const chunks: Uint8Array[] = [];
    for (let i = 0; i < 4; i++) {
      output.send(bytes(700, i));
      output.flush((chunk, release) => {
        chunks.push(chunk);
        released.push(release);
      });
    }
    expect(payloads(join(chunks))).toEqual([0, 1, 2, 3].map((i) => bytes(700, i)));
    expect(lent()).toBe(1);
    for (const i of [2, 0, 3]) released[i]!();
    expect(lent()).toBe(1);
    expect(payloads(chunks[1]!)).toEqual([bytes(700, 1)]);
    released[1]!();
    expect(lent()).toBe(0);
  });

  it('U2 references a large payload that comes with a `release`, which is called once', () => {
    const output = make();
    const data = bytes(65_536);
    let freed = 0;
    output.send(data, () => freed++);
    const chunks: Uint8Array[] = [];
    const releases: (() => void)[] = [];
    output.flush((chunk, release) => {
      chunks.push(chunk);
      releases.push(release);
    });
    expect(chunks.some(({ buffer }) => buffer === data.buffer)).toBe(true);
    expect(freed).toBe(0);
    for (const release of releases) release();
    for (const release of releases) release();
    expect([freed, lent()]).toEqual([1, 0]);
  });

  it('U2 calls the `release` of a small payload within the call', () => {
    let freed = 0;
    make().send(bytes(100), () => freed++);
    expect(freed).toBe(1);
  });

  it.each([1, 2, 3])('U3 is over when `write` throws for chunk %d', (fails) => {
    const output = make();
    let freed = 0;
    const wire: Uint8Array[] = [];
    for (const length of [3, 100_000, 5]) output.send(bytes(length), () => freed++);
    const write: Write = (chunk) => {
      if (wire.length + 1 === fails) throw new Error('EPIPE');
      wire.push(chunk.slice());
    };
    expect(() => output.flush(write)).toThrow('EPIPE');
    expect([output.waits(), freed]).toEqual([0, 3 - (fails === 3 ? 1 : 0)]);
    expect(() => output.send(bytes(1))).toThrow(WIRE_LOST);
    expect(() => output.send(bytes(100_000), () => {})).toThrow(WIRE_LOST);
    expect(() => output.flush(write)).toThrow(WIRE_LOST);
    expect(() => output.bytes()).toThrow(WIRE_LOST);
    expect(wire).toHaveLength(fails - 1);
  });

  it('U3 gives the slab of a lost chunk back, also when `write` has released it', () => {
    for (const releases of [0, 1]) {
      const output = make();
      output.send(bytes(3));
      const fail: Write = (_chunk, release) => {
        if (releases === 1) release();
        throw new Error('EPIPE');
      };
      expect(() => output.flush(fail)).toThrow('EPIPE');
      expect(lent()).toBe(0);
    }
  });

  it.each(['flush', 'bytes'] as const)(
    'U3 U5 is over when a referenced payload was detached or has shrunk: %s',
    (way) => {
      const shrinking = new (
        ArrayBuffer as unknown as new (
          size: number,
          options: object,
        ) => ArrayBuffer
      )(70_000, {
        maxByteLength: 70_000,
      });
      const moved = new ArrayBuffer(70_000);
      for (const buffer of [shrinking, moved]) {
        const output = make();
        let freed = 0;
        output.send(bytes(3));
        output.send(new Uint8Array(buffer), () => freed++);
        output.send(bytes(4));
        if (buffer === moved) structuredClone(moved, { transfer: [moved] });
        else (shrinking as unknown as { resize(size: number): void }).resize(10);
        const wire: Uint8Array[] = [];
        const take: Write = (chunk, release) => {
          wire.push(chunk.slice());
          release();
        };
        const run = (): unknown => (way === 'flush' ? output.flush(take) : output.bytes());
        expect(run).toThrow('a payload was detached or has shrunk before it was written');
        expect([output.waits(), freed, lent()]).toEqual([0, 1, 0]);
        expect(run).toThrow(WIRE_LOST);
        expect(() => output.send(bytes(1))).toThrow(WIRE_LOST);
        expect(wire.length).toBeLessThan(2);
      }
    },
  );

  it('U3 drops what `write` has added before it threw', () => {
    const output = make();
    output.send(bytes(3));
    const fail: Write = () => {
      output.send(bytes(9));
      throw new Error('EPIPE');
    };
    expect(() => output.flush(fail)).toThrow('EPIPE');
    expect([output.waits(), lent()]).toEqual([0, 0]);
  });
});

describe('Endpoint', () => {
  it('U3 tells 1006 after it has lost a chunk, once', () => {
    for (const tell of ['receive', 'end'] as const) {
      const endpoint = new Endpoint({ role: 'server' });
      endpoint.send('a');
      const fail = (): never => {
        throw new Error('EPIPE');
      };
      expect(() => endpoint.output(fail)).toThrow('EPIPE');
      expect([endpoint.state, endpoint.finished, endpoint.closeInfo?.code]).toEqual([
        'closed',
        true,
        1006,
      ]);
      const calls = [
        () => endpoint.send('a'),
        () => endpoint.ping(),
        () => endpoint.pong(),
        () => endpoint.close(),
        () => endpoint.output(),
      ];
      for (const call of calls) expect(call).toThrow(WIRE_LOST);
      const events = tell === 'end' ? endpoint.end() : endpoint.receive(bytes(9));
      expect(events).toEqual([CLOSE_1006]);
      expect([...endpoint.receive(bytes(9)), ...endpoint.end()]).toEqual([]);
    }
  });

  it('U6 says how many bytes wait', () => {
    for (const role of ['server', 'client'] as const) {
      const peer = new Endpoint({ role: role === 'server' ? 'client' : 'server' });
      const endpoint = new Endpoint({ role });
      const check = (): void => {
        const { bufferedAmount } = endpoint;
        expect(endpoint.output()).toHaveLength(bufferedAmount);
        expect(endpoint.bufferedAmount).toBe(0);
      };
      endpoint.send(bytes(300));
      check();
      peer.ping('abc');
      endpoint.receive(peer.output());
      check();
      peer.close(1001, 'gone');
      endpoint.receive(peer.output());
      endpoint.send('late');
      check();
    }
  });

  it('U2 has no pooled memory after `end()`, and still returns its output', () => {
    const endpoint = new Endpoint({ role: 'server' });
    let freed = 0;
    endpoint.send('half open');
    endpoint.send(bytes(80_000), () => freed++);
    endpoint.receive(Uint8Array.of(0x82, 0xff, 0, 0));
    endpoint.end();
    expect([lent(), freed]).toEqual([0, 1]);
    expect(payloads(endpoint.output())[1]).toEqual(bytes(80_000));
    expect(lent()).toBe(0);
  });

  it('U2 is garbage when it is dropped with output and with half a message', async () => {
    const { lost } = sharedSlabPool();
    const drop = (): void => {
      const endpoint = new Endpoint({ role: 'server' });
      endpoint.send('waits');
      endpoint.receive(Uint8Array.of(0x82, 0xff));
      expect(lent()).toBe(2);
    };
    drop();
    for (let i = 0; i < 50 && lent() > 0; i++) {
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
    }
    // Endpoints of other tests may become garbage too.
    expect(lent()).toBeLessThanOrEqual(0);
    expect(sharedSlabPool().lost - lost).toBeGreaterThanOrEqual(2);
  });
});

describe('U2 Endpoint.receive with a function', () => {
  const frames = (...messages: (string | Uint8Array)[]): Uint8Array => {
    const client = new Endpoint({ role: 'client' });
    for (const message of messages) client.send(message);
    return client.output();
  };
  let server: Endpoint;
  let seen: string[] = [];
  const on = (kind: string, payload: Uint8Array, start: number, end: number): void => {
    seen.push(`${kind} ${Buffer.from(payload.slice(start, end)).toString()}`);
  };
  beforeEach(() => {
    server = new Endpoint({ role: 'server' });
    seen = [];
  });
  afterEach(() => expect(lent()).toBe(0));

  it('reports each event, in chunks of any size', () => {
    const client = new Endpoint({ role: 'client' });
    client.send('text');
    client.ping('ping');
    client.send(bytes(0));
    client.pong('pong');
    client.close(1001, 'bye');
    const wire = client.output();
    for (const size of [1, 3, wire.length]) {
      server = new Endpoint({ role: 'server' });
      seen = [];
      for (let at = 0; at < wire.length; at += size) server.receive(wire.slice(at, at + size), on);
      expect(seen).toEqual(['text text', 'ping ping', 'binary ', 'pong pong', 'close ']);
      expect(server.closeInfo).toEqual({ code: 1001, reason: 'bye', wasClean: true });
    }
  });

  it('makes no buffer for a message', () => {
    const wire = frames(...Array<Uint8Array>(40).fill(bytes(1000)));
    const chunk = new Uint8Array(wire.length);
    let messages = 0;
    const round = (): void => {
      chunk.set(wire);
      server.receive(chunk, () => void messages++);
    };
    round();
    expect(buffersMade(round)).toBeLessThan(3);
    expect(messages).toBe(80);
  });

  it('continues after the event for which the function throws', () => {
    const wire = frames('a', 'b', 'c');
    const fail = (kind: string, payload: Uint8Array, start: number, end: number): void => {
      on(kind, payload, start, end);
      if (seen.length === 2) throw new Error('mine');
    };
    expect(() => server.receive(wire, fail)).toThrow('mine');
    wire.fill(0);
    expect(server.state).toBe('open');
    server.receive(frames('d'), on);
    expect(seen).toEqual(['text a', 'text b', 'text c', 'text d']);
  });

  it('may send, output, close and end in the function, and not receive', () => {
    server.receive(frames('a', 'b', 'c'), (kind, payload, start, end) => {
      on(kind, payload, start, end);
      server.send('answer');
      server.output((_chunk, release) => release());
      expect(() => server.receive(frames('x'))).toThrow('receive must not be called');
      expect(() => server.receive(frames('x'), on)).toThrow('receive must not be called');
      if (seen.length === 2) expect(server.end()).toEqual([CLOSE_1006]);
    });
    expect(seen).toEqual(['text a', 'text b']);
  });

  it('rejects a promise and another value than a function', () => {
    const wire = frames('a');
    expect(() => server.receive(wire.slice(), 5 as never)).toThrow('on must be a function');
    const late = async (): Promise<void> => {};
    expect(() => server.receive(wire, late as never)).toThrow('on must be synchronous');
  });

  it('reports a fault as a close event', () => {
    server.receive(Uint8Array.of(0xff, 0), on);
    expect([seen, server.closeInfo?.code, server.closeInfo?.error?.closeCode]).toEqual([
      ['close '],
      1002,
      1002,
    ]);
    server.output();
  });
});

describe('U15 a second release', () => {
  it.each([4, 5000, 70_000])(
    'is reported by a pool with debug, of a frame of %d bytes',
    (length) => {
      const pool = new SlabPool({ debug: true });
      const encoder = new FrameEncoder({ role: 'server', pool, borrowFrom: Infinity });
      const late: (() => void)[] = [];
      encoder.frame(2, true, 0, bytes(length));
      encoder.flush((_chunk, release) => late.push(release));
      late[0]!();
      encoder.frame(2, true, 0, bytes(length));
      encoder.flush((_chunk, release) => late.push(release));
      expect(late[0]!).toThrow('released twice');
      late[1]!();
      expect(pool.lent).toBe(0);
    },
  );

  it('ends no later lease without debug', () => {
    const pool = new SlabPool({ debug: false });
    const encoder = new FrameEncoder({ role: 'server', pool });
    const wire: Uint8Array[] = [];
    const releases: (() => void)[] = [];
    for (let i = 0; i < 200; i++) {
      encoder.frame(2, true, 0, bytes(700, i));
      encoder.flush((chunk, release) => {
        wire.push(chunk);
        releases.push(release);
      });
      // Each is released at once, and again with every later one, except the last.
      if (i > 0) for (const release of releases.slice(0, i)) release();
      expect(payloads(wire[i]!)).toEqual([bytes(700, i)]);
      expect(pool.lent).toBe(1);
    }
    releases.at(-1)!();
    expect(pool.lent).toBe(0);
  });
});
