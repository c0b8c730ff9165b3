import { dial, isCloseError } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  rejectsWrongPort,
  startExample,
} from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/several-paths', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('several-paths')));
  afterAll(() => example?.stop());

  const join = async (path: string) => dial(example.ws + path);

  it('sends each message of the chat to everyone', async () => {
    const [ada, grace] = [await join('/chat'), await join('/chat')];
    await ada.send('hello');
    for (const conn of [ada, grace]) expect((await conn.readMessage()).text()).toBe('hello');
    await Promise.all([ada.close(), grace.close()]);
  });

  it('sends published messages only to the subscribers of the topic', async () => {
    const [news, sport] = [await join('/feed/news'), await join('/feed/sp%6Frt?from=1')];
    const [newsDesk, sportDesk] = [
      await join('/feed/news/publish'),
      await join('/feed/sport/publish'),
    ];
    await newsDesk.send('rain');
    expect((await news.readMessage()).text()).toBe('rain');
    await sportDesk.send('a goal');
    expect((await sport.readMessage()).text()).toBe('a goal');
    await Promise.all([news, sport, newsDesk, sportDesk].map((conn) => conn.close()));
  });

  it.each(['/', '/feed', '/feed/', '/feed/news/more', '/chat/'])(
    'refuses %s with 404',
    async (path) => {
      await expect(join(path)).rejects.toMatchObject({ status: 404 });
    },
  );

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'ends on %s: 1001 on every path, exit code 0',
    async (signal) => {
      const own = await startExample('several-paths');
      const conns = await Promise.all(
        ['/chat', '/feed/news', '/feed/news/publish'].map(async (path) => dial(own.ws + path)),
      );
      const end = own.stop(signal);
      for (const conn of conns) {
        const error = await conn.readMessage().catch((reason: unknown) => reason);
        expect(isCloseError(error, 1001)).toBe(true);
      }
      expect(await end, own.output()).toBe(0);
    },
  );

  rejectsWrongPort('several-paths');

  endsWithSilentClient(
    () => startExample('several-paths'),
    async ({ ws }) => dial(`${ws}/chat`),
  );
});
