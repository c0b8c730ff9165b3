// What compression keeps, and what it gives away: memory of idle connections, bytes on the wire, lengths.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BinaryMessage, historyBytesOf, PreparedMessage, type Role, TextMessage } from '@ws/conn';
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
  SHARED,
  someText,
  TAKEOVER,
  turns,
  until,
  type Wired,
  wiredOn,
} from '../compression/support.ts';
import { ROLES, warmUp } from './victim.ts';

const RSV1 = 0x40;
const IDLE = 10_000;
const TAKEOVER_MODE = { mode: 'takeover', threshold: 0, sendHistory: 0 } as const;

describe('ten thousand idle connections that have compressed', () => {
  nothingLeft();

  const plain = Buffer.from(someText(new Random(92), 1_000, 'words')).subarray(0, 900);
  const packed = pack(plain);

  /** So many connections that agreed on compression and have done nothing yet. */
  function made(source: CountingSource, takeover: boolean): Wired[] {
    return Array.from({ length: IDLE }, () => {
      const wired = wiredOn('handle', {
        source,
        deflate: takeover ? TAKEOVER : SHARED,
        compression: takeover ? TAKEOVER_MODE : { threshold: 0 },
      });
      wired.conn.receive((message) => wired.conn.send(message)).catch(() => {});
      return wired;
    });
  }

  /** Each of them echoes a message, which came compressed or did not. */
  async function echo(all: readonly Wired[], rsv: number): Promise<void> {
    for (const [i, { transport, frame }] of all.entries()) {
      transport.sink!.data(frame(TextMessage, rsv === 0 ? plain : packed, { rsv }));
      if (i % 10 === 9) {
        await turns(2);
        for (let j = i - 9; j <= i; j++) all[j]!.transport.writes.length = 0;
      }
    }
    await turns();
  }

  async function over(all: readonly Wired[]): Promise<void> {
    for (const { transport } of all) transport.break();
    await Promise.all(all.map(({ conn }) => conn.closed));
  }

  it('hold nothing for it, or the text that may be referred back to', async () => {
    const source = new CountingSource('handle');
    const [off, on] = [made(source, false), made(source, true)];
    await turns();
    // What all else takes is there then.
    for (const all of [off, on]) await echo(all, 0);
    const held = ({ conn }: Wired): number => conn.stats.compressionBytes;
    await survives(
      92,
      async (watch) => {
        await echo(off, RSV1);
        const idle = off.reduce((sum, wired) => sum + held(wired), historyBytesOf(source));
        await echo(on, RSV1);
        watch.weigh();
        const all = on.map(held);
        expect(historyBytesOf(source)).toBe(all.reduce((sum, bytes) => sum + bytes));
        expect(Math.min(...all)).toBeGreaterThanOrEqual(plain.length);
        return { sockets: off.length, idle, beyond: Math.max(...all) - plain.length };
      },
      { rounds: 1 },
    );
    await over(off);
    await over(on);
    expect(historyBytesOf(source)).toBe(0);
  }, 30_000);

  it('that have seen more hold no more than twice as much', async () => {
    for (let seen = 1; seen <= 40_000; seen += 1_237) {
      const { conn, feed, frame, transport } = wiredOn('handle', { deflate: TAKEOVER });
      feed(frame(TextMessage, pack('x'.repeat(seen)), { rsv: RSV1 }));
      await conn.readMessage();
      expect(conn.stats.compressionBytes).toBeLessThanOrEqual(
        Math.min(32 * KIB, Math.max(512, 2 * seen)),
      );
      transport.break();
      await conn.closed;
    }
  });
});

describe.each(BACKENDS)('a connection that compresses on %s', (backend) => {
  nothingLeft();

  const source = new CountingSource(backend);

  it('keeps nothing of its last message', async () => {
    const plain = Buffer.from(someText(new Random(93), MIB, 'words'));
    const packed = pack(plain);
    /** It has received and sent it. */
    const used = async (role: Role): Promise<Wired> => {
      const wired = wiredOn(backend, { source, role, readLimit: 2 * MIB });
      const { conn, transport, frame } = wired;
      let got = 0;
      conn.receive((message) => void (got = message.length)).catch(() => {});
      await turn();
      const chunk = frame(TextMessage, packed, { rsv: RSV1 });
      for (let at = 0; at < chunk.length; at += 64 * KIB) {
        transport.feed(chunk.subarray(at, at + 64 * KIB));
        await turn();
      }
      await until(() => got === plain.length);
      await conn.send(plain);
      await conn.send(plain, { compress: false });
      await turns();
      // What the test has recorded.
      transport.writes.length = 0;
      return wired;
    };
    const attack = async (watch: Watch): Promise<Outcome> => {
      const wireds: Wired[] = [];
      for (const role of ROLES) wireds.push(await used(role));
      await turns();
      // Idle, and open.
      watch.weigh();
      for (const { conn, transport } of wireds) {
        expect([conn.state, conn.bufferedAmount]).toEqual(['open', 0]);
        transport.break();
        await conn.closed;
      }
      return {};
    };
    await warmUp(attack, 2);
    await survives(93, attack);
  }, 30_000);

  it('can be told to leave a message alone, and shares no context unless it is told', async () => {
    const secret = 'token=4f1c9a; ';
    const attack = async (): Promise<Outcome> => {
      const agreed = [];
      const sizes = new Map<string, number>();
      for (const compression of [undefined, true] as const) {
        const { client, server } = pairOn(backend, { compression }, source);
        agreed.push(client.extensions);
        client.terminate();
        await server.closed;
      }
      for (const role of ROLES) {
        const { conn, sent, transport } = wiredOn(backend, { source, role });
        for (const guess of ['token=4f1c9a; ', 'token=zzzzzz; ']) {
          for (const [how, write] of [
            ['send', (data: string) => conn.send(data, { compress: false })],
            ['write', (data: string) => conn.writeMessage(1, data, { compress: false })],
            [
              'stream',
              async (data: string) => {
                const writer = await conn.nextWriter(1, { compress: false });
                await writer.write(data);
                await writer.close();
              },
            ],
          ] as const) {
            await write((secret + guess).repeat(20));
            await turns(2);
            const frames = sent();
            const { rsv, payload } = frames.findLast(({ opcode }) => opcode === 1)!;
            const size = payload.length;
            // The length tells nothing of what is in it.
            expect([rsv, sizes.get(how) ?? size]).toEqual([0, size]);
            sizes.set(how, size);
          }
        }
        transport.break();
        await conn.closed;
      }
      expect(agreed[0]).toBe('');
      return { default: agreed[1]!.replace('permessage-deflate; ', '') };
    };
    await warmUp(attack, 5);
    await survives(94, attack);
    const page = readFileSync(new URL('../../../docs/compression.md', import.meta.url), 'utf8');
    expect(page).toMatch(/CRIME, BREACH\)\. Send such messages with `compress: false`/);
  });

  it('sends what gets no smaller as it is', async () => {
    const sizes = [
      0, 1, 2, 5, 11, 64, 125, 126, 127, 255, 256, 1_000, 4_096, 33_000, 65_535, 65_536,
    ];
    const noise = [...sizes, 100_000].map((size) => randomBytes(size));
    const attack = async (watch: Watch): Promise<Outcome> => {
      let extra = 0;
      let cases = 0;
      for (const role of ROLES) {
        for (const deflate of [SHARED, TAKEOVER]) {
          const compression = deflate === SHARED ? { threshold: 0 } : TAKEOVER_MODE;
          const wired = wiredOn(backend, { source, role, deflate, compression });
          const { conn, transport } = wired;
          const grows = async (data: Buffer, write: () => Promise<unknown>): Promise<void> => {
            const header = data.length < 126 ? 2 : data.length < 65_536 ? 4 : 10;
            const least = data.length + header + (role === 'client' ? 4 : 0);
            await write();
            await turns(2);
            extra = Math.max(extra, transport.takeSent().length - least);
            watch.sent(least);
            cases++;
          };
          for (const data of noise) {
            await grows(data, () => conn.send(data));
            const prepared = new PreparedMessage(BinaryMessage, data);
            await grows(data, () => conn.writePreparedMessage(prepared));
          }
          transport.break();
          await conn.closed;
        }
      }
      return { extra, cases };
    };
    await warmUp(attack, 1);
    await survives(95, attack);
  }, 30_000);
});
