// A contract on each runtime of @ws/fetch: through `serve`, and through a hub.
import { dial } from '@ws/node-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lacksRuntime, RUNTIMES, type Running, start } from '../../fetch/test/runtimes.ts';
import { failure, until } from './pairs.ts';
import { chat } from './program/contract.mjs';

const PROGRAM = `${import.meta.dirname}/program`;

describe.each(RUNTIMES.filter((name) => !lacksRuntime(name)))('a contract on %s', (name) => {
  let program: Running;
  beforeAll(async () => {
    program = await start(name, PROGRAM);
  });
  afterAll(() => program?.stop());

  // Workers have no hub: their requests share no memory.
  const paths = name === 'Workers' ? ['/serve'] : ['/serve', '/hub'];

  describe.each(paths)('through %s', (path) => {
    const typed: string[] = [];
    const open = async (user: string) => {
      const conn = await dial(`ws://127.0.0.1:${program.port}${path}?name=${user}`);
      const peer = chat.connect(conn, {
        typed: ({ room }) => void typed.push(room),
        confirm: ({ question }) => question === 'sure?',
        async *frames({ count }) {
          for (let i = 0; i < count; i++) yield i;
        },
      });
      return { conn, peer };
    };

    it('asks and answers in both directions, with the login of each connection', async () => {
      const [ann, bob] = [await open('ann'), await open('bob')];
      const answers = [ann, bob].flatMap(({ peer }) => [
        peer.say({ text: 'hi' }),
        peer.say({ text: 'x'.repeat(100_000) }),
      ]);
      expect((await Promise.all(answers)).map(({ user, text }) => [user, text.length])).toEqual([
        ['ann', 2],
        ['ann', 100_000],
        ['bob', 2],
        ['bob', 100_000],
      ]);
      expect(await ann.peer.ask()).toBe(true);
      await bob.peer.typing({ room: 'r' });
      await until(() => expect(typed).toEqual(['r']));
      await Promise.all([ann.conn.close(), bob.conn.close()]);
    });

    it('rejects as everywhere: the handler, the input, the end', async () => {
      const { conn, peer } = await open('ann');
      await expect(peer.fail()).rejects.toMatchObject({ code: 7, data: { why: 'seven' } });
      await expect(peer.say({} as never)).rejects.toMatchObject({ code: -32_602 });
      const slow = failure(peer.slow(undefined, { timeout: false }));
      await peer.typing({ room: 'behind' });
      await conn.close(4000, 'bye');
      expect(await slow).toMatchObject({ closeCode: 4000 });
      await expect(peer.fail()).rejects.toMatchObject({ closeCode: 4000 });
    });

    it('tells a handler that its caller has given up', async () => {
      const { conn, peer } = await open('ann');
      const before = await peer.aborted();
      await expect(peer.slow(undefined, { timeout: 20 })).rejects.toMatchObject({
        name: 'TimeoutError',
      });
      expect(await peer.aborted()).toBe(before + 1);
      await conn.close();
    });

    it('streams in both directions at the pace of the reader, and ends a stream by a break', async () => {
      const { conn, peer } = await open('ann');
      let next = 0;
      for await (const { n, pad } of peer.count({ to: 2_000, pad: 100 })) {
        expect([n, pad.length]).toEqual([next++, 100]);
      }
      expect(next).toBe(2_000);
      expect(await peer.sum({ count: 2_000 })).toBe(1_999_000);
      const before = await peer.aborted();
      for await (const { n } of peer.count({ to: 1e9, pad: 20_000 })) if (n === 30) break;
      let aborted = before;
      while (aborted === before) aborted = await peer.aborted();
      expect(aborted).toBe(before + 1);
      const open16 = Array.from({ length: 16 }, () => peer.count({ to: 1e9, pad: 1_000 }));
      await Promise.all(open16.map((loop) => loop.next()));
      expect(await peer.say({ text: 'beside' })).toMatchObject({ text: 'beside' });
      const refused = peer.count({ to: 1, pad: 1 }).next();
      await expect(refused).rejects.toMatchObject({ code: -32_000 });
      await conn.close(4000, 'bye');
      const rest = async () => {
        for await (const _ of open16[0]!);
      };
      await expect(rest()).rejects.toMatchObject({ closeCode: 4000 });
    });

    it('lets an answer through behind 300 requests', async () => {
      const { conn, peer } = await open('ann');
      const first = peer.ask();
      const rest = Array.from({ length: 299 }, () => peer.say({ text: '' }));
      expect(await first).toBe(true);
      expect(await Promise.all(rest)).toHaveLength(299);
      await conn.close();
    });
  });
});
