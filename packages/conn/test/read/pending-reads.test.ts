// Each way to read, while each other one is pending.
import { describe, expect, it } from 'vitest';
import { type Conn, ReadPendingError } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const WAYS: Readonly<Record<string, (conn: Conn) => Promise<unknown>>> = {
  readMessage: (conn) => conn.readMessage(),
  readJSON: (conn) => conn.readJSON(),
  nextReader: (conn) => conn.nextReader(),
  'for await': (conn) => conn[Symbol.asyncIterator]().next(),
  receive: (conn) => conn.receive(() => {}),
  discardReads: (conn) => conn.discardReads(),
};

/** A read of a part of a message that has not arrived. */
async function readOfMessage({ conn, feed, frame }: Wired): Promise<{ read: Promise<unknown> }> {
  const next = conn.nextReader();
  feed(frame(1, '1', { fin: false }));
  const reader = await next;
  await reader.read(new Uint8Array(5));
  return { read: reader.read(new Uint8Array(5)) };
}

const CELLS = [...Object.keys(WAYS), 'a read of a message'].flatMap((pending) =>
  Object.keys(WAYS).map((asked) => ({ pending, asked })),
);

describe('ReadPendingError', () => {
  it.each(CELLS)('rejects $asked while $pending is pending', async ({ pending, asked }) => {
    const test = wired('server');
    const { conn, feed, frame, platform } = test;
    await platform.settle();
    const isPart = pending === 'a read of a message';
    const { read } = isPart ? await readOfMessage(test) : { read: WAYS[pending]!(conn) };
    const message = `websocket: ${asked} while ${pending} is pending; read in one place at a time`;
    const refused = WAYS[asked]!(conn);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toBeInstanceOf(ReadPendingError);
    // The pending read gets the message.
    feed(frame(isPart ? 0 : 1, '1'));
    if (pending === 'receive' || pending === 'discardReads') read.catch(() => {});
    else await read;
    expect(conn.stats).toMatchObject({ messagesIn: 1, messagesDropped: 0 });
    conn.terminate();
  });
});
