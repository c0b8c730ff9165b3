// A connection ends while its read-ahead is full and a part of a message waits in pooled memory.
import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { identityPlatform, NO_TAKEOVER, naiveEncode, TestTransport } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Conn } from '../../src/index.ts';

/** Buffers and slabs that are lent now. Earlier tests of the process may have left some. */
const lent = (): number => sharedMessageBuffers().lent + sharedSlabPool().lent;
let lentBefore = 0;

beforeEach(() => {
  lentBefore = lent();
});

afterEach(() => {
  expect(lent()).toBe(lentBefore);
});

const MASK = { mask: 0x01020304 };
const RSV1 = 0x40;
const NORMAL = Uint8Array.of(0x03, 0xe8);

/** Bytes that are all the same letter. */
function letters(letter: string, count: number): Uint8Array {
  return new Uint8Array(Buffer.alloc(count, letter));
}

/** A message in short: `A*3000`, or its letters when they differ. */
function short(bytes: Uint8Array): string {
  const first = String.fromCharCode(bytes[0] ?? 0);
  const same = bytes.every((byte) => byte === bytes[0]);
  return same ? `${first}*${bytes.length}` : Buffer.from(bytes).toString();
}

type Take = (bytes: Uint8Array) => Promise<void>;

/** The ways of reading. Each waits for `take` before it reads on. */
const WAYS: Readonly<Record<string, (conn: Conn, take: Take) => Promise<unknown>>> = {
  'receive, copied': (conn, take) => conn.receive((message) => take(message.copy().data)),
  'receive, as text': (conn, take) => conn.receive((message) => take(Buffer.from(message.text()))),
  'receive, as data': (conn, take) => conn.receive((message) => take(message.data.slice())),
  'for await': async (conn, take) => {
    for await (const { data } of conn) await take(data);
  },
  readMessage: async (conn, take) => {
    for (;;) await take((await conn.readMessage()).data);
  },
  nextReader: async (conn, take) => {
    for (;;) await take(await (await conn.nextReader()).bytes());
  },
};

const ENDS: Readonly<Record<string, (transport: TestTransport) => void>> = {
  'a reset': (transport) => transport.break(new Error('reset')),
  'a close without an error': (transport) => transport.break(),
  'a FIN and a reset': (transport) => {
    transport.sink!.end();
    transport.break(new Error('reset'));
  },
  'a close frame and a reset': (transport) => {
    transport.feedLate(naiveEncode(8, NORMAL, MASK));
    transport.break(new Error('reset'));
  },
};

/** A server whose compression is agreed; compressed bytes are the plain bytes. */
function connected(compressed: boolean) {
  const platform = identityPlatform();
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    role: 'server',
    heartbeat: false,
    platform,
    compression: compressed,
    ...(compressed ? { deflate: NO_TAKEOVER } : {}),
  });
  return { conn, transport, platform };
}

describe.each([true, false])('a connection with compression: %s', (compressed) => {
  const cases = Object.keys(ENDS).flatMap((end) => Object.keys(WAYS).map((way) => ({ end, way })));

  it.each(cases)(
    'that ends by $end keeps its bytes out of the messages of others, read by $way',
    async ({ end, way }) => {
      const a = connected(compressed);
      const got: string[] = [];
      let open = (): void => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      const reading = WAYS[way]!(a.conn, (bytes) => {
        got.push(short(bytes));
        return gate;
      }).catch(() => {});
      const message = naiveEncode(2, letters('A', 3000), MASK);
      const filling = naiveEncode(2, letters('x', 8000), MASK);
      const cut = naiveEncode(2, letters('C', 5000), MASK).subarray(0, 4500);
      a.transport.feed(naiveEncode(2, letters('1', 5), MASK));
      await a.platform.settle();
      a.transport.feedLate(message.subarray(0, 1008));
      await a.platform.settle();
      a.transport.feedLate(message.subarray(1008));
      for (let i = 0; i < 9; i++) a.transport.feedLate(filling);
      if (end !== 'a close frame and a reset') a.transport.feedLate(cut);
      await a.platform.settle();
      ENDS[end]!(a.transport);
      await a.platform.settle();

      const b = connected(compressed);
      let borrowed = '';
      const victim = b.conn.receive(async (message) => {
        await b.platform.settle();
        borrowed = short(message.copy().data);
      });
      const other = naiveEncode(2, letters('B', 3500), MASK);
      b.transport.feed(other.subarray(0, 3000));
      await b.platform.settle();
      open();
      await a.platform.settle();
      await reading;
      b.transport.feed(other.subarray(3000));
      await b.platform.settle();
      await b.platform.settle();
      expect(got).toEqual(['1*5', 'A*3000', ...Array.from({ length: 9 }, () => 'x*8000')]);
      expect(borrowed).toBe('B*3500');
      b.transport.break();
      await victim.catch(() => {});
    },
  );
});

describe('a compressed message under way', () => {
  it('is delivered whole after the end, and its memory is not pooled', async () => {
    const { conn, transport, platform } = connected(true);
    const frames = [
      naiveEncode(2, letters('0', 5), MASK),
      naiveEncode(2, letters('a', 30_000), { ...MASK, rsv: RSV1, fin: false }),
      naiveEncode(0, letters('a', 40_000), { ...MASK, fin: false }),
      naiveEncode(0, letters('a', 50_000), MASK),
      naiveEncode(2, letters('b', 100), MASK),
      naiveEncode(2, letters('c', 9000), { ...MASK, rsv: RSV1 }),
      naiveEncode(2, letters('d', 9000), MASK).subarray(0, 8000),
    ];
    await platform.settle();
    for (const frame of frames) {
      transport.feedLate(frame);
      await platform.settle();
    }
    expect(short((await conn.readMessage()).data)).toBe('0*5');
    transport.break(new Error('reset'));
    await platform.settle();
    expect(lent()).toBe(lentBefore);
    expect(short((await conn.readMessage()).data)).toBe('a*120000');
    expect(short((await conn.readMessage()).data)).toBe('b*100');
    expect(lent()).toBe(lentBefore);
    expect(short((await conn.readMessage()).data)).toBe('c*9000');
    await expect(conn.readMessage()).rejects.toThrow('reset');
  });
});
