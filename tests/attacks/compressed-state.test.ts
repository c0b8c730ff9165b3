// State of compression: memory of idle connections, bytes on the wire, lengths.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BinaryMessage, PreparedMessage, type Role, TextMessage } from '@ws/conn';
import { historyBytesOf } from '@ws/deflate/internal';
import { describe, expect, it } from 'vitest';
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
import { turn } from '../kit/index.ts';
import { nothingLeft, Random } from '../peers/index.ts';
import { atLeast, atMost, claim, survives } from './harness/index.ts';
import { ROLES } from './target-conn.ts';

nothingLeft();

const RSV1 = 0x40;
const IDLE = 3_000;
const TAKEOVER_MODE = { mode: 'takeover', threshold: 0 } as const;

describe('three thousand idle connections with compression', () => {
  const plain = Buffer.from(someText(new Random(92), 1_000, 'words')).subarray(0, 900);
  const packed = pack(plain);

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

  /** Each connection echoes one message, compressed or not. */
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

  it('hold no state, or only the text of their window', async () => {
    const source = new CountingSource('handle');
    const [off, on] = [made(source, false), made(source, true)];
    await turns();
    for (const all of [off, on]) await echo(all, 0);
    const held = ({ conn }: Wired): number => conn.stats.compressionBytes;
    // The memory of a window doubles as it fills, from 512 bytes on.
    const attack = claim('3,000 idle connections that used compression', 'RFC 7692, 7.1.1');
    // What 3,000 connections that have seen 900 bytes may hold, and 1 MiB of V8 itself.
    const bound = {
      sockets: atLeast(3_000),
      idle: 0,
      beyond: atMost(512),
      memory: 3_000 * 1_412 + MIB,
      rounds: 1,
    };
    await survives(attack, bound, async (watch) => {
      await echo(off, RSV1);
      const idle = off.reduce((sum, wired) => sum + held(wired), historyBytesOf(source));
      await echo(on, RSV1);
      watch.weigh();
      const all = on.map(held);
      expect(historyBytesOf(source)).toBe(all.reduce((sum, bytes) => sum + bytes));
      expect(Math.min(...all)).toBeGreaterThanOrEqual(plain.length);
      return { sockets: off.length, idle, beyond: Math.max(...all) - plain.length };
    });
    await over(off);
    await over(on);
    expect(historyBytesOf(source)).toBe(0);
  });

  it('hold at most twice the text that they have seen', async () => {
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
  const source = new CountingSource(backend);

  it('releases its last message', async () => {
    const plain = Buffer.from(someText(new Random(93), MIB, 'words'));
    const packed = pack(plain);
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
      transport.writes.length = 0;
      return wired;
    };
    const attack = claim('a large compressed message, then silence', 'CWE-401');
    await survives(attack, { memory: 64 * KIB, warmUps: 2 }, async (watch) => {
      const wireds: Wired[] = [];
      for (const role of ROLES) wireds.push(await used(role));
      await turns();
      watch.weigh();
      for (const { conn, transport } of wireds) {
        expect([conn.state, conn.bufferedAmount]).toEqual(['open', 0]);
        transport.break();
        await conn.closed;
      }
      return {};
    });
  });

  it('sends a message uncompressed on request, and shares no context by default', async () => {
    const secret = 'token=4f1c9a; ';
    const attack = claim(
      'a secret and text of an attacker in one compressed message (BREACH, CRIME)',
      'RFC 7692, 8',
    );
    const bound = { default: 'server_no_context_takeover; client_no_context_takeover', warmUps: 5 };
    await survives(attack, bound, async () => {
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
            // The length is independent of the content.
            expect([rsv, sizes.get(how) ?? size]).toEqual([0, size]);
            sizes.set(how, size);
          }
        }
        transport.break();
        await conn.closed;
      }
      expect(agreed[0]).toBe('');
      return { default: agreed[1]!.replace('permessage-deflate; ', '') };
    });
    const page = readFileSync(new URL('../../docs/compression.md', import.meta.url), 'utf8');
    expect(page).toMatch(/CRIME, BREACH\)\.\s+Send such messages with\s+`compress: false`/);
  });

  it('sends data uncompressed that would not get smaller', async () => {
    const sizes = [
      0, 1, 2, 5, 11, 64, 125, 126, 127, 255, 256, 1_000, 4_096, 33_000, 65_535, 65_536,
    ];
    const noise = [...sizes, 100_000].map((size) => randomBytes(size));
    const attack = claim('data that does not get smaller', 'RFC 7692, 6.1');
    await survives(attack, { extra: atMost(11), warmUps: 1 }, async (watch) => {
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
    });
  });
});
