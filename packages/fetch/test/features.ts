import { dial } from '@ws/node-client';
import { RawSocket } from './raw-socket.ts';
import type { Running } from './runtimes.ts';

/** What a runtime has, or lacks: the rows of the table in docs/fetch.md. */
export const FEATURES: Readonly<Record<string, (program: Running) => Promise<boolean>>> = {
  'a client whose messages are not read waits': async ({ port }) => {
    const raw = await RawSocket.open(port, '/unread');
    const data = Buffer.alloc(2 ** 16);
    // More than all buffers between the two hold. A runtime that cannot pause closes at 1 MiB.
    for (let sent = 0; sent < 24 * 2 ** 20 && !raw.ended; sent += data.length) raw.send(2, data);
    const code = await raw.closeCode(1_500);
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
    const ended = await raw.until(() => raw.ended, 1_500);
    raw.destroy();
    return ended;
  },
  'a peer that does not answer our close frame is cut off': async ({ port }) => {
    const raw = await RawSocket.open(port, '/close');
    raw.send(1, '[1000,""]');
    const ended = await raw.until(() => raw.ended, 7_000);
    raw.destroy();
    return ended;
  },
  'text that is no UTF-8 closes with 1007': async ({ port }) => {
    const raw = await RawSocket.open(port, '/echo');
    raw.send(1, Buffer.from([0xff, 0xfe]));
    const code = await raw.closeCode(1_500);
    raw.destroy();
    return code === 1007;
  },
  'a frame without a mask closes with 1002': async ({ port }) => {
    const raw = await RawSocket.open(port, '/echo');
    raw.socket.write(Buffer.from([0x82, 1, 7]));
    const code = await raw.closeCode(1_500);
    raw.destroy();
    return code === 1002;
  },
  'a close frame with code 999 closes with 1002': async ({ port }) => {
    const raw = await RawSocket.open(port, '/echo');
    raw.send(8, Buffer.from([0x03, 0xe7]));
    const code = await raw.closeCode(1_500);
    raw.destroy();
    return code === 1002;
  },
  'a frame with a reserved bit closes with 1002': async ({ port }) => {
    const raw = await RawSocket.open(port, '/echo');
    raw.socket.write(Buffer.from([0xb2, 0x81, 0, 0, 0, 0, 7]));
    const code = await raw.closeCode(1_500);
    raw.destroy();
    return code === 1002;
  },
  'rooms of a hub': async ({ port }) => {
    const url = `ws://127.0.0.1:${port}/room`;
    const conns = await Promise.all([dial(url), dial(url)]);
    try {
      await conns[0].send('to all');
      const got = await Promise.all(conns.map((conn) => conn.readMessage({ timeout: 1_500 })));
      return got.every((message) => message.text() === 'to all');
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

async function hasLimit({ port }: Running, mib: number): Promise<boolean> {
  const raw = await RawSocket.open(port, `/limits?bytes=${mib * 2 ** 20}`);
  raw.destroy();
  return raw.status === 101;
}
