import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  nothingLeft,
  type RequestChange,
  rawClient,
  request,
  switchingProtocols,
  whenOver,
} from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ProxyError, ProxyOptions } from '../../src/index.ts';
import { type Front, front, openPair, type RawTarget, rawTarget, withClient } from '../support.ts';

/** The URL of a port on which nothing listens. The system gives this one to no other program. */
const DEAD = 'ws://127.0.0.1:1';

async function statusOf({ port }: Front, change: RequestChange = {}): Promise<number> {
  const client = await rawClient(port);
  const { status } = await client.upgrade(change);
  client.destroy();
  await client.closed;
  return status;
}

/**
 * A Unix socket on which nothing listens yet, and what starts a target there. Another program may take
 * a port.
 */
function restarting(
  answer: (head: string) => string | undefined = (head) => switchingProtocols(head),
) {
  const folder = mkdtempSync(join(tmpdir(), 'ws-targets-'));
  whenOver(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'a');
  async function listen(): Promise<() => Promise<unknown>> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => {}));
      socket.once('data', (head) => {
        const text = answer(String(head));
        if (text === undefined) server.emit('silent');
        else socket.write(text);
      });
    });
    whenOver(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const silent = once(server, 'silent');
    server.listen(path);
    await once(server, 'listening');
    return () => silent;
  }
  return { path, url: `ws+unix:${path}:/`, listen };
}

/** Accepts connections at `path`, and ends no TLS handshake. */
async function silentAt(path: string): Promise<Server> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => {})));
  server.listen(path);
  await once(server, 'listening');
  whenOver(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}

const throws = (): never => {
  throw new Error('broken');
};
const rejects = async (): Promise<never> => throws();

async function targets(count: number) {
  return Promise.all(Array.from({ length: count }, () => rawTarget()));
}

describe('several targets', () => {
  nothingLeft();

  it('get requests in turn, by weight', async () => {
    const [a, b] = await targets(2);
    const between = await front([{ url: a!.url, weight: 2 }, b!.url]);
    for (let i = 0; i < 6; i++) expect(await statusOf(between)).toBe(101);
    expect([a!.heads.length, b!.heads.length]).toEqual([4, 2]);
  });

  it.each(['least', 'two-choices'] as const)(
    'get connections evenly with balance: %s',
    async (balance) => {
      const [a, b] = await targets(2);
      const between = await front([a!.url, b!.url], { balance });
      for (let i = 0; i < 4; i++) {
        const client = await rawClient(between.port);
        await client.upgrade();
        await between.next();
      }
      expect(between.proxy.targets.map(({ open }) => open)).toEqual([2, 2]);
    },
  );

  it('keep the keys of sticky, and only those of a target that leaves move', async () => {
    const all = await targets(3);
    const between = await front(
      all.map(({ url }) => url),
      { sticky: (req) => req.headers.cookie },
    );
    const placeOf = async (key: string): Promise<number> => {
      const before = all.map(({ heads }) => heads.length);
      await statusOf(between, { add: [`Cookie: ${key}`] });
      return all.findIndex(({ heads }, i) => heads.length > before[i]!);
    };
    const keys = Array.from({ length: 12 }, (_, i) => `user=${i}`);
    const places: number[] = [];
    for (const key of keys) places.push(await placeOf(key));
    expect(new Set(places).size).toBeGreaterThan(1);
    between.proxy.targets = [all[0]!.url, all[1]!.url];
    for (const [i, key] of keys.entries()) {
      const place = await placeOf(key);
      if (places[i] !== 2) expect(place).toBe(places[i]);
      else expect(place).not.toBe(2);
    }
  });

  it('are tried in turn when one refuses connections, which is down after 3 failures', async () => {
    const [up] = await targets(1);
    const between = await front([DEAD, up!.url], { cooldown: 60_000 });
    for (let i = 0; i < 8; i++) expect(await statusOf(between)).toBe(101);
    expect(between.proxy.targets).toMatchObject([
      { state: 'down', failed: 3 },
      { state: 'up', failed: 0 },
    ]);
  });

  it('are 502 when none accepts connections', async () => {
    const between = await front(DEAD);
    for (let i = 0; i < 5; i++) expect(await statusOf(between)).toBe(502);
    expect(between.proxy.targets).toMatchObject([{ state: 'down', failed: 5 }]);
    expect((between.reported[0] as ProxyError).code).toBe('WS_ERR_PROXY_TARGET');
    expect(String(between.reported[0])).toContain(DEAD);
  });

  it('are asked while all are down, so that one that is back has connections at once', async () => {
    for (const others of [[], [DEAD]]) {
      const { url, listen } = restarting();
      const between = await front([...others, url], { cooldown: 60_000 });
      for (let i = 0; i < 6; i++) expect(await statusOf(between)).toBe(502);
      expect(between.proxy.targets.map(({ state }) => state)).not.toContain('up');
      await listen();
      expect([await statusOf(between), await statusOf(between)]).toEqual([101, 101]);
      expect(between.proxy.targets.at(-1)).toMatchObject({ state: 'up' });
    }
  });

  it('are dialed once at a time while all are down', async () => {
    const { path, url } = restarting();
    const between = await front(`wss${url.slice(2)}`, { cooldown: 60_000 });
    for (let i = 0; i < 3; i++) expect(await statusOf(between)).toBe(502);
    let dials = 0;
    (await silentAt(path)).on('connection', () => dials++);
    for (const expected of [1, 2]) {
      const client = await rawClient(between.port);
      await client.write(request());
      await expect.poll(() => dials).toBe(expected);
      expect(await statusOf(between)).toBe(503);
      expect(String(between.reported.at(-1))).toContain('no target is up');
      // A client that leaves makes room for the next one.
      client.reset();
      await expect.poll(() => between.proxy.targets[0]!.open).toBe(0);
    }
    expect(dials).toBe(2);
  });

  it('stay down when director of a request fails', async () => {
    const director = (req: IncomingMessage): void => {
      if (req.url === '/fails') throw new Error('director');
    };
    const between = await front([DEAD, `${DEAD}/other`], { cooldown: 60_000, director });
    for (let i = 0; i < 6; i++) expect(await statusOf(between)).toBe(502);
    const line = 'GET /fails HTTP/1.1';
    for (let i = 0; i < 2; i++) expect(await statusOf(between, { line })).toBe(500);
    expect(between.proxy.targets.map(({ state }) => state)).toEqual(['down', 'down']);
  });

  it('are dialed by others while director of a request waits', async () => {
    const { url, listen } = restarting();
    let waiting = false;
    const director = (req: IncomingMessage): unknown => {
      if (req.url !== '/slow') return undefined;
      waiting = true;
      return new Promise(() => {});
    };
    const between = await front(url, { cooldown: 60_000, director });
    for (let i = 0; i < 3; i++) expect(await statusOf(between)).toBe(502);
    const slow = await rawClient(between.port);
    await slow.write(request({ line: 'GET /slow HTTP/1.1' }));
    await expect.poll(() => waiting).toBe(true);
    expect(await statusOf(between)).toBe(502);
    await listen();
    expect(await statusOf(between)).toBe(101);
    slow.destroy();
  });

  it('are asked by others while one that is back does not answer a request', async () => {
    const { url, listen } = restarting((head) =>
      head.startsWith('GET /slow ') ? undefined : switchingProtocols(head),
    );
    const between = await front(url, { cooldown: 60_000 });
    for (let i = 0; i < 3; i++) expect(await statusOf(between)).toBe(502);
    const accepted = await listen();
    const slow = await rawClient(between.port);
    await slow.write(request({ line: 'GET /slow HTTP/1.1' }));
    await accepted();
    expect(await statusOf(between)).toBe(101);
    slow.reset();
  });

  it('may be several Unix sockets, with URLs that name them again', async () => {
    const urls = ['ws+unix:/run/a.sock:/', 'wss+unix:/run/b%3A%20c.sock:/live?key=1'];
    const { proxy } = await front([urls[0]!, urls[1]!.replace(':', '://')]);
    expect(proxy.targets.map(({ url }) => url)).toEqual(urls);
    proxy.targets = proxy.targets.map(({ url }) => url);
    expect(proxy.targets.map(({ url }) => url)).toEqual(urls);
  });

  it('keep their options and counts when the list is assigned again, also in part', async () => {
    const [a, b] = await targets(2);
    const between = await front([{ url: a!.url, headers: { 'X-Key': 'own' }, weight: 2 }, b!.url]);
    const { proxied } = await openPair(between, a!);
    const before = between.proxy.targets;
    between.proxy.targets = [before[1]!];
    expect(between.proxy.targets).toEqual([before[1]]);
    between.proxy.targets = before.filter(({ url }) => url === a!.url);
    expect(await statusOf(between)).toBe(101);
    expect(a!.heads[1]).toContain('X-Key: own\r\n');
    between.proxy.targets = [...between.proxy.targets, b!.url];
    for (let i = 0; i < 3; i++) await statusOf(between);
    expect([a!.heads.length, b!.heads.length]).toEqual([4, 1]);
    proxied.terminate();
  });

  it('keep the counts of their open connections when they come back', async () => {
    const [a, b] = await targets(2);
    const between = await front([a!.url, b!.url]);
    const { client, proxied } = await openPair(between, a!);
    const before = between.proxy.targets;
    between.proxy.targets = [b!.url];
    between.proxy.targets = before;
    expect(between.proxy.targets).toMatchObject([{ open: 1 }, { open: 0 }]);
    between.proxy.targets = [b!.url];
    between.proxy.targets = [a!.url];
    expect(between.proxy.targets).toMatchObject([{ open: 1 }]);
    proxied.terminate();
    await client.finish();
    await expect.poll(() => between.proxy.targets[0]!.open).toBe(0);
  });

  it('are not tried again when they are replaced while one is dialed', async () => {
    const [up] = await targets(1);
    const both = [DEAD, up!.url];
    const between: Front = await front(both, {
      director: () => void (between.proxy.targets = both),
    });
    expect(await statusOf(between)).toBe(101);
  });

  it('can be replaced while connections are open', async () => {
    const [a, b] = await targets(2);
    const between = await front(a!.url);
    const { client, target } = await openPair(between, a!);
    between.proxy.targets = [b!.url];
    expect(await statusOf(between)).toBe(101);
    expect([a!.heads.length, b!.heads.length]).toEqual([1, 1]);
    await client.send(1, 'still here');
    expect(await target.sees(1)).toEqual(['text still here']);
    expect(() => void (between.proxy.targets = [])).toThrow('the list is empty');
    expect(between.proxy.targets).toMatchObject([{ url: b!.url }]);
  });
});

describe('a target that accepts connections and never answers', () => {
  nothingLeft();

  const TIMEOUT = 200;

  beforeEach(() => {
    // The clock of the proxy: no request is late because the machine is busy.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    vi.advanceTimersByTime(1);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** @param answers - Whether the first target answers this request. The second answers all. */
  async function withSilent(answers: (head: string) => boolean, options: ProxyOptions = {}) {
    const silent = await rawTarget((head) =>
      answers(head) ? switchingProtocols(head) : undefined,
    );
    const up = await rawTarget();
    const between = await front([silent.url, up.url], {
      handshakeTimeout: TIMEOUT,
      cooldown: 60_000,
      balance: (_, all) => all.find(({ url }) => url === silent.url) ?? all[0]!,
      ...options,
    });
    return { silent, up, between };
  }

  /** Sends a request that `silent` gets, and lets its time pass. */
  async function statusInTime(
    between: Front,
    silent: RawTarget,
    change: RequestChange = {},
  ): Promise<number> {
    // After the last result of the target.
    vi.advanceTimersByTime(1);
    const status = statusOf(between, change);
    await silent.next();
    vi.advanceTimersByTime(TIMEOUT);
    return status;
  }

  it('is down after 3 timeouts in a row while another target is up', async () => {
    const { between, silent } = await withSilent(() => false);
    for (let i = 0; i < 3; i++) expect(await statusInTime(between, silent)).toBe(504);
    for (let i = 0; i < 2; i++) expect(await statusOf(between)).toBe(101);
    expect(between.proxy.targets).toMatchObject([
      { state: 'down', failed: 3 },
      { state: 'up', failed: 0 },
    ]);
    expect(silent.heads).toHaveLength(3);
  });

  it('is asked by one request in each cooldown, until it answers', async () => {
    let hangs = true;
    const { between, silent } = await withSilent(() => !hangs, { cooldown: 1_000 });
    for (let i = 0; i < 3; i++) expect(await statusInTime(between, silent)).toBe(504);
    const stateOf = () => between.proxy.targets[0]!.state;
    expect(stateOf()).toBe('down');
    vi.advanceTimersByTime(1_000);
    expect(stateOf()).toBe('up');
    const probe = statusOf(between);
    await silent.next();
    expect(stateOf()).toBe('down');
    expect(await statusOf(between)).toBe(101);
    expect(silent.heads).toHaveLength(4);
    vi.advanceTimersByTime(TIMEOUT);
    expect(await probe).toBe(504);
    hangs = false;
    vi.advanceTimersByTime(1_000);
    expect(stateOf()).toBe('up');
    expect(await statusOf(between)).toBe(101);
    expect(stateOf()).toBe('up');
    expect(silent.heads).toHaveLength(5);
  });

  it('is not waited for by requests that a target within its cooldown can answer', async () => {
    const [hanging, back] = [restarting(), restarting()];
    const between = await front([`wss${hanging.url.slice(2)}`, back.url], {
      cooldown: 1_000,
      attempts: 1,
    });
    for (let i = 0; i < 5; i++) expect(await statusOf(between)).toBe(502);
    vi.advanceTimersByTime(500);
    expect(await statusOf(between)).toBe(502);
    vi.advanceTimersByTime(500);
    expect(between.proxy.targets.map(({ state }) => state)).toEqual(['up', 'down']);
    const accepted = once(await silentAt(hanging.path), 'connection');
    await back.listen();
    const client = await rawClient(between.port);
    await client.write(request());
    await accepted;
    expect(await statusOf(between)).toBe(101);
    client.reset();
  });

  it('is asked by the next request if the client of the first one leaves', async () => {
    const { between, silent } = await withSilent(() => false, { cooldown: 1_000 });
    for (let i = 0; i < 3; i++) expect(await statusInTime(between, silent)).toBe(504);
    const stateOf = () => between.proxy.targets[0]!.state;
    vi.advanceTimersByTime(1_000);
    expect(stateOf()).toBe('up');
    const client = await rawClient(between.port);
    void client.write(request());
    await silent.next();
    expect(stateOf()).toBe('down');
    client.reset();
    await expect.poll(() => between.proxy.proxied.size).toBe(0);
    expect(stateOf()).toBe('up');
  });

  it('fails once for requests that wait at the same time', async () => {
    const { between, silent } = await withSilent(() => false);
    const statuses = Promise.all([1, 2, 3, 4].map(() => statusOf(between)));
    for (let i = 0; i < 4; i++) await silent.next();
    vi.advanceTimersByTime(TIMEOUT);
    expect(await statuses).toEqual([504, 504, 504, 504]);
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 1 }, {}]);
  });

  it('stays up when it answers other requests meanwhile', async () => {
    const { between, silent } = await withSilent((head) => !head.includes('X-Slow'));
    for (let i = 0; i < 4; i++) {
      const slow = statusOf(between, { add: ['X-Slow: 1'] });
      await silent.next();
      expect(await statusOf(between)).toBe(101);
      await silent.next();
      vi.advanceTimersByTime(TIMEOUT);
      expect(await slow).toBe(504);
    }
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 0 }, {}]);
  });

  it('stays up after timeouts of a path that it has never answered', async () => {
    let hangs = false;
    const { between, silent } = await withSilent((head) => !hangs && !head.includes('/slow'));
    expect(await statusOf(between)).toBe(101);
    await silent.next();
    for (let i = 0; i < 4; i++) {
      const change = { line: `GET /slow?n=${i} HTTP/1.1` };
      expect(await statusInTime(between, silent, change)).toBe(504);
    }
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 0 }, {}]);
    hangs = true;
    for (let i = 0; i < 3; i++) expect(await statusInTime(between, silent)).toBe(504);
    expect(between.proxy.targets).toMatchObject([{ state: 'down', failed: 3 }, {}]);
  });

  it('stays up when no other target is up', async () => {
    const silent = await rawTarget(() => undefined);
    const between = await front([silent.url, DEAD], {
      handshakeTimeout: TIMEOUT,
      cooldown: 60_000,
      balance: (_, all) => all.at(-1)!,
    });
    for (let i = 0; i < 7; i++) expect(await statusInTime(between, silent)).toBe(504);
    expect(between.proxy.targets).toMatchObject([
      { state: 'up', failed: 2 },
      { state: 'down', failed: 3 },
    ]);
  });

  it('stays up when director takes most of the time', async () => {
    let directs!: () => void;
    const directing = new Promise<void>((resolve) => (directs = resolve));
    const director = () => {
      directs();
      return new Promise((resolve) => void setTimeout(resolve, 120));
    };
    const { between, silent } = await withSilent(() => false, { director });
    const status = statusOf(between);
    await directing;
    vi.advanceTimersByTime(120);
    await silent.next();
    vi.advanceTimersByTime(TIMEOUT - 120);
    expect(await status).toBe(504);
    expect(between.proxy.targets).toMatchObject([{ failed: 0 }, {}]);
    expect(silent.heads).toHaveLength(1);
  });
});

describe('the target of a request', () => {
  nothingLeft();

  it('may be chosen by a function', async () => {
    const [a, b] = await targets(2);
    const between = await front(async (req) => (req.headers['x-to'] === 'b' ? b! : a!).url);
    await statusOf(between, { add: ['X-To: b'] });
    await statusOf(between);
    expect([a!.heads.length, b!.heads.length]).toEqual([1, 1]);
  });

  it('has the headers that its function gave for this request, also while others are open', async () => {
    const backend = await rawTarget();
    const between = await front((req) => ({
      url: backend.url,
      headers: { 'X-User': String(req.headers['x-name']) },
    }));
    for (const name of ['ada', 'bob']) {
      const client = await rawClient(between.port);
      await client.upgrade({ add: [`X-Name: ${name}`] });
      await between.next();
    }
    expect(backend.heads.map((head) => /^x-user: (.*)$/im.exec(head)?.[1])).toEqual(['ada', 'bob']);
    expect(between.proxy.targets).toMatchObject([{ url: backend.url, open: 2 }]);
  });

  it('answers 500 if its function returns an object of proxy.targets', async () => {
    const backend = await rawTarget();
    const between: Front = await front((req) =>
      req.headers['x-name'] === 'ada'
        ? { url: backend.url, headers: { 'X-User': 'ada' } }
        : between.proxy.targets[0]!,
    );
    const client = await rawClient(between.port);
    await client.upgrade({ add: ['X-Name: ada'] });
    expect(await statusOf(between)).toBe(500);
    expect(backend.heads).toHaveLength(1);
    expect(String(between.reported[0])).toContain('unknown option open');
  });

  it.each([
    ['throws', throws],
    ['rejects', rejects],
    ['returns nothing', () => undefined as never],
    ['returns another scheme', () => 'file:///etc/passwd'],
  ])('is a 500 when its function %s', async (_, target) => {
    const between = await front(target);
    expect(await statusOf(between)).toBe(500);
    expect(between.reported).toHaveLength(1);
  });

  it('is only one that the application has named, whatever balance returns', async () => {
    const [a, other] = await targets(2);
    const more = await rawTarget();
    const between = await front([a!.url, more.url], {
      balance: () => ({ url: other!.url }) as never,
    });
    expect(await statusOf(between)).toBe(500);
    expect([a!.heads.length, other!.heads.length]).toEqual([0, 0]);
  });

  it.each<[string, ProxyOptions]>([
    ['sticky throws', { sticky: throws }],
    ['sticky returns a number', { sticky: () => 5 as never }],
    ['balance throws', { balance: throws }],
    ['balance returns a promise', { balance: (async () => undefined) as never }],
  ])('is a 500 when %s, and no target is asked', async (_, options) => {
    const [a, b] = await targets(2);
    const between = await front([a!.url, b!.url], options);
    expect(await statusOf(between)).toBe(500);
    expect(between.reported).toHaveLength(1);
    expect([a!.heads.length, b!.heads.length]).toEqual([0, 0]);
  });

  it('cannot be replaced when a function chooses it', async () => {
    const between = await front(() => DEAD);
    expect(() => (between.proxy.targets = [DEAD])).toThrow('targets: cannot be replaced');
  });

  it('is 504 when it hangs after the connection', async () => {
    const backend = await rawTarget(() => undefined);
    const between = await front(backend.url, { handshakeTimeout: 250 });
    expect(await statusOf(between)).toBe(504);
    expect(between.reported[0]).toMatchObject({ code: 'WS_ERR_PROXY_TIMEOUT' });
    expect(String(between.reported[0])).toContain('(option handshakeTimeout)');
    (await backend.next()).end();
  });

  it('is given up at proxy.close, and its client gets 503', async () => {
    const backend = await rawTarget(() => undefined);
    const between = await front(backend.url);
    const status = statusOf(between);
    const target = await backend.next();
    await between.proxy.close({ timeout: false });
    expect(await status).toBe(503);
    expect(await (await between.next()).closed).toMatchObject({ status: 503, endedBy: 'proxy' });
    await target.untilEnd();
    target.end();
    expect(between.proxy.targets).toMatchObject([{ open: 0, failed: 0 }]);
  });

  it('is not asked when authenticate waits at proxy.close', async () => {
    const [backend] = await targets(1);
    let signal: AbortSignal | undefined;
    const between = await front(backend!.url, {
      authenticate: (_, context) => {
        signal = context.signal;
        return new Promise<never>((_resolve, reject) => {
          context.signal.addEventListener('abort', () => reject(context.signal.reason));
        });
      },
    });
    const status = statusOf(between);
    await expect.poll(() => signal).toBeDefined();
    await between.proxy.close({ timeout: false });
    expect([await status, backend!.heads, signal!.aborted]).toEqual([503, [], true]);
  });

  it('is given up when the client leaves before the answer', async () => {
    const { backend, between, client } = await withClient(() => undefined);
    await client.write(request());
    const target = await backend.next();
    client.reset();
    expect(await (await between.next()).closed).toMatchObject({ status: 0, endedBy: 'client' });
    await target.untilEnd();
    target.end();
  });

  it('is not dialed twice for one request when it closes without an answer', async () => {
    const [b] = await targets(1);
    const closing = createServer((socket) => void socket.resume().end()).listen(0, '127.0.0.1');
    await once(closing, 'listening');
    whenOver(() => closing.close());
    const { port } = closing.address() as { port: number };
    const between = await front([`ws://127.0.0.1:${port}`, b!.url]);
    expect(await statusOf(between)).toBe(502);
    expect(b!.heads).toEqual([]);
  });

  it('stays up when it closes without an answer: a client can cause that', async () => {
    const backend = await rawTarget(() => undefined);
    const between = await front(backend.url);
    for (let i = 0; i < 4; i++) {
      const status = statusOf(between);
      (await backend.next()).end();
      expect(await status).toBe(502);
    }
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 0 }]);
  });
});
