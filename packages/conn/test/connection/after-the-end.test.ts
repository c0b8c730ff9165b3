// Calls after the end of a connection fail again and again. A loop that ignores that must not block
// the process: promises alone run before every timer and all input.
import { retryUntilTimer } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  type Conn,
  connPair,
  PingMessage,
  PreparedMessage,
} from '../../src/index.ts';

async function ended(): Promise<{
  conn: Conn;
  reader: { read(into: Uint8Array): Promise<number> };
  writer: { write(data: string): Promise<void> };
}> {
  const [conn, peer] = connPair();
  const writer = await conn.nextWriter(BinaryMessage);
  const begun = await peer.nextWriter(BinaryMessage);
  await begun.write(new Uint8Array(5000));
  const reader = await conn.nextReader();
  conn.terminate();
  await conn.closed;
  return { conn, reader, writer };
}

type Ended = Awaited<ReturnType<typeof ended>>;

const calls: Record<string, (end: Ended) => Promise<unknown>> = {
  readMessage: ({ conn }) => conn.readMessage(),
  readJSON: ({ conn }) => conn.readJSON(),
  nextReader: ({ conn }) => conn.nextReader(),
  'for await': async ({ conn }) => {
    for await (const _ of conn);
  },
  receive: ({ conn }) => conn.receive(() => {}),
  discardReads: ({ conn }) => conn.discardReads(),
  'read of a reader': ({ reader }) => reader.read(new Uint8Array(10)),
  send: ({ conn }) => conn.send('x'),
  writeJSON: ({ conn }) => conn.writeJSON({}),
  writePreparedMessage: ({ conn }) => conn.writePreparedMessage(new PreparedMessage(2, 'x')),
  nextWriter: ({ conn }) => conn.nextWriter(BinaryMessage),
  'write of a writer': ({ writer }) => writer.write('x'),
  writeControl: ({ conn }) => conn.writeControl(PingMessage),
  ping: ({ conn }) => conn.ping(),
};

describe('a loop over calls that fail after the end lets a timer of 10 ms fire', () => {
  it.each(Object.entries(calls))('%s', async (_, call) => {
    const end = await ended();
    const error = await retryUntilTimer(() => call(end));
    expect(error).toMatchObject({ message: expect.stringContaining('websocket: ') });
  });
});

it('a reason of a signal is not touched', async () => {
  const thrower = (): never => {
    throw new Error('touched');
  };
  const reason: unknown = new Proxy({}, { get: thrower, getPrototypeOf: thrower });
  const [conn, peer] = connPair();
  const signal = AbortSignal.abort(reason);
  const errors = [conn.readMessage({ signal }), conn.send('x', { signal })].map((call) =>
    call.then(
      () => false,
      (error: unknown) => error === reason,
    ),
  );
  expect(await Promise.all(errors)).toEqual([true, true]);
  conn.terminate();
  peer.terminate();
});

it('a deadline is permanent, the timeout of a call is not', async () => {
  const [conn, peer] = connPair();
  await expect(conn.readMessage({ timeout: 1 })).rejects.toMatchObject({ permanent: false });
  conn.setReadDeadline(Date.now() - 1);
  await expect(conn.readMessage()).rejects.toMatchObject({ permanent: true });
  peer.setWriteDeadline(Date.now() - 1);
  await expect(peer.send('late')).rejects.toMatchObject({ permanent: true });
  conn.terminate();
});
