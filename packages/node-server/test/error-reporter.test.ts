import { describe, expect, it, onTestFinished } from 'vitest';
import {
  CloseError,
  CloseSentError,
  type Conn,
  connPair,
  isCloseError,
  type ServeOptions,
  type ServerReportContext,
  TransportError,
} from '../src/index.ts';
import { connectRaw, masked, type RawPeer, request, serving, trapLeftovers } from './raw.ts';

trapLeftovers();

/**
 * Runs `handler` for a client that does what `act` says, and gives what is reported by the
 * connection's end.
 */
async function reportedOf(
  handler: (conn: Conn) => unknown,
  act: (client: RawPeer) => unknown = () => {},
  options: ServeOptions = {},
): Promise<unknown[]> {
  const reported: unknown[] = [];
  let settled!: (work: Promise<unknown>) => void;
  const work = new Promise<unknown>((resolve) => {
    settled = resolve;
  });
  const server = await serving({ ...options, report: (error) => reported.push(error) }, (conn) => {
    const result = Promise.resolve(handler(conn));
    settled(
      result.then(
        () => conn.closed,
        () => conn.closed,
      ),
    );
    return result;
  });
  const client = await connectRaw(server.port);
  onTestFinished(() => void client.stream.destroy());
  await client.upgrade();
  await act(client);
  // A close frame is the last frame. After a reset there is none.
  await client.until(() => client.received.includes(0x88)).catch(() => {});
  client.stream.end();
  await work;
  // Errors that are compared with the end of the connection are reported right after it.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  return reported;
}

const badFrame = (client: RawPeer): unknown =>
  client.stream.write(Buffer.from([0xa1, 0x80, 0, 0, 0, 0]));
const readAll = async (conn: Conn): Promise<void> => {
  for await (const _ of conn);
};

describe('report', () => {
  it.each<[string, (conn: Conn) => unknown, ((client: RawPeer) => unknown)?]>([
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
    ['JSONError', (conn) => conn.readJSON(), (client) => client.stream.write(masked(1, '{'))],
    ['TimeoutError', (conn) => conn.readMessage({ timeout: 5 })],
    ['TransportError', () => Promise.reject(new TransportError('no backend'))],
    ['CloseSentError', () => Promise.reject(new CloseSentError())],
    ['CloseError', () => Promise.reject(new CloseError(1006, 'unexpected EOF'))],
  ])('gets a %s', async (name, handler, act) => {
    const reported = await reportedOf(handler, act);
    expect(reported.map((error) => (error as Error).name)).toEqual([name]);
  });

  it('gets the end of another connection, though this one ended too', async () => {
    const [near, far] = connPair();
    const reported = await reportedOf(
      async (conn) => {
        await conn.closed;
        await far.close(4000, 'backend');
        await near.readMessage();
      },
      (client) => client.stream.resetAndDestroy(),
    );
    expect(reported.map((error) => isCloseError(error, 4000))).toEqual([true]);
  });

  it.each<[string, (conn: Conn) => unknown, (client: RawPeer) => unknown, ServeOptions?]>([
    ['a reset', readAll, (client) => client.stream.resetAndDestroy()],
    ['a FIN', readAll, (client) => client.stream.end()],
    ['a close', (conn) => conn.readMessage(), (client) => client.stream.write(masked(8, ''))],
    ['a bad frame', readAll, badFrame],
    ['a message too long', readAll, (c) => c.stream.write(masked(1, 'long')), { readLimit: 2 }],
    [
      'a read deadline',
      (conn) => {
        conn.setReadDeadline(Date.now() - 1);
        return conn.readMessage();
      },
      () => {},
    ],
    [
      'a write after our close',
      async (conn) => {
        void conn.close();
        await conn.send('late');
      },
      () => {},
    ],
    [
      'a write to a closed connection',
      async (conn) => {
        await conn.closed;
        await conn.send('late');
      },
      (client) => client.stream.resetAndDestroy(),
    ],
    [
      'a ping that is not answered',
      (conn) => conn.ping(),
      (client) => client.stream.resetAndDestroy(),
    ],
    [
      'a writer that the end has cut',
      async (conn) => {
        const writer = await conn.nextWriter(1);
        await conn.closed;
        await writer.write('late');
      },
      (client) => client.stream.resetAndDestroy(),
    ],
  ])('does not get %s', async (_, handler, act, options) => {
    expect(await reportedOf(handler, act, options)).toEqual([]);
  });

  it.each<[string, (conn: Conn) => unknown, string]>([
    [
      'a `receive` handler that it awaits',
      (conn) =>
        conn.receive(() => {
          throw new Error('mine');
        }),
      'Error: mine',
    ],
    [
      'a write that it awaits',
      (conn) => conn.send({} as never),
      'TypeError: send: expected a string or bytes, got Object; writeJSON sends objects, and options come after the data',
    ],
  ])('gets the error of %s once', async (_, handler, text) => {
    const reported = await reportedOf(handler, (client) => client.stream.write(masked(1, 'x')));
    expect(reported.map(String)).toEqual([text]);
  });

  it('gets the error of authenticate also when the hook `error` throws', async () => {
    const reported: string[] = [];
    const fail = (text: string) => () => {
      throw new Error(text);
    };
    const server = await serving(
      {
        report: (error, { where }) => reported.push(`${where}: ${String(error)}`),
        authenticate: fail('mine'),
        error: fail('hook'),
      },
      () => {},
    );
    const client = await connectRaw(server.port);
    expect((await client.upgrade()).status).toBe(500);
    expect(reported).toEqual(['authenticate: Error: mine', 'upgrade: Error: hook']);
  });

  it('gets where the error was thrown', async () => {
    const contexts: ServerReportContext[] = [];
    const server = await serving(
      {
        report: (_error, context) => void contexts.push(context),
        authenticate: (req) => {
          if (req.url === '/refused') throw new Error('mine');
          return true;
        },
      },
      async (conn) => {
        await conn.ping('x'.repeat(200)).catch(() => {});
        throw new Error('mine');
      },
    );
    for (const path of ['/refused', '/']) {
      const client = await connectRaw(server.port);
      onTestFinished(() => void client.stream.destroy());
      client.stream.write(request({ line: `GET ${path} HTTP/1.1` }));
      const end = path === '/' ? Buffer.from([0x88, 2]) : Buffer.from(' 500 ');
      await client.until(() => client.received.includes(end));
    }
    expect(contexts.map(({ where }) => where)).toEqual(['authenticate', 'ping', 'handler']);
    expect(contexts[0]!.request?.url).toBe('/refused');
    expect(contexts[1]!.conn).toMatchObject({ role: 'server' });
    expect(contexts[2]!.conn).toBe(contexts[1]!.conn);
  });
});
