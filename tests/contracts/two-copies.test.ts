// An application may have two versions of the packages, or an ES module beside a CommonJS bundle.
import * as browser from '@ws/browser';
import * as conn from '@ws/conn';
import { ReconnectingConn } from '@ws/reconnect';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';

vi.resetModules();
const other = await import('@ws/conn');
const { BadHandshakeError } = await import('@ws/node-client');
const { BackpressureError: BackpressureErrorOfBrowser } = await import('@ws/browser');

describe('B6-6 two copies of the packages', () => {
  it('have classes of their own', () => {
    expect(Object.is(other.CloseError, conn.CloseError)).toBe(false);
    expect(Object.is(other.Conn, conn.Conn)).toBe(false);
  });

  it('know the errors of each other by class', () => {
    const errors = [
      new other.CloseError(4001, 'bye'),
      new other.CloseSentError(),
      new other.WriteClosedError(),
      new other.BackpressureError('full'),
      new other.TimeoutError('late'),
      new other.TransportError('reset'),
      new other.ReadLimitError(10),
      new other.ProtocolError(1002, ['RSV1 set']),
    ];
    const classes = [
      conn.CloseError,
      conn.CloseSentError,
      conn.WriteClosedError,
      conn.BackpressureError,
      conn.TimeoutError,
      conn.TransportError,
      conn.ReadLimitError,
      conn.ProtocolError,
    ];
    const known = errors.map((error) => classes.map((Class) => error instanceof Class));
    expect(known).toEqual(errors.map((_, i) => classes.map((_class, j) => i === j)));
    expect(errors.every((error) => error instanceof conn.WebSocketError)).toBe(true);
    expect(BackpressureErrorOfBrowser).toBe(other.BackpressureError);
  });

  it('know a class that only one of them has', () => {
    class OwnError extends conn.CloseError {}
    const error = new other.CloseError(1000);
    expect(error instanceof OwnError).toBe(false);
    expect(new OwnError(1000) instanceof other.CloseError).toBe(true);
    expect(error instanceof browser.UnsupportedError).toBe(false);
    expect(Object.create(BadHandshakeError.prototype) instanceof conn.WebSocketError).toBe(true);
  });

  it.each(['_PreparedMessage', '__PreparedMessage', 'PreparedMessage'])(
    'name the class as its source does, whatever a bundler calls it: %s',
    async (name) => {
      const [sender] = conn.connPair({ client: { report: () => {} } });
      const Renamed = {
        [name]: class {
          of = 1;
        },
      }[name]!;
      const message = new Renamed() as unknown as conn.PreparedMessage;
      await expect(sender.writePreparedMessage(message)).rejects.toThrow(
        'the PreparedMessage is of another copy of @ws/conn',
      );
    },
  );

  it('are not blamed for another class with the short name of a minifier', async () => {
    const [sender] = conn.connPair({ client: { report: () => {} } });
    const rename = (value: string): object =>
      Object.defineProperty(conn.Message, 'name', { value, configurable: true });
    onTestFinished(() => void rename('Message'));
    rename('e');
    const Short = {
      e: class {
        of = 1;
      },
    }['e'];
    await expect(sender.send(new Short() as unknown as conn.Message)).rejects.toThrow('got Object');
  });

  it('take no other value for an error', () => {
    const throwing = new Proxy({}, { has: () => true });
    const values = [null, undefined, 1, 'CloseError', {}, { name: 'CloseError' }, () => {}];
    for (const value of [...values, new Error('x'), throwing]) {
      expect(value instanceof conn.CloseError).toBe(false);
    }
  });

  it('test codes alike', () => {
    const error = new other.CloseError(4001, 'bye');
    expect(conn.isCloseError(error)).toBe(true);
    expect(conn.isCloseError(error, 4001)).toBe(true);
    expect(conn.isCloseError(error, 1000)).toBe(false);
    expect(conn.isUnexpectedCloseError(error, 1000)).toBe(true);
  });

  it('close with 1013 for a BackpressureError of a handler', async () => {
    const [client, server] = conn.connPair();
    void server.receive(() => {
      throw new other.BackpressureError('full');
    });
    await client.send('a');
    expect((await client.closed).code).toBe(1013);
  });

  it('say so when an object of one cannot be used by the other', async () => {
    const [client, server] = conn.connPair();
    const [ofOther] = other.connPair();
    const message = new other.Message(other.TextMessage, new Uint8Array(1), other.portablePlatform);
    const prepared = new other.PreparedMessage(other.TextMessage, 'a');
    const text = 'of another copy of @ws/conn';
    await expect(client.send(message as never)).rejects.toThrow(`send: the Message is ${text}`);
    await expect(client.writePreparedMessage(prepared as never)).rejects.toThrow(
      `writePreparedMessage: the PreparedMessage is ${text}`,
    );
    expect(() => conn.broadcast([client], prepared as never)).toThrow(
      `broadcast: the PreparedMessage is ${text}`,
    );
    expect(() => conn.broadcast([ofOther as never], 'a')).toThrow(`broadcast: the Conn is ${text}`);
    await expect(client.send(server as never)).rejects.toThrow('got Object');
    let borrowed: Promise<unknown> | undefined;
    const [a, b] = other.connPair();
    void b.receive((each) => {
      borrowed = client.send(each as never).catch(String);
    });
    await a.send('a');
    await vi.waitFor(() => expect(borrowed).toBeDefined());
    expect(await borrowed).toContain(`send: the BorrowedMessage is ${text}`);
  });
});

describe('B6-6 a ReconnectingConn over connections of another copy', () => {
  const servers: InstanceType<typeof other.Conn>[] = [];
  const live = new ReconnectingConn(
    () => {
      const [client, server] = other.connPair();
      servers.push(server);
      return Promise.resolve(client);
    },
    { minDelay: 1, maxDelay: 2 },
  );

  afterAll(() => live.close());

  const messages = live[Symbol.asyncIterator]();
  const read = async (): Promise<string> => (await messages.next()).value!.text();

  it('reads, sends, and dials again after a break', async () => {
    const reading = read();
    await vi.waitFor(() => expect(servers).toHaveLength(1));
    await servers[0]!.send('one');
    expect(await reading).toBe('one');
    const next = read();
    servers[0]!.terminate();
    await vi.waitFor(() => expect(servers).toHaveLength(2));
    await servers[1]!.send('two');
    expect(await next).toBe('two');
    const sent = live.send('three');
    expect((await servers[1]!.readMessage()).text()).toBe('three');
    await sent;
  });

  it('keeps the bytes of messages that wait for their reader', async () => {
    await servers[1]!.send('kept');
    await servers[1]!.send('KEPT');
    expect(await read()).toBe('kept');
    expect(await read()).toBe('KEPT');
  });
});
