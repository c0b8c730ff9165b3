import { once } from 'node:events';
import { get } from 'node:http';
import { dial } from '@ws/node-client';
import { RawSocket } from './raw-socket.ts';
import type { Running } from './runtimes.ts';

/**
 * The time in ms in which something must happen; otherwise a runtime lacks it. Bun ends a silent peer
 * after eight seconds, a Node cuts a peer off after five. All probes wait at the same time.
 */
const PATIENCE = 15_000;

/** What a runtime has, or lacks: the rows of the table in docs/fetch.md. */
const FEATURES: Readonly<Record<string, (program: Running) => Promise<boolean>>> = {
  'a client whose messages are not read waits': async ({ port }) => {
    const raw = await RawSocket.open(port, '/unread');
    const data = Buffer.alloc(2 ** 16);
    // More than all buffers between the two hold. A runtime that cannot pause closes at 1 MiB.
    for (let sent = 0; sent < 24 * 2 ** 20 && !raw.ended; sent += data.length) raw.send(2, data);
    const code = await raw.closeCode(PATIENCE);
    const waits = code === undefined && !raw.ended && raw.socket.writableLength > 0;
    raw.destroy();
    return waits;
  },
  '`ping()`, ping and pong handlers, `stats.rtt`': async ({ port }) => {
    const conn = await dial(`ws://127.0.0.1:${port}/ping`);
    const result = await conn.readJSON();
    await conn.close();
    return result === 'number';
  },
  '`terminate()` ends the TCP connection': async ({ port }) => {
    const raw = await RawSocket.open(port, '/terminate');
    raw.send(1, 'go');
    return ends(raw);
  },
  'a peer that does not answer our close frame is cut off': async ({ port }) => {
    const raw = await RawSocket.open(port, '/close');
    raw.send(1, '[1000,""]');
    return ends(raw);
  },
  'a peer that does not answer pings is cut off': async ({ second }) =>
    ends(await RawSocket.open(second, '/echo')),
  'text that is no UTF-8 closes with 1007': (program) =>
    closes(program, 1007, (raw) => raw.send(1, Uint8Array.of(0xff, 0xfe))),
  'a frame without a mask closes with 1002': (program) =>
    closes(program, 1002, ({ socket }) => socket.write(Uint8Array.of(0x82, 1, 7))),
  'a close frame with code 999 closes with 1002': (program) =>
    closes(program, 1002, (raw) => raw.send(8, Uint8Array.of(0x03, 0xe7))),
  'a close frame of one byte closes with 1002': (program) =>
    closes(program, 1002, (raw) => raw.send(8, Uint8Array.of(3))),
  'a reason of a close frame that is no UTF-8 closes with 1007': (program) =>
    closes(program, 1007, (raw) => raw.send(8, Uint8Array.of(0x03, 0xe8, 0xff))),
  'a frame with a reserved bit closes with 1002': (program) =>
    closes(program, 1002, ({ socket }) => socket.write(Uint8Array.of(0xb2, 0x81, 0, 0, 0, 0, 7))),
  'a message that crosses our close frame is read': async (program) =>
    (await late(program)).texts.includes('late'),
  'a closing handshake that a message crosses is clean': async (program) =>
    (await late(program)).wasClean,
  compression: async ({ second }) => {
    const conn = await dial(`ws://127.0.0.1:${second}/echo`, { compression: true });
    await conn.close();
    return conn.extensions !== '';
  },
  '`conn.extensions` names the compression': async (program) => {
    const conn = await dial(`ws://127.0.0.1:${program.second}/extensions`, { compression: true });
    const extensions = await fact(program.second, 'extensions');
    await conn.close();
    return extensions !== '';
  },
  '`setCloseHandler`, `writeControl`, `setCompressionLevel`, `enableWriteCompression`, `toStreams`':
    async (program) => {
      const conn = await dial(`ws://127.0.0.1:${program.port}/members`);
      await fact(program.port, 'members');
      const unsupported = await fact(program.port, 'unsupported');
      conn.terminate();
      if (unsupported.length !== 0 && unsupported.length !== 5) throw new Error(unsupported.join());
      return unsupported.length === 0;
    },
  'an answer to the last message before a client closes arrives': async ({ port }) => {
    const raw = await RawSocket.open(port, '/answers');
    raw.send(1, 'question');
    raw.send(8, Uint8Array.of(0x03, 0xe8));
    await raw.closeCode(PATIENCE);
    raw.destroy();
    return raw.rest.includes('answered');
  },
  "`close()` waits for the client's close frame": async ({ port }) => {
    const raw = await RawSocket.open(port, '/close-waits');
    const waits = await fact(port, 'closeWaits');
    raw.destroy();
    return waits;
  },
  'an unfinished message above `readLimit` is refused before its end': async ({ port }) => {
    const raw = await RawSocket.open(port, '/limit');
    const data = new Uint8Array(2 ** 18);
    raw.send(1, 'x', { fin: false });
    for (let sent = 0; sent < 4 * 2 ** 20; sent += data.length) raw.send(0, data, { fin: false });
    // It is read for longer than it takes to send.
    const ended = await raw.until(() => raw.rest.length > 0, 5_000);
    raw.destroy();
    return ended || raw.ended;
  },
  'a `Host` that changes the path is refused, for pages too': async ({ port }) => {
    const headers = { Host: 'h/?', Connection: 'close' };
    const [response] = await once(
      get({ host: '127.0.0.1', port, path: '/nothing', headers }),
      'response',
    );
    response.resume();
    return response.statusCode === 400;
  },
  'the head of a stream is sent before its first chunk': async ({ url }) => {
    const signal = AbortSignal.timeout(PATIENCE);
    return fetch(`${url}/silent`, { signal }).then(
      async ({ body }) => body!.cancel().then(() => true),
      () => false,
    );
  },
  'a stream is sent whole, whatever its `Content-Length` says': async ({ url }) =>
    (await (await fetch(`${url}/wrong-length`)).text()) === 'hello world',
  'a request of HTTP/1.0 is refused': async ({ port }) => {
    const raw = await RawSocket.open(port, '/echo', {}, '1.0');
    raw.destroy();
    return raw.status !== 101;
  },
  'a malformed `Sec-WebSocket-Extensions` is refused': async ({ port }) => {
    const raw = await RawSocket.open(port, '/echo', { 'Sec-WebSocket-Extensions': 'a;;b' });
    raw.destroy();
    return raw.status !== 101;
  },
  '`allowedHosts`, against DNS rebinding': async ({ second }) => {
    const raw = await RawSocket.open(second, '/echo', { Host: 'rebound.example' });
    raw.destroy();
    return raw.status !== 101;
  },
  '`trustProxy`: the client behind your proxy, as `address` of the second argument of `fetch`':
    async ({ second }) => {
      const headers = { 'X-Forwarded-For': '203.0.113.7' };
      const conn = await dial(`ws://127.0.0.1:${second}/address`, { headers });
      const address = (await conn.readMessage()).text();
      await conn.close();
      return address === '203.0.113.7';
    },
  'a Response of `upgrade` that is not returned is reported': async ({ port }) => {
    const raw = await RawSocket.open(port, '/forgotten');
    raw.destroy();
    return fact(port, 'forgotten').then(
      () => true,
      () => false,
    );
  },
  'rooms of a hub': async ({ port }) => {
    const url = `ws://127.0.0.1:${port}/room`;
    const conns = await Promise.all([dial(url), dial(url)]);
    /** Resolves when a text comes. */
    const read = async (conn: (typeof conns)[0], text: string): Promise<void> => {
      while ((await conn.readMessage({ timeout: PATIENCE })).text() !== text);
    };
    try {
      await conns[1].send('here');
      await read(conns[1], 'here');
      await conns[0].send('to all');
      await Promise.all(conns.map((conn) => read(conn, 'to all')));
      return true;
    } catch {
      return false;
    } finally {
      for (const conn of conns) conn.terminate();
    }
  },
  '`readLimit` of 16 MiB': (program) => hasLimit(program, 16),
  '`readLimit` of 32 MiB': (program) => hasLimit(program, 32),
  '`readLimit` of 64 MiB': (program) => hasLimit(program, 64),
  '`readLimit` of 100 MiB': (program) => hasLimit(program, 100),
};

export const FEATURE_NAMES: readonly string[] = Object.keys(FEATURES);

/** Finds out at once what a runtime has and lacks. */
export async function probe(program: Running): Promise<Record<string, boolean>> {
  const found = FEATURE_NAMES.map(async (name) => [name, await FEATURES[name]!(program)] as const);
  return Object.fromEntries(await Promise.all(found));
}

async function ends(raw: RawSocket): Promise<boolean> {
  const ended = await raw.until(() => raw.ended, PATIENCE);
  raw.destroy();
  return ended;
}

/** Whether a fault closes with `code`. A runtime that ignores it echoes the next message. */
async function closes(
  { port }: Running,
  code: number,
  fault: (raw: RawSocket) => unknown,
): Promise<boolean> {
  const raw = await RawSocket.open(port, '/echo');
  fault(raw);
  raw.send(1, 'next');
  const found = await raw.closeCode(PATIENCE, () => raw.rest.includes('next'));
  raw.destroy();
  return found === code;
}

/** Sends a message after our close frame has come, and answers it. */
async function late({ port }: Running): Promise<{ texts: string[]; wasClean: boolean }> {
  const raw = await RawSocket.open(port, '/late');
  await raw.closeCode(PATIENCE);
  raw.send(1, 'late');
  raw.send(8, Uint8Array.of(0x03, 0xe8));
  const found = await fact(port, 'late');
  raw.destroy();
  return found;
}

/** Waits for an entry of `/facts`, which the program fills. */
// oxlint-disable-next-line typescript/no-explicit-any -- JSON
export async function fact(port: number, name: string): Promise<any> {
  for (const signal = AbortSignal.timeout(PATIENCE); !signal.aborted; ) {
    const facts = (await (await fetch(`http://127.0.0.1:${port}/facts`)).json()) as object;
    if (name in facts) return (facts as Record<string, unknown>)[name];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no fact ${name}`);
}

async function hasLimit({ port }: Running, mib: number): Promise<boolean> {
  const raw = await RawSocket.open(port, `/limits?bytes=${mib * 2 ** 20}`);
  raw.destroy();
  return raw.status === 101;
}
