import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { type Conn, TransportError, Upgrader, type UpgraderOptions } from '../../src/index.ts';
import { masked, type RawPeer, type RequestChange, request, TestServer } from '../raw.ts';
import { connected, endAfterEach, servers } from '../upgrade-server.ts';

endAfterEach();

describe('an upgrade pipelined after other requests', () => {
  const plain = (path: string): Buffer => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  /**
   * Starts a server with one pending plain request of path /n for each `n`, followed by an upgrade.
   */
  async function pipelined(
    options: UpgraderOptions,
    paths: readonly string[],
    change?: RequestChange,
  ): Promise<{ server: TestServer; client: RawPeer; responses: ServerResponse[] }> {
    const responses: ServerResponse[] = [];
    const server = await new TestServer(new Upgrader(options), (_req, res) => {
      responses.push(res);
    }).listen();
    servers.push(server);
    const upgrade = once(server.http, 'upgrade');
    const client = await connected(server);
    client.stream.write(Buffer.concat([...paths.map(plain), request(change)]));
    await upgrade;
    return { server, client, responses };
  }

  it('is answered after them, in order', async () => {
    const { server, client, responses } = await pipelined({}, ['/1', '/2'], {
      behind: masked(1, 'hello'),
    });
    const [first, second] = responses as [ServerResponse, ServerResponse];
    second.end('second');
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.received.length).toBe(0);
    first.end('first');
    const conn = (await server.outcome()) as Conn;
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.send('bye');
    await client.until(() => client.received.includes('bye'));
    expect(client.received.toString('latin1')).toMatch(/first[^]*second[^]* 101 [^]*\x81\x03bye$/);
  });

  it('lets a large response before it go on after backpressure', async () => {
    const { server, client, responses } = await pipelined({}, ['/1', '/2']);
    const [first, second] = responses as [ServerResponse, ServerResponse];
    for (const response of [first, second]) {
      const drained = once(response, 'drain');
      client.stream.pause();
      while (response.write('x'.repeat(65_536)));
      client.stream.resume();
      await drained;
      response.end('end of it');
    }
    await server.outcome();
    await client.until(() => client.received.includes(' 101 '));
    expect(client.received.toString('latin1')).toMatch(/end of it[^]*end of it[^]* 101 /);
  });

  it('is refused after them', async () => {
    const { server, client, responses } = await pipelined({}, ['/1'], {
      add: ['Origin: https://evil.example'],
    });
    responses[0]!.end('first');
    expect(await server.outcome()).toMatchObject({ status: 403 });
    await client.closed;
    expect(client.received.toString('latin1')).toMatch(/first[^]* 403 /);
  });

  it('is dropped without an answer when they take too long', async () => {
    const { server, client } = await pipelined({ handshakeTimeout: 20 }, ['/1']);
    expect(await server.outcome()).toMatchObject({ status: 503 });
    await client.closed;
    expect(client.received.length).toBe(0);
  });

  it('fails when its client resets after more early bytes than are read', async () => {
    const { server, client } = await pipelined({}, ['/1'], { behind: Buffer.alloc(200_000) });
    const outcome = server.outcome();
    client.stream.resetAndDestroy();
    expect(await outcome).toBeInstanceOf(TransportError);
  });

  it.each([
    { says: 'a limit is reached', maxHandshakes: 1, fault: false, status: 503 },
    { says: 'the limits cannot be determined', maxHandshakes: 2, fault: true, status: 500 },
  ])('is refused after them when $says', async ({ maxHandshakes, fault, status }) => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      maxHandshakes,
      limits: [{ by: 'address', connections: 1 }],
      clientAddress: (req) => {
        if (fault && req.url === '/chat') throw new Error('mine');
        return undefined;
      },
      authenticate: () => {
        asked.emit('asked');
        return new Promise<never>(() => {});
      },
    });
    const responses: ServerResponse[] = [];
    const server = await new TestServer(upgrader, (_req, res) => {
      responses.push(res);
    }).listen();
    servers.push(server);
    const other = await connected(server);
    const waits = once(asked, 'asked');
    other.stream.write(request({ line: 'GET /other HTTP/1.1' }));
    await waits;
    const upgrade = once(server.http, 'upgrade');
    const client = await connected(server);
    client.stream.write(Buffer.concat([plain('/1'), request()]));
    await upgrade;
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.received.length).toBe(0);
    responses[0]!.end('first');
    await client.closed;
    expect(client.received.toString('latin1')).toMatch(new RegExp(`first[^]* ${status} `));
    expect(await server.outcome()).toMatchObject({ status });
  });

  it('is dropped when it exceeds a limit and they take too long', async () => {
    const { server, client } = await pipelined(
      {
        handshakeTimeout: 20,
        limits: [{ by: 'address', connections: 1 }],
        clientAddress: () => {
          throw new Error('mine');
        },
      },
      ['/1'],
    );
    await client.closed;
    expect(client.received.length).toBe(0);
    expect(await server.outcome()).toMatchObject({ status: 500 });
  });

  it('is not served when the connection ends with the last of them', async () => {
    const { server, client, responses } = await pipelined({}, ['/1']);
    responses[0]!.setHeader('Connection', 'close').end('first');
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    await client.closed;
    expect(client.received.toString('latin1')).toMatch(/first$/);
  });

  it('does not time out as an idle connection while a check is awaited', async () => {
    const timeouts: unknown[] = [];
    const { server, responses } = await pipelined(
      { authenticate: (req) => void timeouts.push(req.socket.timeout) },
      ['/1'],
    );
    responses[0]!.end('first');
    await server.outcome();
    expect(timeouts).toEqual([0]);
  });
});
