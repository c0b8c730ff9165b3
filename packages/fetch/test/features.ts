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
async function fact(port: number, name: string): Promise<any> {
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
