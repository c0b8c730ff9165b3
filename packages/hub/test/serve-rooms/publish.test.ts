// Publications of clients, over breaks and while a room takes no messages.
import { BackplaneError } from '@ws/hub';
import { ReconnectingConn } from '@ws/reconnect';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it, vi } from 'vitest';
import { collectGarbage } from '../../../../tests/kit/heap.ts';
import { internalsOfHub } from '../../src/hub.ts';
import { nextOf, read, startClient, startNode, turns } from './setup.ts';

function heapNow(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('publish', () => {
  it('is sent again after a break, and loops drop the repetition', async () => {
    const { node, hub } = startNode();
    const ann = startClient(node);
    const bob = startClient(node);
    const loop = bob.rooms.join('chat/main');
    ann.rooms.join('chat/main');
    await ann.rooms.publish('chat/main', { text: '1' });
    // The room gets the message, its publisher no answer.
    const kept: string[] = [];
    const { rooms } = internalsOfHub(hub);
    const lost = vi.spyOn(rooms, 'publish');
    lost.mockImplementation((room, data, ...more) => {
      kept.push(data as string);
      lost.mockRestore();
      ann.cut();
      return rooms.publish(room, data, ...more);
    });
    await ann.rooms.publish('chat/main', { text: '2' });
    await ann.rooms.publish('chat/main', { text: '3' });
    expect(await read(loop, 3)).toEqual(['1', '2', '3']);
    const { messages } = await hub.room('chat/main').history();
    expect(
      messages.map(({ message }) => message.text()).filter((text) => text === kept[0]),
    ).toHaveLength(2);
  });

  it('is never refused because its connection breaks', async () => {
    const { node } = startNode();
    const ann = startClient(node);
    const bob = startClient(node);
    const loop = bob.rooms.join('chat/main');
    ann.rooms.join('chat/main');
    await bob.rooms.publish('chat/main', { text: '0' });
    const texts = Array.from({ length: 60 }, (_, i) => `${i + 1}`);
    const published: Promise<void>[] = [];
    for (const [i, text] of texts.entries()) {
      published.push(ann.rooms.publish('chat/main', { text }));
      for (let turn = i % 12; turn > 0; turn--) await Promise.resolve();
      if (i % 4 === 3) await turns(1);
      ann.cut();
      if (i % 5 === 0) await published.at(-1);
    }
    await Promise.all(published);
    expect(new Set(await read(loop, 61))).toEqual(new Set(['0', ...texts]));
  });

  it('is sent again with its id while the room takes no messages, until its timeout', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    // A refusal reaches the client some turns later. The next wait begins then.
    const pass = async (isOver: () => boolean): Promise<void> => {
      while (!isOver()) await vi.advanceTimersByTimeAsync(100);
    };
    const settled = async (promise: Promise<void>): Promise<void> => {
      let isOver = false;
      const over = (): void => void (isOver = true);
      promise.then(over, over);
      await pass(() => isOver);
      return promise;
    };
    try {
      const { node, hub } = startNode();
      const { rooms, live } = startClient(node);
      const loop = rooms.join('chat/main');
      await rooms.publish('chat/main', { text: '1' });
      const sent: unknown[] = [];
      const server = internalsOfHub(hub).rooms;
      const busy = vi.spyOn(server, 'publish').mockImplementation((_room, data) => {
        sent.push(data);
        return Promise.reject(new BackplaneError('away'));
      });
      const later = rooms.publish('chat/main', { text: '2' });
      await pass(() => sent.length === 2);
      expect(sent).toEqual([sent[0], sent[0]]);
      busy.mockRestore();
      await settled(later);
      expect(await read(loop, 2)).toEqual(['1', '2']);
      vi.spyOn(server, 'publish').mockRejectedValue(new BackplaneError('away'));
      const never = expect(rooms.publish('chat/main', { text: '3' })).rejects.toMatchObject({
        message: expect.stringContaining('30000 ms'),
        cause: { code: -32_000 },
      });
      await settled(never);
      await live.close();
      await hub.close();
    } finally {
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
  });

  it('rejects by its timeout and its signal while there is no connection, and after the end', async () => {
    const live = new ReconnectingConn(() => new Promise<never>(() => {}));
    const rooms = roomsOf(live);
    void rooms.join('r');
    await expect(rooms.publish('r', 1, { timeout: 5 })).rejects.toThrow(/within 5 ms/);
    await expect(rooms.publish('r', 1, { signal: AbortSignal.abort(7) })).rejects.toBe(7);
    const control = new AbortController();
    const aborted = rooms.publish('r', 1, { signal: control.signal });
    control.abort(8);
    await expect(aborted).rejects.toBe(8);
    const waiting = rooms.publish('r', 1);
    await live.close();
    await expect(waiting).rejects.toMatchObject({ name: 'CloseSentError' });
    await expect(rooms.publish('r', 1)).rejects.toMatchObject({ name: 'CloseSentError' });
    const loop = rooms.join('r');
    await expect(rooms.publish('r', 1)).rejects.toMatchObject({ name: 'CloseSentError' });
    expect(await loop.next()).toEqual({ done: true, value: undefined });
  });

  it('rejects by a signal that aborts in any microtask after its connection breaks', async () => {
    for (let microtasks = 0; microtasks < 40; microtasks++) {
      const { node, hub } = startNode();
      const { rooms, conns, away } = startClient(node);
      rooms.join('chat/main');
      await rooms.publish('chat/main', { text: '1' });
      const server = vi.spyOn(internalsOfHub(hub).rooms, 'publish');
      server.mockReturnValue(new Promise<never>(() => {}));
      const control = new AbortController();
      const published = rooms.publish('chat/main', { text: '2' }, { signal: control.signal });
      await expect.poll(() => server.mock.calls.length, { interval: 1 }).toBe(1);
      await away(async () => {
        await conns[0]!.closed;
        for (let i = 0; i < microtasks; i++) await Promise.resolve();
        control.abort(7);
        await expect(published).rejects.toBe(7);
      });
    }
  });

  it('rejects when the server closes the connection because of its size', async () => {
    const { node } = startNode();
    const { rooms, conns } = startClient(node, 'ann', { readLimit: 4_096 });
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    await expect(rooms.publish('chat/main', { text: '2'.repeat(5000) })).rejects.toMatchObject({
      closeCode: 1009,
    });
    await rooms.publish('chat/main', { text: '3' });
    expect(await read(loop, 2)).toEqual(['1', '3']);
    expect(conns).toHaveLength(2);
  });

  it('is sent before a leave and a close that follow', async () => {
    const { node, hub } = startNode();
    const { rooms, live } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    const published = rooms.publish('chat/main', { text: '2' });
    await loop.return?.();
    await published;
    await live.close();
    expect((await hub.room('chat/main').history()).messages).toHaveLength(2);
  });

  it('is not rejected by others that wait for the same connection', async () => {
    const { node } = startNode();
    const { rooms } = startClient(node);
    void rooms.join('chat/main');
    // Calls hold 1 MiB: the others wait, and a loaded machine repeats some of them.
    const message = { text: 'x'.repeat(5_000) };
    const publish = () => rooms.publish('chat/main', message, { timeout: false });
    await Promise.all(Array.from({ length: 600 }, publish));
  });

  it.each(['before', 'after'])(
    'L3 rejects with the CloseError of its connection when the last loop ends %s the break',
    async (when) => {
      const { node, hub } = startNode();
      const ann = startClient(node);
      const loop = ann.rooms.join('chat/main');
      await ann.rooms.publish('chat/main', { text: '1' });
      const { rooms } = internalsOfHub(hub);
      const lost = vi.spyOn(rooms, 'publish');
      lost.mockImplementation((...given) => {
        lost.mockRestore();
        if (when === 'before') void loop.return!();
        ann.cut();
        if (when === 'after') void loop.return!();
        return rooms.publish(...given);
      });
      const published = ann.rooms.publish('chat/main', { text: '2' });
      await expect(published).rejects.toMatchObject({ name: 'CloseError', closeCode: 1006 });
      // Only the server knows that the room has it.
      const { messages } = await hub.room('chat/main').history();
      expect(messages).toHaveLength(2);
      // A later publication needs a loop.
      const later = ann.rooms.publish('chat/main', { text: '3' });
      await expect(later).rejects.toThrow(/join "chat\/main" first/);
    },
  );

  it('leaves nothing behind when it is given up', async () => {
    const live = new ReconnectingConn(() => new Promise<never>(() => {}));
    const rooms = roomsOf(live);
    void rooms.join('r');
    const giveUp = async (): Promise<void> => {
      const control = new AbortController();
      const { signal } = control;
      const all = Array.from({ length: 1_000 }, () => rooms.publish('r', 1, { signal }));
      control.abort();
      await Promise.allSettled(all);
    };
    await giveUp();
    const before = heapNow();
    for (let i = 0; i < 8; i++) await giveUp();
    expect((heapNow() - before) / 8_000).toBeLessThan(100);
    await live.close();
  });

  it('refuses values without JSON, and more than 1,000 that wait', async () => {
    const live = new ReconnectingConn(() => new Promise<never>(() => {}));
    const rooms = roomsOf(live);
    void rooms.join('r');
    await expect(rooms.publish('r', undefined)).rejects.toThrow();
    await expect(rooms.publish('r', 1n)).rejects.toThrow();
    const many = Array.from({ length: 1_000 }, () => rooms.publish('r', 1));
    await expect(rooms.publish('r', 1)).rejects.toMatchObject({ name: 'BackpressureError' });
    await live.close();
    for (const result of await Promise.allSettled(many)) expect(result.status).toBe('rejected');
  });
});

describe('101.5 publish with an id of the application', () => {
  const id = '0123456789abcdef0123456789abcdef';

  it('reaches no member twice when a page repeats it after a reload', async () => {
    const { node } = startNode();
    const bob = startClient(node);
    const watcher = bob.rooms.join('chat/main');
    await watcher.next();
    for (const text of ['1', '2']) {
      const page = startClient(node);
      const loop = page.rooms.join('chat/main');
      expect(await page.rooms.publish('chat/main', { text: '1' }, { id })).toBeUndefined();
      await page.rooms.publish('chat/main', { text: `after ${text}` });
      await loop.return?.();
      await page.live.close();
    }
    expect(await read(watcher, 3)).toEqual(['1', 'after 1', 'after 2']);
  });

  it('is the id that members see', async () => {
    const { node } = startNode();
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' }, { id: 'A-Za-z0-9_-A-Za-z0-9_-' });
    expect(await nextOf(loop)).toMatchObject({ id: 'A-Za-z0-9_-A-Za-z0-9_-' });
  });

  it('drops no other message with the same id', async () => {
    const { node } = startNode();
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' }, { id });
    await rooms.publish('chat/main', { text: '2' }, { id });
    expect(await read(loop, 2)).toEqual(['1', '2']);
  });

  it.each([
    ['short', '"short"'],
    ['x'.repeat(37), `"${'x'.repeat(37)}"`],
    [`${'x'.repeat(22)} `, `"${'x'.repeat(22)} "`],
    ['', '""'],
    [7, 'number'],
    [null, 'null'],
  ])('is refused: %j', async (wrong, got) => {
    const { node } = startNode();
    const { rooms } = startClient(node);
    rooms.join('chat/main');
    await expect(
      rooms.publish('chat/main', { text: '1' }, { id: wrong as string }),
    ).rejects.toThrow(`id: expected 22 to 36 random characters of A-Z a-z 0-9 _ -, got ${got}`);
  });
});
