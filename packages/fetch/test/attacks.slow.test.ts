import { join } from 'node:path';
import { type ClientConn, dial } from '@ws/node-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RawSocket } from './raw-socket.ts';
import { lacksRuntime, RUNTIMES, type Running, start } from './runtimes.ts';

const FOLDER = join(import.meta.dirname, 'attacks');

const RESPONSES = [
  'a Response of another class',
  'Response.error()',
  'a string',
  'undefined',
  'a Response whose body was read',
  'a Response whose body is locked',
  'a Response whose body fails',
  'a mark that is forged',
];

const LOGINS = [
  'throws undefined',
  'rejects with null',
  'returns Response.error()',
  'returns a Response of 200',
  'returns a Response of 200 of another class',
  'returns { status: 401 }',
  'returns a thenable that throws',
  'returns an object whose getter throws',
  'returns a refusal with a bad header',
  'returns a refusal of 200',
  'returns a Response with a body in use',
];

describe.each(RUNTIMES.filter((name) => !lacksRuntime(name)))('an attack on %s', (name) => {
  let program: Running;
  beforeAll(async () => {
    program = await start(name, FOLDER);
  });
  afterEach(async () => {
    // The program survives each attack.
    expect((await fetch(`${program.url}/`)).status).toBe(200);
  });
  afterAll(() => program?.stop());

  const open = (path: string): Promise<ClientConn> =>
    dial(`ws://127.0.0.1:${program.port}${path}`, { heartbeat: false });
  const text = async (conn: ClientConn): Promise<string> =>
    (await conn.readMessage({ timeout: 30_000 })).text();

  it.each(RESPONSES)('ends a plain request when fetch returns %s', async (what) => {
    const url = `${program.url}/returns?name=${encodeURIComponent(what)}`;
    const outcome = await fetch(url, { signal: AbortSignal.timeout(30_000) }).then(
      async (response) => [response.status, await response.text().catch(() => 'broken')],
      (error: Error) => error.name,
    );
    expect(outcome).not.toBe('TimeoutError');
  });

  it.each(RESPONSES)('ends a request to upgrade when fetch returns %s', async (what) => {
    const path = `/returns?name=${encodeURIComponent(what)}`;
    const raw = await RawSocket.open(program.port, path);
    const outcome = await raw.until(() =>
      /Content-Length: \d|Transfer-Encoding|204/i.test(raw.head),
    );
    expect(raw.status).not.toBe(101);
    expect(outcome || raw.ended).toBe(true);
    raw.destroy();
  });

  it.each(LOGINS)('refuses when authenticate %s', async (what) => {
    const raw = await RawSocket.open(program.port, `/login?name=${encodeURIComponent(what)}`);
    expect(raw.status).not.toBe(101);
    raw.destroy();
  });

  it('refuses with a Response of another class, and serves one', async () => {
    const path = `/login?name=${encodeURIComponent('returns a Response of another class')}`;
    const raw = await RawSocket.open(program.port, path);
    expect([raw.status, /x-who: (.*)/i.exec(raw.head)?.[1]]).toEqual([401, 'ponyfill']);
    raw.destroy();
    // Workers call `fetch` without a wrapper of ours.
    if (name === 'Workers' || name === 'Durable Object') return;
    const what = encodeURIComponent('a Response of another class');
    const page = await fetch(`${program.url}/returns?name=${what}`);
    expect([page.status, page.headers.get('x-who'), await page.text()]).toEqual([
      200,
      'ponyfill',
      'a page',
    ]);
  });

  it('refuses when a getter of the options throws, or no answer of authenticate comes', async () => {
    const paths = ['/getter', '/waits'];
    const raws = await Promise.all(paths.map((path) => RawSocket.open(program.port, path)));
    expect(raws.map(({ status }) => status)).toEqual([500, 503]);
    for (const raw of raws) raw.destroy();
  });

  it.each(['b,a', 'b, a', 'a ,\tb', 'a,b'])('chooses from the offer %j', async (offer) => {
    const raw = await RawSocket.open(program.port, '/offers', { 'Sec-WebSocket-Protocol': offer });
    expect([raw.status, /sec-websocket-protocol: (.*)/i.exec(raw.head)?.[1]]).toEqual([101, 'b']);
    raw.destroy();
  });

  it.each(['a, a', 'a,a'])('refuses the offer %j', async (offer) => {
    const raw = await RawSocket.open(program.port, '/offers', { 'Sec-WebSocket-Protocol': offer });
    expect(raw.status).toBe(400);
    raw.destroy();
  });

  it.each(['upgrade', 'keep-alive, Upgrade', 'keep-alive,upgrade', 'UPGRADE'])(
    'accepts Connection: %s',
    async (value) => {
      const raw = await RawSocket.open(program.port, '/echo', {
        Connection: value,
        Upgrade: 'WebSocket',
      });
      expect(raw.status).toBe(101);
      raw.destroy();
    },
  );

  it.each(['/throws-now', '/throws-undefined'])('%s closes with 1011', async (path) => {
    const conn = await open(path);
    expect((await conn.closed).code).toBe(1011);
  });

  it('survives a handler that throws after the end', async () => {
    const conn = await open('/throws-later');
    await conn.close();
    conn.terminate();
    expect((await open('/echo')).state).toBe('open');
  });

  it('survives calls that no one awaits', async () => {
    const conn = await open('/unawaited');
    expect((await conn.closed).code).toBe(4000);
  });

  it('a write that is awaited waits for a client that does not read', async () => {
    const raw = await RawSocket.open(program.port, '/awaited');
    raw.socket.pause();
    raw.send(1, 'go');
    let last = -1;
    for (let same = 0; same < 10; same++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { awaited } = await written(program);
      if (awaited !== last) same = 0;
      last = awaited;
    }
    // What the kernel holds, and 64 KiB.
    expect(last).toBeLessThan(400);
    raw.socket.removeAllListeners('data').resume();
    await expect.poll(async () => (await written(program)).awaited, { timeout: 30_000 }).toBe(500);
    raw.destroy();
  });

  it('writes that no one awaits reject above maxBufferedAmount', async () => {
    const raw = await RawSocket.open(program.port, '/unawaited-writes');
    raw.socket.pause();
    raw.send(1, 'go');
    await expect
      .poll(async () => (await written(program)).errors['BackpressureError'])
      .toBeGreaterThan(300);
    expect(raw.ended).toBe(false);
    raw.destroy();
  });

  it('reads all of a client that does not wait', async () => {
    const conn = await open('/slow');
    expect(await text(conn)).toBe('ready');
    const part = new Uint8Array(32 * 1024);
    let last = '';
    const reading = conn
      .receive((message) => {
        const got = message.text();
        last = got;
        if (got.startsWith('read')) void conn.close();
      })
      .catch(() => {});
    const COUNT = name === 'Bun' || name === 'Node' ? 1_000 : 200;
    for (let i = 0; i < COUNT; i++) {
      await conn.send(part);
    }
    await conn.send('last');
    await reading;
    expect([last, await conn.closed.then(({ code }) => code)]).toEqual([`read ${COUNT + 1}`, 1000]);
  });

  it('gives messages in their order to a slow loop', async () => {
    const conn = await open('/readers');
    for (let i = 0; i < 200; i++) await conn.send(String(i));
    expect(await text(conn)).toBe('true');
    await conn.close();
  });
});

async function written({ url }: Running): Promise<Written> {
  return (await fetch(`${url}/written`)).json() as Promise<Written>;
}

interface Written {
  readonly awaited: number;
  readonly errors: Readonly<Record<string, number>>;
}
