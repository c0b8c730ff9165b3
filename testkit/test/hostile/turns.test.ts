import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Conn } from '@ws/conn';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { nothingLeft, upgradeRequest, whenOver } from '../../src/peers/index.ts';
import { warm } from './warm.ts';

const MIB = 1024 * 1024;

/** A client in a process of its own, which sends empty frames, or long ones, as fast as they are taken. */
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
    ['empty frames', 0, 8 * MIB],
    ['long frames', 65_535, 64 * MIB],
  ] as const)(
    'of %s gets its share of a turn, and no more',
    { timeout: 30_000 },
    async (_, size, bytes) => {
      let accepted: (conn: Conn) => void = () => {};
      const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => accepted(conn));
      whenOver(() => server.close());
      const port = Number(new URL(server.url).port);
      await survives(
        133,
        await warm(async () => {
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
          return { 'bytes in a turn': most };
        }, 1),
      );
    },
  );
});
