import { nothingLeft, rawClient } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front, rawTarget } from '../support.ts';

describe('Via', () => {
  nothingLeft();

  it('names the proxy, after the proxies before it', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url, { forwarded: false });
    for (const add of [[], ['Via: 1.0 fred, 1.1 p.example.net', 'via: 2 other']]) {
      const client = await rawClient(between.port);
      await client.upgrade({ add });
    }
    const own = '1\\.1 ws-[0-9a-f]{16}';
    expect(backend.heads[0]).toMatch(new RegExp(`\r\nVia: ${own}\r\n`));
    const all = `1\\.0 fred, 1\\.1 p\\.example\\.net, 2 other, ${own}`;
    expect(backend.heads[1]).toMatch(new RegExp(`\r\nVia: ${all}\r\n`));
    expect(backend.heads[1]!.match(/\r\nvia:/gi)).toHaveLength(1);
  });

  it.each(['frames', 'bytes', 'messages'] as const)(
    'finds a target that leads back to the proxy, in the mode %s',
    async (mode) => {
      const first = await front('ws://127.0.0.1:1', { mode });
      // Through another proxy too.
      const second = await front(first.url);
      for (const url of [first.url, second.url]) {
        first.reported.length = 0;
        first.proxy.targets = [url];
        const client = await rawClient(first.port);
        expect((await client.upgrade()).status).toBe(508);
        expect(first.reported.map((error) => (error as { status: number }).status)).toEqual([
          508, 508,
        ]);
        expect(String(first.reported[0])).toContain('leads back to this proxy');
      }
    },
  );
});
