// A reader of a ReconnectingConn for which `close` has dropped messages does not end normally.
import { type Conn, connPair, type Message, TimeoutError } from '@ws/conn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ReconnectingConn } from '../src/index.ts';

const SIZE = 20_000;
const ALL = 20;

/** Reads to the end; each message waits for `handle`. */
const READERS: Readonly<
  Record<string, (live: ReconnectingConn, handle: () => Promise<unknown>) => Promise<unknown>>
> = {
  async 'a loop'(live, handle) {
    for await (const _ of live as AsyncIterable<Message>) await handle();
  },
  receive: (live, handle) => live.receive(async () => void (await handle())),
};

async function reading(read: keyof typeof READERS, discard: boolean) {
  let dialed!: (server: Conn) => void;
  const accepted = new Promise<Conn>((resolve) => (dialed = resolve));
  const dial = async (): Promise<Conn> => {
    const [client, server] = connPair({ closeTimeout: 1_000, heartbeat: false });
    dialed(server);
    return client;
  };
  const live = new ReconnectingConn(dial, { minDelay: 1, maxDelay: 4 });
  onTestFinished(() => void live.close());
  let got = 0;
  let conn!: Conn;
  live.on('open', (opened) => void (conn = opened));
  let begun!: () => void;
  const first = new Promise<void>((resolve) => (begun = resolve));
  let isClosed!: () => void;
  const closed = new Promise<void>((resolve) => (isClosed = resolve));
  const end = READERS[read]!(live, async () => {
    got++;
    begun();
    // Longer than the close waits for a reader without progress.
    await closed;
  }).then(
    () => undefined,
    (error: unknown) => error,
  );
  const server = await accepted;
  void server.discardReads();
  for (let i = 0; i < ALL; i++) void server.send(new Uint8Array(SIZE)).catch(() => {});
  await first;
  await live.close(1000, '', { discard });
  isClosed();
  const { wasClean } = await conn.closed;
  return { error: await end, got: () => got, dropped: conn.stats.messagesDropped, wasClean };
}

describe.each(Object.keys(READERS))('%s', (read) => {
  it('gets an error after the messages that were queued', async () => {
    const { error, got, dropped, wasClean } = await reading(read, false);
    // On a busy machine the close may end before the last messages arrive.
    expect(got() + dropped).toBeLessThanOrEqual(ALL);
    // There, the closing handshake may run out of its time: the reader gets that error.
    if (!wasClean) return expect(error).toMatchObject({ closeCode: 1006 });
    expect(dropped).toBeGreaterThan(0);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(String(error)).toContain('messages dropped at the end of the connection');
  });

  it('ends normally after a close that discards', async () => {
    expect((await reading(read, true)).error).toBeUndefined();
  });
});
