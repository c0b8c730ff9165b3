// When the promise of a write settles, the caller may use the bytes again: no frame has what is
// written to them later. The transport throws when bytes change before it has released them.
import { rounds } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  type Conn,
  type ConnSettings,
  PreparedMessage,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const BEFORE = 1;
const AFTER = 2;

/** What settles the write. */
type Settle = (test: Wired, abort: () => void) => unknown;

const SETTLED: Readonly<Record<string, Settle>> = {
  'the transport drains': ({ transport }) => transport.drain(),
  'the transport takes one write after the other': async ({ transport, platform }) => {
    for (let i = 0; i < 6; i++) {
      transport.drain(1);
      await platform.settle();
    }
  },
  'its signal aborts': (_test, abort) => abort(),
  'its signal aborts in the turn of the call': (_test, abort) => abort(),
  'its signal aborts after a part was written': async ({ transport, platform }, abort) => {
    transport.drain(1);
    await platform.settle();
    abort();
  },
  'the write deadline passes': ({ conn, platform }) => {
    conn.setWriteDeadline(Date.now() + 5);
    return platform.advance(10);
  },
  'the connection closes': ({ conn }) => void conn.close(),
  'the close takes too long': ({ conn, platform }) => {
    void conn.close(1000, '', { timeout: 10 }).catch(() => {});
    return platform.advance(20);
  },
  'the login expires': ({ conn, platform }) => {
    conn.renew(Date.now() + 5);
    return platform.advance(10_000);
  },
  'the peer closes': ({ feed, frame, platform }) => {
    feed(frame(8, Uint8Array.of(3, 232)));
    return platform.advance(10_000);
  },
  'the peer ends its side': ({ transport, platform }) => {
    transport.feedEnd();
    return platform.advance(10_000);
  },
  'the peer breaks a rule': ({ feed, frame }) => feed(frame(3, 'x')),
  'a handler throws': ({ conn, feed, frame }) => {
    void conn
      .receive(() => {
        throw new Error('mine');
      })
      .catch(() => {});
    feed(frame(1, 'x'));
  },
  'the transport breaks': ({ transport }) => transport.break(new Error('reset')),
  'terminate is called': ({ conn }) => conn.terminate(),
};

/** A way to write `bytes`. It settles when the caller may use them again. */
type Write = (conn: Conn, bytes: Uint8Array, signal: AbortSignal) => Promise<unknown>;

const WAYS: Readonly<Record<string, Write>> = {
  send: (conn, bytes) => conn.send(bytes),
  'send with a signal': (conn, bytes, signal) => conn.send(bytes, { signal }),
  'writeMessage with a signal': (conn, bytes, signal) =>
    conn.writeMessage(BinaryMessage, bytes, { signal }),
  'send of a Buffer with a signal': (conn, bytes, signal) =>
    conn.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), { signal }),
  'send behind a large one': (conn, bytes) => {
    void conn.send(new Uint8Array(100_000).fill(BEFORE)).catch(() => {});
    return conn.send(bytes);
  },
  'send with a signal behind an open writer': async (conn, bytes, signal) => {
    const writer = await conn.nextWriter(BinaryMessage);
    const sent = conn.send(bytes, { signal });
    void writer.close().catch(() => {});
    return sent;
  },
  'the write of a MessageWriter': async (conn, bytes) => {
    const writer = await conn.nextWriter(BinaryMessage);
    return writer.write(bytes);
  },
  'the second write of a MessageWriter': async (conn, bytes) => {
    const writer = await conn.nextWriter(BinaryMessage);
    void writer.write(new Uint8Array(100_000).fill(BEFORE)).catch(() => {});
    return writer.write(bytes);
  },
  'a prepared message': (conn, bytes) =>
    conn.writePreparedMessage(new PreparedMessage(BinaryMessage, bytes)),
  broadcast: async (conn, bytes) => {
    broadcast([conn], bytes);
  },
  'a stream': async (conn, bytes) => conn.toStreams().writable.getWriter().write(bytes),
};

const SETTINGS: ConnSettings = { closeTimeout: 1_000, report: () => {} };

/** The payloads of the data frames that were sent, as sorted distinct bytes. */
function sentBytes({ transport }: Wired, role: 'server' | 'client'): number[] {
  const bytes = transport.sent;
  const seen = new Uint8Array(256);
  let at = 0;
  while (at + 2 <= bytes.length) {
    const opcode = bytes[at]! & 15;
    const short = bytes[at + 1]! & 127;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    let start = at + 2;
    let length = short;
    if (short === 126) {
      length = view.getUint16(start);
      start += 2;
    } else if (short === 127) {
      length = Number(view.getBigUint64(start));
      start += 8;
    }
    const key = role === 'client' ? bytes.subarray(start, start + 4) : undefined;
    if (key !== undefined) start += 4;
    const payload = bytes.subarray(start, start + length);
    for (let i = 0; opcode < 3 && i < payload.length; i++) {
      seen[payload[i]! ^ (key?.[i & 3] ?? 0)] = 1;
    }
    at = start + length;
  }
  return [...seen.keys()].filter((byte) => seen[byte] === 1);
}

describe.each(['server', 'client'] as const)('a %s that writes', (role) => {
  describe.each(Object.entries(WAYS))('by %s', (_way, write) => {
    it.each(
      Object.entries(SETTLED).flatMap(([name, settle]) =>
        // A client masks a copy of its bytes, of any size.
        (role === 'client' ? [40_000] : rounds([1_000, 40_000], [1_000, 40_000, 200_000])).map(
          (size) => [name, size, settle] as const,
        ),
      ),
    )('refers to no byte after %s: %i bytes', async (name, size, settle) => {
      const test = wired(role, SETTINGS, 1_000);
      await test.platform.settle();
      test.transport.block();
      void test.conn.send(new Uint8Array(70_000).fill(BEFORE)).catch(() => {});
      if (!name.includes('in the turn')) await test.platform.settle();
      const bytes = new Uint8Array(size).fill(BEFORE);
      const controller = new AbortController();
      let settled = false;
      const reuse = (): void => {
        settled = true;
        bytes.fill(AFTER);
      };
      const written = write(test.conn, bytes, controller.signal).then(reuse, reuse);
      if (!name.includes('in the turn')) await test.platform.settle();
      await settle(test, () => controller.abort(new Error('too slow')));
      await test.platform.settle();
      for (let i = 0; i < 8; i++) {
        test.transport.drain();
        await test.platform.settle();
      }
      test.conn.terminate();
      await test.platform.settle();
      await written;
      await test.platform.settle();
      expect(settled).toBe(true);
      expect(sentBytes(test, role)).toEqual([BEFORE]);
      expect(test.transport.releasesRun).toBe(test.transport.releasesGiven);
    });
  });
});

describe('a borrowed message that is sent with a signal', () => {
  it('is sent as it was, although the handler returns at the abort', async () => {
    const test = wired('server', SETTINGS, 1_000);
    const controller = new AbortController();
    let calls = 0;
    const { signal } = controller;
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    void test.conn.receive(async (message) => {
      if (calls++ > 0) return;
      void message.data;
      void test.conn.send(message, { signal });
      await aborted;
    });
    await test.platform.settle();
    test.transport.block();
    test.feed(test.frame(2, new Uint8Array(50_000).fill(BEFORE)));
    await test.platform.settle();
    controller.abort(new Error('too slow'));
    await test.platform.settle();
    for (let i = 0; i < 4; i++) {
      test.feed(test.frame(2, new Uint8Array(50_000).fill(AFTER)));
      await test.platform.settle();
    }
    test.transport.drain();
    await test.platform.settle();
    test.transport.drain();
    await test.platform.settle();
    expect(sentBytes(test, 'server')).toEqual([BEFORE]);
    expect(test.sent()).toHaveLength(1);
    test.conn.terminate();
  });
});
