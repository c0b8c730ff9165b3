import { dial } from '@ws/node-client';
import { admit, serve } from '@ws/node-server';
import { nothingLeft, turn, whenOver } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { front, pair } from './support.ts';

describe('a login that expires', () => {
  nothingLeft();

  it.each(['frames', 'messages'] as const)(
    'ends both sides with 4401 in the mode %s',
    async (mode) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
      onTestFinished(() => void vi.useRealTimers());
      const codes: number[] = [];
      const target = await serve({ host: '127.0.0.1' }, async (conn) => {
        await conn.receive((message) => conn.send(message)).catch(() => {});
        codes.push((await conn.closed).code);
      });
      whenOver(() => target.close({ timeout: 1 }));
      const { url } = await front(target.url, {
        mode,
        authenticate: () => admit('ada', { expires: Date.now() + 200 }),
      });
      const conn = await dial(url);
      await conn.send('hello');
      expect((await conn.readMessage()).text()).toBe('hello');
      void conn.discardReads().catch(() => {});
      vi.advanceTimersByTime(200);
      expect((await conn.closed).code).toBe(4401);
      await expect.poll(() => codes).toEqual([4401]);
    },
  );

  describe.each(['frames', 'bytes', 'messages'] as const)('in the mode %s', (mode) => {
    /** A pair of raw peers that never answer a close frame. The login expires after 30 s. */
    async function expiring() {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
      onTestFinished(() => void vi.useRealTimers());
      const authenticate = () => admit('ada', { expires: Date.now() + 30_000 });
      return pair({ mode, authenticate, heartbeat: false });
    }
    const pass = async (ms: number): Promise<void> => {
      vi.advanceTimersByTime(ms);
      for (let i = 0; i < 5; i++) await turn();
    };

    const part = Buffer.alloc(20_000);
    const frame = Buffer.concat([Buffer.from('82fe4e2000000000', 'hex'), part]);
    const start = Buffer.concat([Buffer.from('82ff000001000000000000000000', 'hex'), part]);

    it.each([
      ['within a frame', start, part],
      ['between two frames', frame, frame],
    ])('drops what the client sends, and ends both in 5 s: %s', async (_, first, next) => {
      const { client, target, proxied } = await expiring();
      const writes = async (bytes: Buffer): Promise<void> => {
        const read = client.stream.bytesWritten + bytes.length;
        await client.write(bytes).catch(() => {});
        while (!client.ended && client.stream.bytesWritten < read) await turn();
      };
      const head = target.tcp.bytesRead;
      await writes(first);
      await pass(29_000);
      await writes(next);
      const sent = first.length + next.length;
      // `messages` passes pieces of 16 KiB.
      while (target.tcp.bytesRead < head + sent - 16_384) await turn();
      // The timers of the process are rough.
      await pass(1_200);
      for (let second = 0; second < 4; second++) {
        await writes(next);
        await pass(1_000);
      }
      // A close frame, and headers of fragments, at most.
      expect(target.tcp.bytesRead).toBeLessThan(head + sent + 200);
      await pass(1_000);
      await Promise.all([client.finish(), target.finish()]);
      expect(await proxied.closed).toMatchObject({ endedBy: 'proxy' });
    });

    it('ends with the next bytes after a sleep of the machine', async () => {
      const { client, target, proxied } = await expiring();
      // The monotonic clock has stopped.
      vi.setSystemTime(Date.now() + 3_600_000);
      const read = target.tcp.bytesRead;
      await client.write(frame);
      while (proxied.stats.in.bytes === 0) await turn();
      for (let i = 0; i < 5; i++) await turn();
      expect(target.tcp.bytesRead).toBeLessThan(read + 200);
      await pass(5_000);
      await Promise.all([client.finish(), target.finish()]);
      expect(await proxied.closed).toMatchObject({ endedBy: 'proxy' });
    });
  });

  it('refuses an admission without data with 500', async () => {
    const { url } = await front('ws://127.0.0.1:9', {
      authenticate: () => admit(undefined as never),
      report() {},
    });
    await expect(dial(url)).rejects.toMatchObject({ status: 500 });
  });
});
