import { type BadHandshakeError, type ClientConn, type DialOptions, dial } from '@ws/node-client';
import { type Browser, lacksChromium, launchHeadlessShell, type Page } from '@ws/tests/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FEATURE_NAMES, fact, probe } from './features.ts';
import { meet, VISITS, visit } from './pages.ts';
import { RawSocket } from './raw-socket.ts';
import { outcomesOf, record } from './record.ts';
import { lacksRuntime, RUNTIMES, type Running, type RuntimeName, start } from './runtimes.ts';

const NAMES = RUNTIMES.filter((name) => !lacksRuntime(name));
const withoutPages = lacksChromium();

const programs = new Map<RuntimeName, Promise<Running>>();
/** The probes wait for what some runtimes lack. They do so while the other tests run. */
const probes = new Map<RuntimeName, Promise<Record<string, boolean>>>();
let browser: Browser | undefined;
let pages: [Page, Page];

beforeAll(async () => {
  for (const name of NAMES) {
    const program = start(name);
    programs.set(name, program);
    const found = program.then(probe);
    // The test of each feature reports it.
    found.catch(() => {});
    probes.set(name, found);
  }
  if (withoutPages) return;
  browser = await launchHeadlessShell();
  const context = await browser.newContext();
  pages = [await context.newPage(), await context.newPage()];
});
afterAll(async () => {
  await browser?.close();
  for (const result of await Promise.allSettled(programs.values())) {
    if (result.status === 'fulfilled') await result.value.stop();
  }
});

describe.each(NAMES)('one program on %s', (name) => {
  let program: Running;
  beforeAll(async () => {
    program = await programs.get(name)!;
  });

  const open = (path: string, options: DialOptions = {}): Promise<ClientConn> =>
    dial(`ws://127.0.0.1:${program.port}${path}`, { heartbeat: false, ...options });
  const refusal = (path: string, options: DialOptions = {}): Promise<BadHandshakeError> =>
    open(path, options).then(
      () => expect.fail('the handshake was accepted'),
      (error: BadHandshakeError) => error,
    );
  const closeOf = async (conn: ClientConn): Promise<number> => (await conn.closed).code;

  describe('requests', () => {
    it('answers plain requests', async () => {
      const response = await fetch(`${program.url}/`);
      expect([response.status, await response.text()]).toEqual([200, 'hello']);
    });

    it('refuses a plain request to upgrade with 400 or 426', async () => {
      const { status } = await fetch(`${program.url}/echo`);
      expect([400, 426]).toContain(status);
    });

    it('answers a request to upgrade without a route with 404', async () => {
      expect((await refusal('/nothing')).status).toBe(404);
    });

    it('answers a request to upgrade that its fetch answers with 200', async () => {
      expect((await refusal('/')).status).toBe(200);
    });

    it.each([
      ['an old version', 426, { 'Sec-WebSocket-Version': '8' }],
      ['a short key', 400, { 'Sec-WebSocket-Key': 'short' }],
    ])('refuses %s', async (_, status, fields) => {
      const raw = await RawSocket.open(program.port, '/echo', fields);
      raw.destroy();
      // Runtimes check some of that themselves.
      expect([status, 400]).toContain(raw.status);
    });

    it.each(['http://evil.example', 'null', 'http://127.0.0.1.evil.example', 'file://'])(
      'refuses the origin %s with 403',
      async (origin) => {
        expect((await refusal('/echo', { headers: { Origin: origin } })).status).toBe(403);
      },
    );

    it('accepts the origin of the same host', async () => {
      const conn = await open('/echo', { headers: { Origin: program.url } });
      expect(await conn.close()).toMatchObject({ code: 1000 });
    });
  });

  describe('login', () => {
    it('refuses with the status, header and body of authenticate', async () => {
      const { status, headers, body } = await refusal('/login');
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toBe('Bearer');
      expect(String(body)).toContain('who?');
    });

    it('gives the handler the user, and the client the subprotocol and two cookies', async () => {
      const conn = await open('/login', {
        headers: { Authorization: 'Bearer s3cr3t' },
        subprotocols: ['chat', 'chat.v2'],
      });
      expect(await conn.readJSON()).toEqual({
        user: 'ada',
        data: 'ada',
        role: 'server',
        subprotocol: 'chat.v2',
        address: true,
      });
      expect(conn.subprotocol).toBe('chat.v2');
      expect(conn.response.headers['set-cookie']).toEqual(['a=1', 'b=2']);
      await conn.close();
    });

    it('chooses no subprotocol that it does not know', async () => {
      const fields = { 'Sec-WebSocket-Protocol': 'other, more' };
      const raw = await RawSocket.open(program.port, '/echo', fields);
      raw.destroy();
      expect(raw.status).toBe(101);
      expect(raw.head).not.toMatch(/sec-websocket-protocol/i);
    });
  });

  describe('messages', () => {
    it.each(['/echo', '/loop'])('echoes text, bytes and empty messages on %s', async (path) => {
      const conn = await open(path);
      const sent = ['hé😀', '', new Uint8Array([0, 255]), new Uint8Array(0), 'x'.repeat(300_000)];
      for (const data of sent) await conn.send(data);
      for (const data of sent) {
        const message = await conn.readMessage();
        expect(message.isText ? message.text() : message.data).toEqual(data);
      }
      await conn.close();
    });

    it('keeps the order of a thousand messages', async () => {
      const conn = await open('/loop');
      const count = 1000;
      for (let i = 0; i < count; i++) void conn.send(String(i));
      for (let i = 0; i < count; i++) expect((await conn.readMessage()).text()).toBe(String(i));
      await conn.close();
    });

    it('has readJSON, nextReader, nextWriter, stats and timeouts', async () => {
      const conn = await open('/reads');
      await conn.send('{"a":[1]}');
      await conn.send('text');
      expect(await conn.readJSON()).toEqual([{ a: [1] }, 'text']);
      await conn.send('leave');
      expect(await conn.readJSON()).toEqual([3, 1, 0, 'open']);
      expect((await conn.readMessage()).text()).toBe('TimeoutError');
      await conn.close();
    });

    it('sends 8 MiB and gets them back', async () => {
      const conn = await open('/big');
      const data = new Uint8Array(8 * 2 ** 20).fill(7);
      await conn.send(data);
      const message = await conn.readMessage();
      expect(Buffer.compare(message.data, data)).toBe(0);
      await conn.close();
    });
  });

  describe('ends', () => {
    it('closes with 1011 when the handler throws', async () => {
      const conn = await open('/throws');
      await conn.send('go');
      expect(await closeOf(conn)).toBe(1011);
    });

    it('closes with 1011 when the function of receive throws', async () => {
      const conn = await open('/receive-throws');
      await conn.send('go');
      expect(await closeOf(conn)).toBe(1011);
    });

    it('closes with 1009 for a message over readLimit', async () => {
      const conn = await open('/limit');
      await conn.send(new Uint8Array(1000));
      expect((await conn.readMessage()).data.length).toBe(1000);
      await conn.send(new Uint8Array(1001));
      expect(await closeOf(conn)).toBe(1009);
    });

    it.each([
      [1000, ''],
      [1001, 'going'],
      [1008, 'policy'],
      [1013, 'again'],
      [3000, 'thrée'],
      [4999, 'x'.repeat(123)],
    ])('closes with %i', async (code, reason) => {
      const conn = await open('/close');
      await conn.writeJSON([code, reason]);
      const info = await conn.closed;
      expect([info.code, info.reason]).toEqual([code, reason]);
    });

    it.each([999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])(
      'rejects close(%i), and stays open',
      async (code) => {
        const conn = await open('/close');
        await conn.writeJSON([code, '']);
        expect(await conn.readJSON()).toEqual(expect.stringContaining('close'));
        await conn.close();
      },
    );

    it.each([
      [1000, 'bye'],
      [4001, 'own'],
    ])('tells its handler how a client has closed with %i', async (code, reason) => {
      const conn = await open('/watched');
      await conn.readMessage();
      await conn.close(code, reason);
      await expect.poll(async () => ends(program)).toContainEqual({ code, reason, wasClean: true });
    });

    it('tells its handler that a client is gone', async () => {
      const before = (await ends(program)).filter(({ code }) => code === 1006).length;
      const conn = await open('/watched');
      await conn.readMessage();
      conn.terminate();
      const gone = async (): Promise<number> =>
        (await ends(program)).filter(({ code }) => code === 1006).length;
      await expect.poll(gone).toBe(before + 1);
    });
  });

  describe('a client that never answers our close frame', () => {
    const WAYS = ['close', 'terminate', 'throw', 'limit'];
    let raws: RawSocket[];
    beforeAll(async () => {
      raws = await Promise.all(
        WAYS.map(async (how) => {
          const raw = await RawSocket.open(program.port, `/unanswered?how=${how}`);
          raw.send(1, 'x'.repeat(how === 'limit' ? 1001 : 1));
          await raw.closeCode(5_000);
          raw.send(1, 'later');
          return raw;
        }),
      );
    });
    afterAll(() => {
      for (const raw of raws) raw.destroy();
    });

    it.each(WAYS)('ends for the handler in time (%s)', async (how) => {
      const { wasClean, heard } = await fact(program.port, how);
      // Bun does not wait for the answer.
      expect(wasClean).toBe(name === 'Bun' && how !== 'terminate');
      if (how !== 'close') expect(heard).not.toContain('later');
    });

    // The others end the TCP connection.
    it.runIf(name !== 'Node' && name !== 'Bun')('holds no connection in memory', async () => {
      const uncollected = async (): Promise<unknown> =>
        (await fetch(`${program.url}/uncollected`)).json();
      // Deno ends a client that answers no ping after 20 s.
      await expect.poll(uncollected, { timeout: 12_000 }).toBe(0);
    });
  });

  describe('middleware', () => {
    it('adds headers to the 101', async () => {
      const conn = await open('/middleware/headers');
      expect(conn.response.headers['x-middleware']).toBe('was here');
      expect(conn.response.headers['x-ws-upgrade']).toBe(undefined);
      await conn.send('works');
      expect((await conn.readMessage()).text()).toBe('works');
      await conn.close();
    });

    it('of Hono adds headers to the 101 of upgradeWebSocket, which echoes texts and bytes', async () => {
      const conn = await open('/hono');
      expect(conn.response.headers).toMatchObject({
        'x-before': 'was here',
        'x-middleware': 'was here',
      });
      await conn.send('works');
      expect((await conn.readMessage()).text()).toBe('works');
      await conn.send(Uint8Array.of(1, 2, 3));
      expect((await conn.readMessage()).data).toEqual(Uint8Array.of(1, 2, 3));
      await conn.close();
    });

    it('refuses after upgrade, with the headers of its Response', async () => {
      const { status, headers } = await refusal('/middleware/refuses');
      expect([status, headers['x-ws-upgrade']]).toEqual([403, undefined]);
    });

    it('answers 500 when it throws after upgrade, and serves others', async () => {
      expect((await refusal('/middleware/throws')).status).toBe(500);
      expect((await fetch(`${program.url}/`)).status).toBe(200);
    });

    it('may drop the Response of upgrade', async () => {
      expect((await refusal('/dropped')).status).toBe(400);
    });
  });

  describe.skipIf(withoutPages)('a page in Chromium', () => {
    it.each(VISITS)('%s', async (_, options, seen) => {
      expect(await visit(pages[0], program.port, options)).toMatchObject(seen);
    });

    it('tells the handler its close code', async () => {
      await visit(pages[0], program.port, { path: '/watched', want: 1, close: [4003, 'page'] });
      const end = { code: 4003, reason: 'page', wasClean: true };
      await expect.poll(async () => ends(program)).toContainEqual(end);
    });

    // A Worker cannot write to a socket of another request.
    it.skipIf(name === 'Workers')('meets another one in a room', async () => {
      expect(await meet(pages, program.port)).toEqual(['to all', 'to all']);
    });
  });

  it('rejects a readLimit above what the runtime takes', async () => {
    const response = await refusal(`/limits?bytes=${2 ** 40}`).catch(() => undefined);
    if (name === 'Node') expect(response).toBe(undefined);
    else expect([response?.status, String(response?.body)]).toEqual([400, 'RangeError']);
  });
});

describe.each(NAMES)('docs/fetch.md about %s', (name) => {
  it.each(FEATURE_NAMES)('has or lacks: %s', async (feature) => {
    const found = await probes.get(name)!;
    record(name, found);
    expect(found[feature]).toBe(outcomesOf(name)[feature]);
  });
});

async function ends(program: Running): Promise<{ code: number; reason: string }[]> {
  return (await fetch(`${program.url}/ends`)).json() as never;
}
