import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Conn, dial } from '@ws/node-client';
import { nothingLeft, ownPort, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { folder, type Run, server, stalled, start } from './run.ts';

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

async function tcpServer(serve: (socket: Socket) => void): Promise<string> {
  const listener: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  whenOver(() => new Promise((resolve) => listener.close(resolve)));
  return `tcp:127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

/** Starts a tunnel. @returns The address that it prints. */
async function tunnel(from: string, to: string): Promise<Run & { readonly at: string }> {
  const run = start(['tunnel', from, to]);
  whenOver(async () => {
    run.interrupt();
    expect(await run.code).toBe(0);
  });
  await run.until('listening on ');
  return { ...run, at: /listening on (\S+)/.exec(run.err())![1]! };
}

/** Starts a tunnel from tcp over ws to a target of tcp. @returns Where it listens. */
async function bothWays(target: string): Promise<string> {
  const out = await tunnel(`ws://127.0.0.1:${await ownPort()}/t`, target);
  return (await tunnel('tcp:0', out.at)).at;
}

/** A client of a tunnel that gets a reset. */
async function resetAt(at: string): Promise<void> {
  const [host, port] = at.replace('tcp:', '').split(':');
  const [error] = await once(connect({ host: host!, port: Number(port) }), 'error');
  expect(error).toMatchObject({ code: 'ECONNRESET' });
}

/** Sends bytes, half-closes, and returns everything that comes back. */
async function ask(at: string, bytes: Uint8Array): Promise<Buffer> {
  const [, host, port] = /^tcp:(.*):(\d+)$/.exec(at)!;
  const socket = connect({ host: host!, port: Number(port), allowHalfOpen: true });
  socket.end(bytes);
  return all(socket);
}

async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false }))
    chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A target that reads nothing until `read`, which resolves at the end of its socket. */
async function silentTarget() {
  let connected: (socket: Socket) => void = () => {};
  const socket = new Promise<Socket>((resolve) => {
    connected = resolve;
  });
  const target = await tcpServer((each) => {
    whenOver(() => each.destroy());
    connected(each.pause());
  });
  const read = async (): Promise<void> => {
    const each = await socket;
    await new Promise<void>((resolve) => {
      each.on('end', resolve).on('error', () => resolve());
      each.resume();
    });
  };
  return { target, read };
}

/** Sends up to 64 MiB. @returns How many MiB were taken before the writes waited. */
async function fill(conn: Conn): Promise<number> {
  let sent = 0;
  void (async () => {
    for (; sent < 64; sent++) await conn.send(Buffer.alloc(1024 ** 2));
  })().catch(() => {});
  await stalled(() => sent);
  return sent;
}

describe('wsx tunnel', () => {
  nothingLeft();

  it('carries bytes and half-closes from tcp over ws to tcp: the answer comes after the end', async () => {
    const target = await tcpServer((socket) => {
      // It answers only when the client has ended its half.
      void all(socket).then((bytes) => socket.end(Buffer.concat([bytes, Buffer.from('!')])));
    });
    const answer = Buffer.concat([ALL_BYTES, Buffer.from('!')]);
    expect(await ask(await bothWays(target), ALL_BYTES)).toStrictEqual(answer);
  });

  it.each([0, 1])('answers a client that half-closes at once, after %i bytes', async (length) => {
    const target = await tcpServer((socket) => {
      void all(socket).then((bytes) => socket.end(`got ${bytes.length}`));
    });
    const at = await bothWays(target);
    for (let i = 0; i < 5; i++) {
      expect((await ask(at, Buffer.alloc(length))).toString()).toBe(`got ${length}`);
    }
  });

  it.each(['/:id', '/a/*', '/a//b', '/a%20b', '/a b', '/ü', '/%2e'])(
    'serves the path %s, and no other',
    async (path) => {
      const target = await tcpServer((socket) => void socket.pipe(socket));
      const url = `ws://127.0.0.1:${await ownPort()}${path}`;
      await tunnel(url, target);
      const back = await tunnel('tcp:0', url);
      expect((await ask(back.at, ALL_BYTES)).equals(ALL_BYTES)).toBe(true);
      await expect(dial(`${new URL(url).origin}/a/other`)).rejects.toMatchObject({ status: 404 });
    },
  );

  it('carries half-closes of the target: it may end first', async () => {
    const heard: Promise<Buffer>[] = [];
    const target = await tcpServer((socket) => {
      socket.end('greeting');
      heard.push(all(socket));
    });
    const at = await bothWays(target);
    const socket = connect({ port: Number(at.split(':').at(-1)), allowHalfOpen: true });
    expect((await all(socket)).toString()).toBe('greeting');
    socket.write(ALL_BYTES);
    socket.end('late');
    expect(await heard[0]).toStrictEqual(Buffer.concat([ALL_BYTES, Buffer.from('late')]));
  });

  it('carries 8 MiB both ways at once', async () => {
    const target = await tcpServer((socket) => void socket.pipe(socket));
    const bytes = Buffer.concat(Array.from({ length: 32 * 1024 }, () => ALL_BYTES));
    expect((await ask(await bothWays(target), bytes)).equals(bytes)).toBe(true);
  });

  it('slows the sender while the target does not read', async () => {
    const { target, read } = await silentTarget();
    const out = await tunnel(`ws://127.0.0.1:${await ownPort()}`, target);
    const conn = await dial(out.at, { heartbeat: false });
    const sent = await fill(conn);
    expect(sent).toBeLessThan(40);
    conn.terminate();
    await read();
  });

  it('ends at Ctrl-C while the target does not read', async () => {
    const { target, read } = await silentTarget();
    const out = start(['tunnel', `ws://127.0.0.1:${await ownPort()}`, target]);
    await out.until('listening on ');
    const conn = await dial(/listening on (\S+)/.exec(out.err())![1]!, { heartbeat: false });
    await fill(conn);
    out.interrupt();
    expect(await out.code).toBe(0);
    expect(await conn.closed).toMatchObject({ code: 1001 });
    await read();
  });

  it('says why a target cannot be reached, to both sides', async () => {
    const port = await ownPort();
    const out = await tunnel(`ws://127.0.0.1:${await ownPort()}`, `tcp:127.0.0.1:${port}`);
    const conn = await dial(out.at);
    expect(await conn.closed).toMatchObject({
      code: 1014,
      reason: `tcp:127.0.0.1:${port}: nothing listens there`,
    });
    await out.until('nothing listens there');
  });

  it('resets the client when the URL cannot be dialed, and continues', async () => {
    const back = await tunnel('tcp:0', `ws://127.0.0.1:${await ownPort()}`);
    for (let i = 0; i < 2; i++) await resetAt(back.at);
    await back.until('nothing listens there');
  });

  it('resets the client when the connection breaks', async () => {
    const url = await server((conn) => conn.terminate());
    const back = await tunnel('tcp:0', `${url}?token=secret`);
    await resetAt(back.at);
    await back.until(`${url}: the connection broke`);
    expect(back.err()).not.toContain('secret');
  });

  it('uses Unix sockets on both sides', async () => {
    const path = join(folder(), 'target');
    const listener = createServer((socket) => void socket.pipe(socket)).listen(path);
    whenOver(() => new Promise((resolve) => listener.close(resolve)));
    const out = await tunnel(`ws://127.0.0.1:${await ownPort()}`, `unix:${path}`);
    const back = await tunnel(`unix:${join(folder(), 'from')}`, out.at);
    const socket = connect(back.at.replace('unix:', ''));
    socket.end(ALL_BYTES);
    expect(await all(socket)).toStrictEqual(ALL_BYTES);
  });

  it('joins stdio with a URL, in both roles', async () => {
    const port = await ownPort();
    const serving = start(['tunnel', `ws://127.0.0.1:${port}`, 'stdio:']);
    await serving.until('listening on ');
    const dialing = start(['tunnel', 'stdio:', `ws://127.0.0.1:${port}`]);
    dialing.stdin.end(ALL_BYTES);
    serving.stdin.end('answer');
    expect(await dialing.code).toBe(0);
    expect(await serving.code).toBe(0);
    expect(serving.out()).toEqual(ALL_BYTES);
    expect(dialing.out().toString()).toBe('answer');
  });

  it('ends cleanly at Ctrl-C', async () => {
    let info: Promise<unknown> | undefined;
    const url = await server((conn) => {
      info = conn.closed;
      return conn.send('open');
    });
    const run = start(['tunnel', 'stdio:', url]);
    await run.until('open');
    run.interrupt();
    expect(await run.code).toBe(0);
    expect(await info).toMatchObject({ code: 1001, wasClean: true });
  });

  it.each([
    ['ws://host:99999/', 'port "99999"'],
    ['ws://', 'no host'],
    ['ws://exa mple/x', 'not a valid host'],
    ['ws://user:pw@h/', 'user info'],
    ['ws+unix:', 'absolute path'],
  ])('ends with 2 before it listens for the URL %s', async (url, says) => {
    const run = start(['tunnel', 'tcp:0', url]);
    expect(await run.code).toBe(2);
    expect(run.err()).toContain(says);
    expect(run.err()).not.toContain('listening');
  });

  it('says that it cannot listen', async () => {
    const target = await tcpServer(() => {});
    for (const [from, to, says] of [
      [target, 'ws://127.0.0.1:1', 'in use'],
      [target.replace('tcp:', 'ws://'), 'tcp:1', 'in use'],
      ['ws://192.0.2.1:1', 'tcp:1', 'this machine has no such address'],
    ] as const) {
      const run = start(['tunnel', from, to]);
      expect(await run.code).toBe(8);
      await run.until(says);
    }
  });
});

describe('an end of wsx tunnel that serves ws', () => {
  nothingLeft();

  it('asks for the login of --user, and refuses pages of others', async () => {
    const port = await ownPort();
    const target = await tcpServer((socket) => void socket.end('secret'));
    const run = start(['tunnel', `ws://127.0.0.1:${port}`, target, '--user', 'ann:secret']);
    await run.until('listening on ');
    const url = `ws://127.0.0.1:${port}`;
    const Authorization = `Basic ${btoa('ann:secret')}`;
    const refused = (headers: Record<string, string>, status: number) =>
      expect(dial(url, { headers })).rejects.toMatchObject({ status });
    await refused({}, 401);
    await refused({ Authorization, Origin: 'http://evil.example' }, 403);
    await refused({ Authorization, Origin: 'http://evil.example', Host: 'evil.example' }, 421);
    // Its clients are programs, and have no origin.
    await refused({ Authorization, Origin: url.replace('ws', 'http') }, 403);
    const conn = await dial(url, { headers: { Authorization } });
    expect((await conn.readMessage()).text()).toBe('secret');
    await conn.close();
    run.interrupt();
    expect(await run.code).toBe(0);
  });

  // 127.0.0.2 stands for the address of a network. Other systems than Linux have no such address.
  it.runIf(process.platform === 'linux').each([
    { options: [], origin: 'http://evil.example', status: 403 },
    { options: ['--origin', 'https://good.example'], origin: 'http://evil.example', status: 403 },
    { options: ['--origin', 'https://good.example'], origin: 'https://good.example', status: 101 },
    { options: ['--origin', '*'], origin: 'http://evil.example', status: 101 },
  ])('answers $origin with $status on any address: $options', async (row) => {
    const { options, origin, status } = row;
    const target = await tcpServer((socket) => void socket.end('secret'));
    const url = `ws://127.0.0.2:${await ownPort()}`;
    const run = start(['tunnel', url, target, ...options]);
    await run.until('listening on ');
    const page = dial(url, { headers: { Host: 'evil.example', Origin: origin } });
    if (status === 101) await (await page).close();
    else await expect(page).rejects.toMatchObject({ status });
    run.interrupt();
    expect(await run.code).toBe(0);
  });

  it('refuses options for an end that is dialed', async () => {
    const run = start(['tunnel', 'ws://127.0.0.1:1', 'tcp:2', '--insecure']);
    expect(await run.code).toBe(2);
    await run.until('--insecure is for an end that is dialed');
  });
});
