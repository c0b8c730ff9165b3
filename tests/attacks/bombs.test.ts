// Messages that are a thousand times as long as what came of them: held to bytes, to CPU time and to turns.
import { BinaryMessage, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { turn } from '../../src/index.ts';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import {
  BACKENDS,
  CountingSource,
  KIB,
  MIB,
  pack,
  pairOn,
  someText,
  turns,
  wiredOn,
} from '../compression/support.ts';
import { frame, only, ROLES, warmUp } from './victim.ts';

const RSV1 = 0x40;
const CONTINUATION = 0;
const LIMIT = MIB;
const CHUNK = 32 * KIB;
/** Too many to be inflated in one turn. */
const AT_ONCE = 64;
/** One MiB of zeros, compressed; with the tail, so that more can stand behind it. */
const ONE = pack(Buffer.alloc(MIB), '', 9);
const TAIL = Buffer.from('0000ffff', 'hex');

/** A hundred kilobytes for 99 MiB. */
const BOMB = Buffer.concat(
  Array.from({ length: 99 }, (_, i) => (i < 98 ? [ONE, TAIL] : ONE)).flat(),
);

/** How a bomb ended: our close code, and the most plain bytes that were made of it. */
interface Blast {
  readonly close: number;
  readonly plain: number;
}

/** The bomb in fragments of `size` bytes, as chunks of 32 KiB. */
function fragments(role: Role, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  let frames: Buffer[] = [];
  for (let at = 0; at < BOMB.length; at += size) {
    const fin = at + size >= BOMB.length;
    const opcode = at === 0 ? BinaryMessage : CONTINUATION;
    const rsv = at === 0 ? RSV1 : 0;
    frames.push(frame(role, opcode, BOMB.subarray(at, at + size), { fin, rsv }));
    if (!fin && frames.length * (size + 6) < CHUNK) continue;
    chunks.push(Buffer.concat(frames));
    frames = [];
  }
  return chunks;
}

/** Sends a bomb, a chunk in each turn. */
async function blast(
  role: Role,
  source: CountingSource,
  chunks: readonly Buffer[],
  watch: Watch,
  weighs: boolean,
): Promise<Blast> {
  const wired = wiredOn(source.backend, { role, readLimit: LIMIT, source });
  const before = source.inflated;
  let weighed = !weighs;
  source.onInflated = () => {
    if (weighed || source.inflated - before < LIMIT - 64 * KIB) return;
    // As much of it is held as ever will be.
    weighed = true;
    watch.weigh();
  };
  let delivered = 0;
  const received = wired.conn.receive(() => void delivered++).catch((error: unknown) => error);
  await turn();
  for (let i = 0; i < chunks.length && wired.conn.state === 'open'; i++) {
    watch.sent(chunks[i]!.length);
    wired.transport.feed(chunks[i]!);
    await turn();
  }
  while (wired.conn.state === 'open') await turn();
  await turns(2);
  const close = wired.sent().find(({ opcode }) => opcode === 8)!;
  wired.transport.break();
  expect(await received).toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
  await wired.conn.closed;
  expect([delivered, weighed]).toEqual([0, true]);
  return { close: Buffer.from(close.payload).readUInt16BE(0), plain: source.inflated - before };
}

describe.each(BACKENDS)('a bomb of 99 MiB on %s', (backend) => {
  nothingLeft();

  const source = new CountingSource(backend);
  /** oneshot makes nothing but the whole of it, or nothing. */
  const isWeighed = backend === 'handle';

  it('is given up at the limit', async () => {
    const ways = ROLES.map((role) => ({ role, chunks: fragments(role, BOMB.length) }));
    const attack = async (watch: Watch): Promise<Outcome> => {
      const blasts = [];
      for (const { role, chunks } of ways) {
        blasts.push(await blast(role, source, chunks, watch, isWeighed));
      }
      const closes = blasts.map(({ close }) => close);
      return { close: only([...closes, await claimed()]), ...most(blasts) };
    };
    await warmUp(attack, 5);
    await survives(79, attack);
  });

  /** 50 MiB that are not compressed at all, and as much that says it is: the header is enough. */
  async function claimed(): Promise<number> {
    const closes = [];
    for (const rsv of [0, RSV1]) {
      const { conn, transport, sent } = wiredOn(backend, { readLimit: LIMIT });
      const received = conn.receive(() => {}).catch(() => {});
      await turn();
      const head = Buffer.from('8280000000000000000000000000', 'hex');
      head[0]! |= rsv;
      head[1] = 0xff;
      head.writeBigUInt64BE(BigInt(50 * MIB), 2);
      transport.feed(head);
      await turns(2);
      closes.push(Buffer.from(sent()[0]!.payload).readUInt16BE(0));
      transport.break();
      await received;
    }
    return only(closes);
  }

  it('is counted over its fragments', async () => {
    const ways = [7_000, 700, 11].flatMap((size) =>
      ROLES.map((role) => ({ role, size, chunks: fragments(role, size) })),
    );
    const attack = async (watch: Watch): Promise<Outcome> => {
      const blasts = [];
      for (const { role, size, chunks } of ways) {
        blasts.push(await blast(role, source, chunks, watch, isWeighed && size === 11));
      }
      return { close: only(blasts.map(({ close }) => close)), ...most(blasts) };
    };
    await warmUp(attack, 5);
    await survives(80, attack);
  });

  it('that never ends stays within its share of each turn', async () => {
    const wired = wiredOn(backend, { source, readLimit: LIMIT });
    const { conn, feed, transport } = wired;
    let got = 0;
    const received = conn.receive(({ length }) => void (got += length)).catch(() => {});
    const message = wired.frame(BinaryMessage, ONE, { rsv: RSV1 });
    const attack = async (watch: Watch): Promise<Outcome> => {
      let cheapest = Infinity;
      for (let batch = 0; batch < 4; batch++) {
        const end = got + AT_ONCE * MIB;
        const before = process.cpuUsage();
        watch.sent(AT_ONCE * message.length);
        feed(...Array.from({ length: AT_ONCE }, () => message));
        while (got < end) await turn();
        const { user, system } = process.cpuUsage(before);
        cheapest = Math.min(cheapest, (user + system) / 1_000 / AT_ONCE);
      }
      expect(conn.state).toBe('open');
      return { ms: cheapest };
    };
    await warmUp(attack, 3);
    await survives(81, attack);
    transport.break();
    await received;
  });

  it('after the other takes nothing from the rest', async () => {
    const others = Array.from({ length: 8 }, () => pairOn(backend, {}, source));
    for (const { server } of others) {
      server.receive((message) => server.send(message)).catch(() => {});
    }
    const question = someText(new Random(91), 500, 'words');
    /** In turns of the event loop, of the slowest of a hundred questions but one. */
    const p99 = async (): Promise<number> => {
      const waited = [];
      for (let i = 0; i < 100; i++) {
        const { client } = others[i % others.length]!;
        let answered = false;
        void client.readMessage().then(() => {
          answered = true;
        });
        void client.send(question);
        let turnsTaken = 0;
        for (; !answered; turnsTaken++) await turn();
        waited.push(turnsTaken);
      }
      return waited.toSorted((a, b) => a - b)[98]!;
    };
    const attack = async (watch: Watch): Promise<Outcome> => {
      const alone = await p99();
      const bomber = wiredOn(backend, { source, maxBufferedAmount: false });
      const { conn, feed, transport } = bomber;
      conn.receive(() => {}).catch(() => {});
      const message = bomber.frame(BinaryMessage, ONE, { rsv: RSV1 });
      let bombing = true;
      const bombs = (async () => {
        while (bombing) {
          if (!transport.paused) {
            feed(message);
            watch.sent(message.length);
          }
          await turn();
        }
      })();
      // And messages of its own, for the threads.
      const large = Buffer.alloc(40 * KIB, question);
      const before = source.pending;
      const writes = Array.from({ length: 20 }, () => conn.send(large));
      const jobs = source.pending - before;
      const beside = await p99();
      bombing = false;
      await bombs;
      transport.break();
      await Promise.allSettled(writes);
      await conn.closed;
      // One job is with a thread still.
      await turns(20);
      return { jobs, slower: beside / alone };
    };
    await warmUp(attack, 3);
    await survives(91, attack);
    for (const { client } of others) await client.close();
  });
});

/** Plain bytes that were made beyond the limit. */
function most(blasts: readonly Blast[]): { beyond: number } {
  return { beyond: Math.max(...blasts.map(({ plain }) => plain)) - LIMIT };
}
