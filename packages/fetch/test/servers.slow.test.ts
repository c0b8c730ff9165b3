import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type BadHandshakeError, type ClientConn, dial } from '@ws/node-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawSocket } from './raw-socket.ts';
import { lacksRuntime, type Running, type RuntimeName, start } from './runtimes.ts';

const FOLDER = join(import.meta.dirname, 'servers');
let program: Running;

/** Starts the servers of one process, until the tests of the runtime end. */
function servers(runtime: RuntimeName): void {
  beforeAll(async () => {
    program = await start(runtime, FOLDER);
  });
  afterAll(async () => {
    expect(await (await fetch(program.url)).text()).toBe('lives');
    await program.stop();
  });
}

const portOf = (server: string): number =>
  Number(new RegExp(`^${server} (\\d+)`, 'm').exec(program.output())?.[1]);

const open = (server: string, path = '/'): Promise<ClientConn> =>
  dial(`ws://127.0.0.1:${portOf(server)}${path}`, { heartbeat: false });

const refusal = (server: string): Promise<BadHandshakeError> =>
  open(server).then(
    () => expect.unreachable('it was upgraded'),
    (error: BadHandshakeError) => error,
  );

async function echoes(conn: ClientConn, data: string): Promise<void> {
  await conn.send(data);
  expect((await conn.readMessage()).text()).toBe(data);
  await conn.close();
}

describe.skipIf(lacksRuntime('Bun'))('servers of one process on Bun', () => {
  servers('Bun');

  it('upgrades in a route beside the wrapper, before and after a page', async () => {
    for (let i = 0; i < 3; i++) {
      await echoes(await open('routes', '/chat'), 'hello');
      const page = await fetch(`http://127.0.0.1:${portOf('routes')}/`);
      expect(await page.text()).toBe('page');
    }
  });

  it('upgrades without a wrapper by the option server', async () => {
    await echoes(await open('unwrapped'), 'hello');
  });

  it('answers 500 without a wrapper and without the option server', async () => {
    const { status, headers } = await refusal('unwrappedWithoutServer');
    expect([status, headers['x-ws-upgrade']]).toEqual([500, undefined]);
  });

  it('has the maxPayloadLength of each server', async () => {
    await echoes(await open('large'), 'x'.repeat(3 * 2 ** 20));
    expect((await refusal('tooLarge')).status).toBe(500);
    await expect
      .poll(() => program.output())
      .toMatch(/readLimit: expected at most 1048576, .*maxPayloadLength/);
  });

  it('closes with 1011 when the server takes less than readLimit, without a wrapper', async () => {
    expect((await (await open('tooLargeUnwrapped')).closed).code).toBe(1011);
  });

  it('lowers the default of readLimit to what the server takes', async () => {
    await echoes(await open('small'), 'x'.repeat(1000));
    const conn = await open('small');
    await conn.send('x'.repeat(1001));
    expect((await conn.closed).code).toBe(1009);
  });

  it.each(['own', 'ownWithoutData'])(
    'closes a WebSocket of the application with 1011 and reports the first one (%s)',
    async (server) => {
      for (let i = 0; i < 2; i++) {
        const raw = await RawSocket.open(portOf(server), '/');
        raw.send(1, 'hello');
        raw.send(9, 'ping');
        expect([raw.status, await raw.closeCode()]).toEqual([101, 1011]);
        raw.destroy();
      }
      // The other server has reported the same error within this second, or before it.
      await expect
        .poll(() => {
          const report = /TypeError: a WebSocket was opened without upgrade/g;
          return program.output().match(report)?.length;
        })
        .toBeOneOf([1, server === 'own' ? 1 : 2]);
    },
  );

  it('reports once that the Response of upgrade was not returned', forgotten);
});

describe.skipIf(lacksRuntime('Deno'))('servers of one process on Deno', () => {
  servers('Deno');

  it('upgrades on the server with a wrapper only', async () => {
    const page = await fetch(`http://127.0.0.1:${portOf('wrapped')}/`);
    expect(await page.text()).toBe('page');
    await echoes(await open('wrapped'), 'hello');
    const { status, body } = await refusal('unwrapped');
    expect([status, String(body)]).toEqual([
      500,
      expect.stringContaining('needs the wrapper deno'),
    ]);
  });

  it('reports once that the Response of upgrade was not returned', forgotten);
});

describe.each(['Node', 'Bun', 'Deno'] as const)('pages and logins on %s', (name) => {
  describe.skipIf(lacksRuntime(name))('by the wrapper', () => {
    servers(name);

    const page = (server: string, init?: RequestInit): Promise<Response> =>
      fetch(`http://127.0.0.1:${portOf(server)}/`, init);

    it('refuses with the decompressed Response of another server', async () => {
      const { status, body, headers } = await refusal('login');
      expect([status, String(body)]).toEqual([401, 'who are you?']);
      expect(headers['www-authenticate']).toBe('Bearer');
    });

    it('passes the compressed Response of another server on', async () => {
      const response = await page('passedOn');
      expect([response.status, await response.text()]).toEqual([401, 'who are you?']);
    });

    const bodiesOf = async (...requests: string[]): Promise<unknown[]> => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const results = [];
      for (const each of requests) {
        const [method, path] = each.split(' ');
        const port = portOf('bodies');
        const sent = request({ host: '127.0.0.1', port, path, method, agent }).end();
        const [res] = (await once(sent, 'response')) as [IncomingMessage];
        const chunks = await res.setEncoding('utf8').toArray();
        results.push([res.statusCode, chunks.join('')]);
      }
      agent.destroy();
      return results;
    };

    it.each([
      ['/long', 200, 'hello world'],
      ['/short', 200, 'hi'],
      ['/none', 200, ''],
      ['/204', 204, ''],
      ['/304', 304, ''],
      ['/stream', 200, 'hello world'],
    ])('sends the body of %s whole, whatever its Content-Length says', async (path, ...seen) => {
      const requests = [`GET ${path}`, `HEAD ${path}`, 'GET /short'];
      expect(await bodiesOf(...requests)).toEqual([seen, [seen[0], ''], [200, 'hi']]);
    });

    it('sends a Response once, and answers 500 then', async () => {
      const [first, second] = (await bodiesOf('GET /kept', 'GET /kept')) as [number, string][];
      expect([first, second![0]]).toEqual([[200, 'page'], 500]);
    });

    it('prints few of the errors that strangers cause', async () => {
      const before = program.output().length;
      const clients = Array.from({ length: 100 }, async () => {
        const conn = await open('bodies', '/json');
        await conn.send('x');
        expect((await conn.closed).code).toBe(1011);
      });
      await Promise.all(clients);
      const printed =
        program
          .output()
          .slice(before)
          .match(/SyntaxError/g) ?? [];
      expect(printed.length).toBeLessThan(50);
    });

    it('answers requests whose body fetch does not read', async () => {
      const body = new Uint8Array(2 ** 21);
      for (let i = 0; i < 3; i++) {
        const response = await page('unread', { method: 'POST', body });
        expect([response.status, await response.text()]).toEqual([401, 'no']);
      }
    });

    it('reports no client that breaks its upload', async () => {
      const before = program.output().length;
      const socket = connect(portOf('upload'), '127.0.0.1');
      const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n';
      socket.write(`${head}${'x'.repeat(10_000)}`);
      await expect.poll(() => program.output()).toContain('an upload begins');
      socket.resetAndDestroy();
      await expect.poll(() => program.output()).toContain('an upload broke');
      const whole = await page('upload', { method: 'POST', body: 'x'.repeat(1000) });
      expect(await whole.text()).toBe('1000');
      expect(program.output().slice(before)).not.toContain('Error');
    });
  });
});

async function forgotten(): Promise<void> {
  for (let i = 0; i < 3; i++) expect((await refusal('forgotten')).status).toBe(200);
  await expect
    .poll(() => program.output().match(/TypeError: the Response of upgrade\(\) was not returned/g))
    .toHaveLength(1);
}
