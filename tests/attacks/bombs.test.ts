// Messages that inflate 1,000 times: bounded in bytes and in turns of the event loop.
import { BinaryMessage, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
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
import { turn } from '../kit/index.ts';
import { nothingLeft, Random } from '../peers/index.ts';
import { atMost, claim, lowestAtMost, survives, type Watch } from './harness/index.ts';
import { closeCodeIn, frame, only, ROLES } from './target-conn.ts';

const RSV1 = 0x40;
const CONTINUATION = 0;
const LIMIT = MIB;
const CHUNK = 32 * KIB;
/** Messages in one batch: too many for one turn. */
const AT_ONCE = 64;
/** 1 MiB of zeros, compressed. With the tail, more data can follow. */
const ONE = pack(Buffer.alloc(MIB), '', 9);
const TAIL = Buffer.from('0000ffff', 'hex');

/** 100 kB that inflate to 99 MiB. */
const BOMB = Buffer.concat(
  Array.from({ length: 99 }, (_, i) => (i < 98 ? [ONE, TAIL] : ONE)).flat(),
);

const BOUND = {
  close: 1009,
  beyond: atMost(64 * KIB),
  // The read limit, and 64 KiB.
  memory: 1088 * KIB,
  warmUps: 5,
};

/** The result of a bomb: our close code, and the highest number of inflated bytes. */
interface Blast {
  readonly close: number;
  readonly plain: number;
}

/** Returns the bomb in fragments of `size` bytes, as chunks of 32 KiB. */
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

async function blast(
  role: Role,
  source: CountingSource,
  chunks: readonly Buffer[],
  watch: Watch,
  weighs = true,
): Promise<Blast> {
  const wired = wiredOn(source.backend, { role, readLimit: LIMIT, source });
  const before = source.inflated;
  let weighed = !weighs;
  source.onInflated = () => {
    if (weighed || source.inflated - before < LIMIT - 64 * KIB) return;
    // The connection holds most at this moment.
    weighed = true;
    watch.weigh();
  };
  // The functions of zlib inflate the whole message, and hand out nothing of a long one: the
  // connection holds most before its last chunk.
  const last = source.inflates === 'messages' ? chunks.length - 1 : Infinity;
  let delivered = 0;
  const received = wired.conn.receive(() => void delivered++).catch((error: unknown) => error);
  await turn();
  for (let i = 0; i < chunks.length && wired.conn.state === 'open'; i++) {
    watch.sent(chunks[i]!.length);
    if (i === last && !weighed) {
      weighed = true;
      watch.weigh();
    }
    wired.transport.feed(chunks[i]!);
    await turn();
  }
  while (wired.conn.state === 'open') await turn();
  await turns(2);
  const close = closeCodeIn(wired.sent());
  wired.transport.break();
  expect(await received).toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
  await wired.conn.closed;
  expect([delivered, weighed]).toEqual([0, true]);
  return { close, plain: source.inflated - before };
}

describe.each(BACKENDS)('a bomb of 99 MiB on %s', (backend) => {
  nothingLeft();

  const source = new CountingSource(backend);

  it('ends at the read limit', async () => {
    const ways = ROLES.map((role) => ({ role, chunks: fragments(role, BOMB.length) }));
    const attack = claim('a compressed message of 100 kB that inflates to 99 MiB', 'CVE-2026-1526');
    await survives(attack, BOUND, async (watch) => {
      const blasts = [];
      for (const { role, chunks } of ways) {
        blasts.push(await blast(role, source, chunks, watch));
      }
      const closes = blasts.map(({ close }) => close);
      return { close: only([...closes, await claimed()]), ...most(blasts) };
    });
  });

  /** Sends headers that claim 50 MiB, plain and compressed. The header alone is an error. */
  async function claimed(): Promise<number> {
    const closes = [];
    for (const rsv of [0, RSV1]) {
      const { conn, transport, sent } = wiredOn(backend, { readLimit: LIMIT });
      const received = conn.receive(() => {}).catch(() => {});
      await turn();
      transport.feed(frame('server', BinaryMessage, '', { rsv, claims: 50 * MIB, key: 0 }));
      await turns(2);
      closes.push(closeCodeIn(sent()));
      transport.break();
      await received;
    }
    return only(closes);
  }

  it('counts over all fragments of a message', async () => {
    const ways = [7_000, 700, 11].flatMap((size) =>
      ROLES.map((role) => ({ role, size, chunks: fragments(role, size) })),
    );
    const attack = claim('a compressed message of 99 MiB in many fragments', 'CVE-2026-1526');
    await survives(attack, BOUND, async (watch) => {
      const blasts = [];
      for (const { role, size, chunks } of ways) {
        blasts.push(await blast(role, source, chunks, watch, size === 11));
      }
      return { close: only(blasts.map(({ close }) => close)), ...most(blasts) };
    });
  });

  it('inflates no more than its share of each turn', async () => {
    const wired = wiredOn(backend, { source, readLimit: LIMIT });
    const { conn, feed, transport } = wired;
    let got = 0;
    const received = conn.receive(({ length }) => void (got += length)).catch(() => {});
    const message = wired.frame(BinaryMessage, ONE, { rsv: RSV1 });
    // The ratio is not limited: valid data can compress as well. Instead a thread
    // inflates 1.25 MiB in a turn, and finishes the message that crosses this budget.
    const attack = claim('endless messages below the limit that inflate 1,000 times', 'CWE-409');
    await survives(attack, { bytesInTurn: atMost(2 * MIB), warmUps: 1 }, async (watch) => {
      const end = got + AT_ONCE * MIB;
      let before = got;
      let bytesInTurn = 0;
      watch.sent(AT_ONCE * message.length);
      feed(...Array.from({ length: AT_ONCE }, () => message));
      do {
        await turn();
        bytesInTurn = Math.max(bytesInTurn, got - before);
        before = got;
      } while (got < end);
      expect(conn.state).toBe('open');
      return { bytesInTurn };
    });
    transport.break();
    await received;
  });

  it('does not delay other connections', async () => {
    const others = Array.from({ length: 8 }, () => pairOn(backend, {}, source));
    for (const { server } of others) {
      server.receive((message) => server.send(message)).catch(() => {});
    }
    const question = someText(new Random(91), 500, 'words');
    /**
     * Returns the 99th percentile of the answer time of 100 messages, in turns of the event loop.
     */
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
    // The wait of the others is counted in turns of the event loop. The test above bounds the work
    // of each turn.
    const attack = claim('one connection that sends bombs without end among others', 'CWE-400');
    await survives(attack, { slower: lowestAtMost(2), warmUps: 3 }, async (watch) => {
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
      // The connection also sends messages that are compressed.
      const large = Buffer.alloc(40 * KIB, question);
      const writes = Array.from({ length: 20 }, () => conn.send(large));
      const beside = await p99();
      bombing = false;
      await bombs;
      transport.break();
      await Promise.allSettled(writes);
      await conn.closed;
      return { slower: beside / alone };
    });
    for (const { client } of others) await client.close();
  });
});

function most(blasts: readonly Blast[]): { beyond: number } {
  return { beyond: Math.max(...blasts.map(({ plain }) => plain)) - LIMIT };
}
