import { EventEmitter, once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { admit, BackpressureError, type Conn, Upgrader } from '../../src/index.ts';
import { exchange, masked, request } from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

describe('Upgrader.handler', () => {
  it('closes with 1011 when the handler throws or rejects, and reports it', async () => {
    for (const handler of [
      () => {
        throw new Error('mine');
      },
      () => Promise.reject(new Error('mine')),
    ]) {
      const reported: unknown[] = [];
      const upgrader = new Upgrader({
        report: (error) => reported.push(String(error)),
      });
      const server = await listening(upgrader.handler(handler));
      const client = await connected(server);
      await client.upgrade();
      await client.until(() => client.received.length >= 4);
      expect([...client.received.subarray(0, 4)]).toEqual([0x88, 2, 0x03, 0xf3]);
      expect(reported).toEqual(['Error: mine']);
    }
  });

  it('closes with 1013 when the handler does not catch a BackpressureError', async () => {
    const upgrader = new Upgrader({ report: () => {} });
    const full = new BackpressureError('full');
    const server = await listening(upgrader.handler(() => Promise.reject(full)));
    const client = await connected(server);
    await client.upgrade();
    await client.until(() => client.received.length >= 4);
    expect([...client.received.subarray(0, 4)]).toEqual([0x88, 2, 0x03, 0xf5]);
  });

  it('leaves the connection open when the handler returns', async () => {
    const conns: Conn[] = [];
    const upgrader = new Upgrader();
    const listener = upgrader.handler(async (conn) => void conns.push(conn));
    const server = await listening(listener);
    const client = await connected(server);
    await client.upgrade();
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(conns[0]!.state).toBe('open');
    conns[0]!.terminate();
    await client.closed;
  });

  it.each([
    ['returns', (conn: Conn) => void conn.send('hi')],
    ['settles', async (conn: Conn) => void (await conn.send('hi'))],
  ])('answers a close frame at once when the handler only wrote and %s', async (_, handler) => {
    const conns: Conn[] = [];
    const upgrader = new Upgrader({ closeTimeout: 1_000_000 });
    const listener = upgrader.handler((conn) => {
      conns.push(conn);
      return handler(conn);
    });
    const client = await connected(await listening(listener));
    await client.upgrade();
    client.stream.write(Buffer.concat([masked(1, 'unread'), masked(8, Uint8Array.of(0x03, 0xe8))]));
    await client.closed;
    expect([...client.received]).toEqual([0x81, 2, 0x68, 0x69, 0x88, 2, 0x03, 0xe8]);
    expect(await conns[0]!.closed).toEqual({ code: 1000, reason: '', wasClean: true });
  });

  it('waits for the messages before a close frame while the handler runs', async () => {
    let start = (): void => {};
    const upgrader = new Upgrader();
    const listener = upgrader.handler(async (conn) => {
      await new Promise<void>((resolve) => (start = resolve));
      await conn.receive((message) => conn.send(message));
    });
    const client = await connected(await listening(listener));
    await client.upgrade();
    client.stream.write(Buffer.concat([masked(1, 'hi'), masked(8, Uint8Array.of(0x03, 0xe8))]));
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(client.received.length).toBe(0);
    start();
    await client.closed;
    expect([...client.received]).toEqual([0x81, 2, 0x68, 0x69, 0x88, 2, 0x03, 0xe8]);
  });

  it('answers refusals without a rejection', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({ report: (error) => reported.push(error) });
    const server = await listening(upgrader.handler(() => {}));
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.status).toBe(400);
    expect(reported).toEqual([]);
  });

  it('reports the errors of the option functions', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({
      report: (error) => reported.push(String(error)),
      checkOrigin: () => Promise.reject(new Error('mine')),
    });
    const server = await listening(upgrader.handler(() => {}));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(reported).toEqual(['Error: mine']);
  });

  it('does not report that a connection ended badly', async () => {
    const reported: unknown[] = [];
    const ended = new EventEmitter();
    const upgrader = new Upgrader({ report: (error) => reported.push(error) });
    const listener = upgrader.handler(async (conn) => {
      void conn.closed.then(() => ended.emit('closed'));
      for await (const _ of conn);
    });
    const server = await listening(listener);
    const client = await connected(server);
    await client.upgrade();
    const closed = once(ended, 'closed');
    client.stream.resetAndDestroy();
    await closed;
    expect(reported).toEqual([]);
  });

  it('does not report a 500 that authenticate chose', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({
      report: (error) => reported.push(error),
      authenticate: () => ({ refuse: 500 }),
    });
    const server = await listening(upgrader.handler(() => {}));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(reported).toEqual([]);
  });

  it('names a check that threw undefined', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({
      report: (error) => reported.push(String(error)),
      authenticate: () => Promise.reject(undefined),
    });
    const server = await listening(upgrader.handler(() => {}));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(reported).toEqual(['HandshakeError: websocket: 500: authenticate failed']);
  });

  it.each([
    { says: 'a string', thrown: 'mine', message: 'mine' },
    { says: 'an error', thrown: new Error('mine'), message: 'Error: mine' },
    { says: 'a symbol', thrown: Symbol('mine'), message: 'Symbol(mine)' },
    {
      says: 'what cannot be made a string',
      thrown: Object.create(null),
      message: 'Object {}',
    },
  ])('emits a warning by default, for $says', async ({ thrown, message }) => {
    const upgrader = new Upgrader();
    const server = await listening(
      upgrader.handler(() => {
        throw thrown;
      }),
    );
    // Tests of this process before it may have reported more errors than are printed in a second.
    const warnings: string[] = [];
    const warn = (warning: Error): void => {
      const [first] = warning.message.split('\n');
      warnings.push(first!.replace(/ \(errors not printed before it: \d+\)$/, ''));
    };
    process.on('warning', warn);
    onTestFinished(() => void process.off('warning', warn));
    const client = await connected(server);
    await client.upgrade();
    await expect.poll(() => warnings).toContain(message);
  });

  it.each([
    {
      says: 'throws',
      mine: new Error('mine'),
      report: (): unknown => {
        throw new Error('no report');
      },
    },
    {
      says: 'rejects',
      mine: new Error('mine'),
      report: (): unknown => Promise.reject(new Error('no report')),
    },
  ])(
    'emits warnings for a report that $says, and for the error that it got',
    async ({ mine, report }) => {
      const upgrader = new Upgrader({
        report,
        checkOrigin: () => {
          throw mine;
        },
      });
      const server = await listening(upgrader.handler(() => {}));
      const warnings: string[] = [];
      const warn = ({ message }: Error): void => {
        if (/^Error: (mine|no report)/.test(message)) warnings.push(message);
      };
      process.on('warning', warn);
      onTestFinished(() => void process.off('warning', warn));
      expect((await exchange(server.port, request())).status).toBe(500);
      const text = (error: string): RegExp => new RegExp(`^${error}(?: \\([^)]*\\))?\n {4}at `);
      await expect
        .poll(() => warnings)
        .toEqual(
          ['Error: mine', 'Error: no report'].map((each) => expect.stringMatching(text(each))),
        );
    },
  );

  it.each([
    { says: 'no options', options: {} },
    {
      says: 'functions that are synchronous',
      options: { subprotocols: () => undefined, clientAddress: () => 'ada' },
    },
    {
      says: 'functions that return no promise',
      options: {
        checkOrigin: () => true,
        authenticate: () => admit('ada'),
        headers: () => ({ 'X-A': 'b' }),
      },
    },
  ])("runs within the 'upgrade' event with $says", async ({ options }) => {
    const upgrader = new Upgrader(options);
    const steps: string[] = [];
    const listener = upgrader.handler(() => void steps.push('handler'));
    const server = await listening((req, socket, head) => {
      listener(req, socket, head);
      steps.push('end of the event');
    });
    const client = await connected(server);
    await client.upgrade();
    expect(steps).toEqual(['handler', 'end of the event']);
    expect(upgrader.stats).toMatchObject({ open: 1, handshakesPending: 0 });
  });

  it("runs after the 'upgrade' event when a function returns a promise", async () => {
    const upgrader = new Upgrader({ checkOrigin: () => Promise.resolve(true) });
    const steps: string[] = [];
    const listener = upgrader.handler(() => void steps.push('handler'));
    const server = await listening((req, socket, head) => {
      listener(req, socket, head);
      steps.push('end of the event');
    });
    const client = await connected(server);
    await client.upgrade();
    expect(steps).toEqual(['end of the event', 'handler']);
  });

  it.each([
    { says: 'receive', read: (conn: Conn) => conn.receive(() => {}) },
    { says: 'discardReads', read: (conn: Conn) => conn.discardReads() },
    {
      says: 'a receive whose promise has another user',
      read: (conn: Conn) => {
        const received = conn.receive(() => {});
        received.catch(() => {});
        return received;
      },
    },
    {
      says: 'a receive of a connection that it terminates',
      read: (conn: Conn) => {
        const received = conn.receive(() => {});
        conn.terminate();
        return received;
      },
    },
    {
      says: 'a receive of a connection that has ended',
      read: async (conn: Conn) => {
        conn.terminate();
        await conn.closed;
        return conn.receive(() => {});
      },
    },
  ])('counts as pending until the promise settles: $says', async ({ read }) => {
    const upgrader = new Upgrader();
    const pending: number[] = [];
    const listener = upgrader.handler(read);
    const server = await listening((req, socket, head) => {
      listener(req, socket, head);
      pending.push(upgrader.stats.handlersPending);
    });
    const client = await connected(server);
    await client.upgrade();
    client.stream.end(masked(8, Uint8Array.of(0x03, 0xe8)));
    await client.closed;
    expect(pending).toEqual([1]);
    expect(await upgrader.close()).toMatchObject({ handlersPending: 0 });
  });

  it('counts every handler that returns the same promise of receive', async () => {
    const upgrader = new Upgrader({ report: () => {} });
    let first: Promise<unknown> | undefined;
    const conns: Conn[] = [];
    const listener = upgrader.handler((conn) => {
      conns.push(conn);
      first ??= conn.receive(() => {});
      return first;
    });
    const server = await listening(listener);
    const clients = [await connected(server), await connected(server), await connected(server)];
    for (const client of clients) await client.upgrade();
    expect(upgrader.stats.handlersPending).toBe(3);
    for (const conn of conns) conn.terminate();
    for (const client of clients) await client.closed;
    expect(await upgrader.close()).toMatchObject({ handlersPending: 0 });
  });

  it('reports the error of a message handler once', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({ report: (error) => reported.push(String(error)) });
    const listener = upgrader.handler((conn) =>
      conn.receive(() => {
        throw new Error('mine');
      }),
    );
    const client = await connected(await listening(listener));
    await client.upgrade();
    client.stream.write(masked(1, 'hi'));
    await client.until(() => client.received.length >= 4);
    expect([...client.received.subarray(0, 4)]).toEqual([0x88, 2, 0x03, 0xf3]);
    client.stream.end(masked(8, Uint8Array.of(0x03, 0xf3)));
    await client.closed;
    expect(await upgrader.close()).toMatchObject({ handlersPending: 0 });
    expect(reported).toEqual(['Error: mine']);
  });

  it('requires a function', () => {
    expect(() => new Upgrader().handler(undefined as never)).toThrow(TypeError);
  });
});
