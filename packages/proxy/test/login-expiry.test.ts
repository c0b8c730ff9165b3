import { dial } from '@ws/node-client';
import { admit, serve } from '@ws/node-server';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front } from './support.ts';

describe('a login that expires', () => {
  nothingLeft();

  it.each(['frames', 'messages'] as const)(
    'ends both sides with 4401 in the mode %s',
    async (mode) => {
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
      expect((await conn.closed).code).toBe(4401);
      await expect.poll(() => codes).toEqual([4401]);
    },
  );

  it('refuses an admission without data with 401', async () => {
    const { url } = await front('ws://127.0.0.1:9', { authenticate: () => admit(undefined) });
    await expect(dial(url)).rejects.toMatchObject({ status: 401 });
  });
});
