import { runInNewContext } from 'node:vm';
import { PongMessage } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { CloseError, CloseSentError } from '../../src/index.ts';
import { turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

// Errors of the application's handlers that meet the end of the connection.

const NORMAL = Uint8Array.of(3, 232);

describe.each(['server', 'client'] as const)('a handler of a %s that fails at the end', (role) => {
  it.each(['ping', 'pong'] as const)(
    'leaves our close clean when it returns the write of a %s handler',
    async (name) => {
      const { conn, platform, transport, feed, frame, deliver } = wired(role);
      const answer = (payload: Uint8Array) => conn.writeControl(PongMessage, payload);
      if (name === 'ping') conn.setPingHandler(answer);
      else conn.setPongHandler(answer);
      const received = conn.receive(() => {});
      await platform.settle();
      const closed = conn.close(1000);
      await platform.settle();
      await deliver(frame(name === 'ping' ? 9 : 10, 'crosses our close frame'));
      feed(frame(8, NORMAL));
      transport.feedEnd();
      expect(await closed).toEqual({ code: 1000, reason: '', wasClean: true });
      expect(await received).toMatchObject({ code: 1000, wasClean: true });
    },
  );

  it('has the error of a bug in a control handler after our close frame', async () => {
    const { conn, feed, frame, platform, transport, sent } = wired(role);
    conn.setPingHandler(() => Promise.reject(new Error('a bug')));
    const closed = conn.close(1000);
    await platform.settle();
    feed(frame(9), frame(8, NORMAL));
    transport.feedEnd();
    expect(await closed).toMatchObject({
      code: 1000,
      wasClean: false,
      error: { message: 'a bug' },
    });
    expect(sent()).toEqual(['close 1000']);
  });

  it("leaves the peer's close clean when a slow ping handler writes after it", async () => {
    const { conn, feed, frame, platform, transport, sent } = wired(role);
    const errors: unknown[] = [];
    conn.setPingHandler(async (payload) => {
      await turns(2);
      await conn.writeControl(PongMessage, payload).catch((error: unknown) => {
        errors.push(error);
        throw error;
      });
    });
    const received = conn.receive(() => {});
    await platform.settle();
    feed(frame(9, 'slow'), frame(8, NORMAL));
    await turns(8);
    transport.feedEnd();
    expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
    expect(await received).toMatchObject({ code: 1000, wasClean: true });
    expect(errors).toEqual([expect.any(CloseSentError)]);
    expect(sent()).toEqual(['close 1000']);
  });

  it('leaves the close clean when a close handler rejects with the end of this connection', async () => {
    const { conn, feed, frame, transport, sent } = wired(role);
    // The peer that closes no longer answers: `ping` rejects with its CloseError.
    conn.setCloseHandler(async () => void (await conn.ping()));
    void conn.receive(() => {});
    await turns();
    feed(frame(8, NORMAL));
    await turns();
    transport.feedEnd();
    expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
    expect(sent().at(-1)).toBe('close 1000');
  });

  it.each(['ping', 'receive'] as const)(
    'closes with 1011 when a %s handler rejects with the end of another connection',
    async (name) => {
      const other = wired(role);
      void other.conn.close(1000);
      const { conn, feed, frame, platform, sent } = wired(role);
      if (name === 'ping') conn.setPingHandler(() => other.conn.send('relayed'));
      const received = conn.receive(() => other.conn.send('relayed'));
      await platform.settle();
      feed(frame(name === 'ping' ? 9 : 1, 'x'));
      await turns();
      expect(sent()).toEqual(['close 1011']);
      await expect(received).rejects.toBeInstanceOf(CloseSentError);
    },
  );

  it.each(['receive', 'ping handler'] as const)(
    'has code 1006 when %s has called terminate() and then throws',
    async (where) => {
      const { conn, platform, frame, sent, deliver } = wired(role);
      const bug = new Error('a bug');
      const fail = (): never => {
        conn.terminate();
        throw bug;
      };
      conn.setPingHandler(fail);
      const received = conn.receive(fail).catch((error: unknown) => error);
      await platform.settle();
      await deliver(frame(where === 'receive' ? 1 : 9, 'x'));
      expect(await conn.closed).toMatchObject({ code: 1006, error: { closeCode: 1006 } });
      if (where === 'receive') expect(await received).toBe(bug);
      else expect(await received).toMatchObject({ closeCode: 1006 });
      expect(sent()).toEqual([]);
    },
  );

  it('still has the error of a bug in a `receive` handler after our close frame', async () => {
    const { conn, platform, transport, feed, frame, deliver } = wired(role);
    let fail: (error: Error) => void = () => {};
    const received = conn.receive(() => new Promise((_, reject) => (fail = reject)));
    await platform.settle();
    await deliver(frame(1, 'x'));
    const closed = conn.close(1000);
    await platform.settle();
    fail(new Error('a bug'));
    await platform.settle();
    feed(frame(8, NORMAL));
    transport.feedEnd();
    expect(await closed).toMatchObject({
      code: 1000,
      wasClean: false,
      error: { message: 'a bug' },
    });
    await expect(received).rejects.toThrow('a bug');
  });

  it.each(['receive', 'ping handler', 'MessageWriter'] as const)(
    'ends no loop normally after the CloseError 1000 of another connection in %s',
    async (where) => {
      const foreign = new CloseError(1000);
      const fail = (): never => {
        throw foreign;
      };
      const { conn, feed, frame, platform, sent } = wired(role, { writeBufferSize: 1 });
      conn.setPingHandler(fail);
      const received = conn.receive(where === 'receive' ? fail : () => {});
      await platform.settle();
      if (where === 'MessageWriter') {
        const writer = await conn.nextWriter(2);
        await writer.write(Uint8Array.of(1, 2, 3));
        writer.abort(foreign);
      } else feed(frame(where === 'receive' ? 1 : 9, 'x'));
      await platform.settle();
      expect(sent().at(-1)).toBe('close 1011');
      const loop = (async () => {
        for await (const _ of conn);
      })();
      const ends = [received, loop, conn.receive(() => {})].map((end) => {
        return end.catch((error: unknown) => error);
      });
      await platform.settle();
      expect(await Promise.all(ends)).toEqual([foreign, foreign, foreign]);
    },
  );

  it('ends no loop normally when that CloseError meets the end of the stream', async () => {
    const foreign = new CloseError(1000);
    const { conn, platform, transport, frame, deliver } = wired(role);
    const received = conn.receive(() => Promise.reject(foreign));
    await platform.settle();
    transport.feed(frame(1, 'x'));
    transport.feedEnd();
    await deliver();
    await expect(received).rejects.toBe(foreign);
    const next = conn[Symbol.asyncIterator]().next();
    next.catch(() => {});
    await platform.settle();
    await expect(next).rejects.toBe(foreign);
  });
});

describe('the `error` of `closed`', () => {
  const unprintable = {
    toString() {
      throw new Error('of the application');
    },
  };
  it.each<[string, unknown, string]>([
    ['a number', 5, 'a value was thrown that is not an Error: 5'],
    ['null', null, 'a value was thrown that is not an Error: null'],
    [
      'an object that cannot be printed',
      unprintable,
      'a value was thrown that is not an Error: object',
    ],
  ])('is an Error when a handler throws %s', async (_, thrown, message) => {
    const { conn, feed, frame, platform, transport } = wired('server', { report: () => {} });
    const received = conn.receive(() => {
      throw thrown;
    });
    feed(frame(1, 'x'));
    await expect(received).rejects.toBe(thrown);
    await platform.settle();
    transport.sink!.close();
    const { error } = await conn.closed;
    expect(error).toBeInstanceOf(Error);
    expect(error?.message).toBe(message);
    expect(error?.cause).toBe(thrown);
  });

  it('is the Error that a handler throws, also one of another realm', async () => {
    const foreign = runInNewContext("new TypeError('mine')") as Error;
    for (const thrown of [new Error('mine'), foreign]) {
      const { conn, transport, frame, deliver } = wired('server', { report: () => {} });
      void conn.receive(() => {
        throw thrown;
      });
      await deliver(frame(1, 'x'));
      transport.sink!.close();
      expect((await conn.closed).error).toBe(thrown);
    }
  });
});
