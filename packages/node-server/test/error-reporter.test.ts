import { describe, expect, it, onTestFinished } from 'vitest';
import {
  CloseError,
  CloseSentError,
  type Conn,
  connPair,
  isCloseError,
  type ServeOptions,
  serve,
  TransportError,
} from '../src/index.ts';
import { masked, RawClient, trapLeftovers, trapUncaught } from './raw.ts';

trapUncaught();
trapLeftovers();

/** Runs `handler` for a client that does what `act` says, and gives what is reported by the connection's end. */
async function reportedOf(
  handler: (conn: Conn) => unknown,
  act: (client: RawClient) => unknown = () => {},
  options: ServeOptions = {},
): Promise<unknown[]> {
  const reported: unknown[] = [];
  let settled!: (work: Promise<unknown>) => void;
  const work = new Promise<unknown>((resolve) => {
    settled = resolve;
  });
  const server = await serve(
    { host: '127.0.0.1', ...options, report: (error) => reported.push(error) },
    (conn) => {
      const result = Promise.resolve(handler(conn));
      settled(
        result.then(
          () => conn.closed,
          () => conn.closed,
        ),
      );
      return result;
    },
  );
  onTestFinished(() => server.close({ timeout: 1 }));
  const client = await RawClient.connect(Number(new URL(server.url).port));
  onTestFinished(() => void client.socket.destroy());
  await client.upgrade();
  await act(client);
  // A close frame is the last that comes.
  await client.until(() => client.received.includes(0x88));
  client.socket.end();
  await work;
  // What is compared with the end of the connection is told right behind it.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  return reported;
}

const badFrame = (client: RawClient): unknown =>
  client.socket.write(Buffer.from([0xa1, 0x80, 0, 0, 0, 0]));
const readAll = async (conn: Conn): Promise<void> => {
  for await (const _ of conn);
};

describe('report', () => {
  it.each<[string, (conn: Conn) => unknown, ((client: RawClient) => unknown)?]>([
    [
      'ReadPendingError',
      (conn) => {
        void conn.readMessage();
        return conn.readMessage();
      },
    ],
    [
      'WriteClosedError',
      async (conn) => {
        const writer = await conn.nextWriter(1);
        await writer.close();
        await writer.write('late');
      },
    ],
    ['JSONError', (conn) => conn.readJSON(), (client) => client.socket.write(masked(1, '{'))],
    ['TimeoutError', (conn) => conn.readMessage({ timeout: 5 })],
    ['TransportError', () => Promise.reject(new TransportError('no backend'))],
    ['CloseSentError', () => Promise.reject(new CloseSentError())],
    ['CloseError', () => Promise.reject(new CloseError(1006, 'unexpected EOF'))],
  ])('is told of a %s', async (name, handler, act) => {
    const reported = await reportedOf(handler, act);
    expect(reported.map((error) => (error as Error).name)).toEqual([name]);
  });

  it('is told how another connection has ended, though this one ended too', async () => {
    const [near, far] = connPair();
    const reported = await reportedOf(
      async (conn) => {
        await conn.closed;
        await far.close(4000, 'backend');
        await near.readMessage();
      },
      (client) => client.socket.resetAndDestroy(),
    );
    expect(reported.map((error) => isCloseError(error, 4000))).toEqual([true]);
  });

  it.each<[string, (conn: Conn) => unknown, (client: RawClient) => unknown, ServeOptions?]>([
    ['a reset', readAll, (client) => client.socket.resetAndDestroy()],
    ['a FIN', readAll, (client) => client.socket.end()],
    ['a close', (conn) => conn.readMessage(), (client) => client.socket.write(masked(8, ''))],
    ['a bad frame', readAll, badFrame],
    ['a message too long', readAll, (c) => c.socket.write(masked(1, 'long')), { readLimit: 2 }],
    [
      'a read deadline',
      (conn) => {
        conn.setReadDeadline(Date.now() - 1);
        return conn.readMessage();
      },
      () => {},
    ],
    [
      'a write behind our close',
      async (conn) => {
        void conn.close();
        await conn.send('late');
      },
      () => {},
    ],
    [
      'a write to a connection that is gone',
      async (conn) => {
        await conn.closed;
        await conn.send('late');
      },
      (client) => client.socket.resetAndDestroy(),
    ],
    [
      'a ping that is not answered',
      (conn) => conn.ping(),
      (client) => client.socket.resetAndDestroy(),
    ],
    [
      'a writer that the end has cut',
      async (conn) => {
        const writer = await conn.nextWriter(1);
        await conn.closed;
        await writer.write('late');
      },
      (client) => client.socket.resetAndDestroy(),
    ],
  ])('is not told of %s', async (_, handler, act, options) => {
    expect(await reportedOf(handler, act, options)).toEqual([]);
  });
});
