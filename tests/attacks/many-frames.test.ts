import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  FRAME,
  FRAME_BEGIN,
  FrameDecoder,
  MessageDecoder,
  NEED_MORE,
  type Slab,
  sharedMessageBuffers,
} from '@ws/codec';
import { type Conn, type Role } from '@ws/conn';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { FakePlatform, turn } from '../kit/index.ts';
import { nothingLeft, upgradeRequest, whenOver } from '../peers/index.ts';
import { atMost, claim, KIB, lowestAtMost, MIB, survives } from './harness/index.ts';
import {
  frame,
  only,
  ROLES,
  readingTargetConn,
  type TargetConn,
  targetConn,
} from './target-conn.ts';

const TOGETHER = 4_096;

/** Delivers a chunk of {@link TOGETHER} frames and waits until it is parsed: that takes turns. */
async function feedTogether({ conn, transport }: TargetConn, chunk: Uint8Array): Promise<void> {
  const framesIn = conn.stats.framesIn + TOGETHER;
  transport.feed(chunk);
  while (conn.stats.framesIn < framesIn) await turn();
}

/** Leases all free memory of the pool, so that later leases allocate. */
function lendAll(): Uint8Array[] {
  const lent: Uint8Array[] = [];
  for (let size = 4096 * KIB; size >= 4 * KIB; size /= 2) {
    for (let buffer; (buffer = sharedMessageBuffers().takeFree(size)) !== undefined; )
      lent.push(buffer);
  }
  return lent;
}

describe('fragments of a byte', () => {
  it('are merged, and the first one beyond the limit is refused', async () => {
    const readLimit = 32 * TOGETHER;
    const platform = new FakePlatform();
    const chunks = new Map(
      ROLES.map((role) => {
        const one = frame(role, 0, 'x', { fin: false, key: 0 });
        return [role, Buffer.concat(Array.from({ length: TOGETHER }, () => one))] as const;
      }),
    );
    const attack = claim('fragments of one byte without end', 'CVE-2026-48779');
    await survives(attack, { close: 1009, warmUps: 2 }, async (watch) => {
      const lent = lendAll();
      // Only payload counts: the headers are six times as long.
      watch.sent(readLimit);
      const closes = [];
      for (const role of ROLES) {
        const target = await readingTargetConn(role, { readLimit }, platform);
        target.feed(target.frame(2, '', { fin: false }));
        for (let fed = 0; fed < readLimit; fed += TOGETHER) {
          await feedTogether(target, chunks.get(role)!);
        }
        watch.weigh();
        expect(target.conn.state).toBe('open');
        // RFC 6455, section 5.4: the header of the next byte crosses the limit.
        target.feed(target.frame(0, 'x', { fin: false }).subarray(0, 2));
        await platform.settle();
        closes.push(target.closeCode());
        await target.end();
      }
      for (const buffer of lent) sharedMessageBuffers().give(buffer);
      return { close: only(closes) };
    });
  });
});

describe('fragments of a byte to a reader that streams', () => {
  // A transport delivers at most 256 KiB in a turn: four chunks.
  const chunks = 4;
  const fragment = (role: Role): Buffer => frame(role, 0, 'x', { fin: false });

  it('are merged, and at most 1,000 are parsed in a turn', async () => {
    const waiting = new Map(
      ROLES.map((role) => {
        const one = fragment(role);
        const count = Math.floor((64 * KIB) / one.length);
        return [role, Buffer.concat(Array.from({ length: count }, () => one))] as const;
      }),
    );
    const attack = claim('fragments of one byte to a reader that streams', 'CVE-2026-48779');
    const bound = { framesInTurn: atMost(1_000), pieces: atMost(0.02), warmUps: 2 };
    await survives(attack, bound, async () => {
      let framesInTurn = 0;
      let pieces = 0;
      let frames = 0;
      for (const role of ROLES) {
        const target = targetConn(role);
        const { conn, transport } = target;
        const reads = async (): Promise<void> => {
          for await (const piece of await conn.nextReader()) {
            pieces++;
            expect(piece.length).toBeLessThanOrEqual(4 * KIB);
          }
        };
        const reading = expect(reads()).rejects.toThrow('close 1006');
        target.feed(frame(role, 2, 'x', { fin: false }));
        await turn();
        const chunk = waiting.get(role)!;
        const sent = 1 + (chunks * chunk.length) / fragment(role).length;
        for (let i = 0; i < chunks; i++) transport.feed(chunk);
        for (let seen = 1; seen < sent; ) {
          const { framesIn } = conn.stats;
          framesInTurn = Math.max(framesInTurn, framesIn - seen);
          seen = framesIn;
          await turn();
        }
        frames += sent;
        await target.end();
        await reading;
      }
      return { framesInTurn, pieces: pieces / frames };
    });
  });
});

describe('fragments without payload', () => {
  const fragments = 200_000;
  const allowed = 1_024;

  it('hold no memory, and the first one beyond the limit is refused', async () => {
    const platform = new FakePlatform();
    const empty = frame('server', 0, '', { fin: false });
    const chunk = Buffer.concat(Array.from({ length: TOGETHER }, () => empty));
    /** Sends two allowed rows of empty fragments and then one too many. Returns the close codes. */
    const answers = async (): Promise<number[]> => {
      const closes = [];
      for (const role of ROLES) {
        const target = await readingTargetConn(role, {}, platform);
        target.feed(target.frame(2, '', { fin: false }));
        // A ping does not end a row. A byte of payload does.
        for (let row = 0; row < 2; row++) {
          for (let i = row === 0 ? 1 : 0; i < allowed; i++) {
            target.feed(target.frame(0, '', { fin: false }));
            if (i % 64 === 0) target.feed(target.frame(9));
            if (i % 64 === 0) await turn();
          }
          expect(target.conn.state).toBe('open');
          if (row === 0) target.feed(target.frame(0, 'x', { fin: false }));
        }
        target.feed(target.frame(0, '', { fin: false }));
        await platform.settle();
        closes.push(target.closeCode());
        await target.end();
      }
      return closes;
    };
    const attack = claim('empty fragments without end', 'CVE-2026-12151');
    const bound = { close: 1008, allowed: 1024, each: lowestAtMost(0), warmUps: 4 };
    await survives(attack, bound, async (watch) => {
      const closes = await answers();
      // As in `@ws/compat`, which has no bound.
      const patient = new MessageDecoder({ role: 'server', maxEmptyFragments: Infinity });
      patient.push(new Uint8Array(frame('server', 2, 'x', { fin: false })));
      while (patient.next() > NEED_MORE);
      const before = watch.held();
      for (let fed = 0; fed < fragments; fed += TOGETHER) {
        patient.push(new Uint8Array(chunk));
        while (patient.next() > NEED_MORE);
      }
      const grown = watch.held() - before;
      expect(patient.error).toBeUndefined();
      patient.destroy();
      return { close: only(closes), allowed, each: Math.floor(Math.max(0, grown) / fragments) };
    });
  });
});

describe('a header in chunks of one byte', () => {
  it('is carried in at most its own size, and gives the same event as one chunk', async () => {
    const headers = ROLES.flatMap((role) =>
      [0, 125, 126, 65_535, 65_536, 2 ** 40].flatMap((claims) =>
        [1, 2].map((opcode) => ({ role, bytes: frame(role, opcode, '', { claims }), claims })),
      ),
    );
    // The bound is what the decoder requests: 14 bytes for a header, 131 for a whole control
    // frame. The shared pool lends at least 4 KiB, until the header is complete.
    const attack = claim('a frame header in chunks of one byte', 'CVE-2026-48779');
    await survives(attack, { carry: atMost(64), warmUps: 10 }, () => {
      let carry = 0;
      const events = [];
      for (const { role, bytes, claims } of headers) {
        let lent = 0;
        const take = (size: number): Slab => {
          carry = Math.max(carry, size);
          lent++;
          return { bytes: new Uint8Array(size), release: () => void lent-- };
        };
        // Like a connection, this decoder holds no payload.
        const decoder = new FrameDecoder({ role, pool: { take } }, { holdLimit: 0 });
        let event = 0;
        for (let i = 0; i < bytes.length; i++) {
          if (event !== 0) throw new Error('an event before the header is whole');
          decoder.push(bytes.slice(i, i + 1));
          event = decoder.next();
        }
        const whole = new FrameDecoder({ role }, { holdLimit: 0 });
        whole.push(bytes);
        const atOnce = whole.next();
        expect([event, decoder.opcode, decoder.length]).toEqual([atOnce, whole.opcode, claims]);
        events.push(event === FRAME || event === FRAME_BEGIN);
        decoder.reset();
        expect(lent).toBe(0);
      }
      expect(only(events)).toBe(true);
      return { carry };
    });
  });
});

/** Starts a client process that sends empty or long frames as fast as possible. */
function flood(port: number, size: 0 | 65_535, bytes: number): ChildProcess {
  const code = `
    const [port, size, bytes, request] = process.argv.slice(1);
    const head = size === '0' ? [0x82, 0x80, 0, 0, 0, 0] : [0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
    const frame = Buffer.concat([Buffer.from(head), Buffer.alloc(Number(size))]);
    const chunk = Buffer.concat(Array(Math.ceil(65536 / frame.length)).fill(frame));
    let left = Math.ceil(Number(bytes) / chunk.length);
    const socket = require('node:net').connect(Number(port), '127.0.0.1', () => socket.write(request));
    const more = () => {
      while (left-- > 0) if (!socket.write(chunk)) return socket.once('drain', more);
      socket.end();
    };
    socket.once('data', more);
    socket.on('error', () => {});`;
  const args = ['-e', code, String(port), String(size), String(bytes), upgradeRequest()];
  return spawn(process.execPath, args, { stdio: 'ignore' });
}

describe('a socket that always has more', () => {
  nothingLeft();

  it.each([
    ['empty frames', 0, 2 * MIB],
    ['long frames', 65_535, 64 * MIB],
  ] as const)('of %s is read for a limited share of each turn', async (_, size, bytes) => {
    let accepted: (conn: Conn) => void = () => {};
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => accepted(conn));
    whenOver(() => server.close());
    const port = Number(new URL(server.url).port);
    // Fuzzing shows that each step of the parser consumes a byte or stops.
    const attack = claim('a socket that always has more bytes', 'CVE-2025-5399');
    await survives(attack, { bytesInTurn: atMost(256 * KIB) }, async () => {
      const client = flood(port, size, bytes);
      const gone = once(client, 'exit');
      const conn = await new Promise<Conn>((resolve) => {
        accepted = resolve;
      });
      let messages = 0;
      let over = false;
      const received = conn
        .receive(() => void messages++)
        .catch(() => {})
        .finally(() => {
          over = true;
        });
      let most = 0;
      for (let seen = 0; !over; ) {
        await new Promise((resolve) => setImmediate(resolve));
        const { bytesIn } = conn.stats;
        most = Math.max(most, bytesIn - seen);
        seen = bytesIn;
      }
      await received;
      await gone;
      const { bytesIn, messagesIn } = conn.stats;
      expect(bytesIn).toBeGreaterThanOrEqual(bytes);
      expect(messages).toBe(messagesIn);
      return { bytesInTurn: most };
    });
  });
});
