// docs/conn.md has a table for each end of a connection that is busy or slow. Each of its rows is a test: a row that
// is changed there, or added, has none here, and fails.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Conn } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const PAGE = readFileSync(new URL('../../../../docs/conn.md', import.meta.url), 'utf8');
const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);
const forever = (): Promise<never> => new Promise(() => {});
/** Timers fire up to 100 ms late. */
const halfSeconds = (ms: number): number => Math.floor(ms / 500) * 500;
/** A promise that the test of another row looks at. */
const ignore = (promise: Promise<unknown>): void => void promise.catch(() => {});

/** The rows of the table whose head begins with `head`: what each of its readers does, and when. */
function rowsOf(head: string): [reader: string, when: string][] {
  const table = PAGE.slice(PAGE.indexOf(`| ${head} `)).split('\n\n', 1)[0]!;
  return table
    .split('\n')
    .slice(2)
    .map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
    .map(([reader, when]) => [reader!, when!]);
}

/** Gets one message in each way to read. Its code then reads no further. */
const READS: Record<string, (end: Wired) => unknown> = {
  readMessage: ({ conn }) => conn.readMessage(),
  readJSON: ({ conn }) => conn.readJSON(),
  nextReader: async ({ conn }) => (await conn.nextReader()).text(),
  'for await': ({ conn }) => conn[Symbol.asyncIterator]().next(),
};
/** Asks for the next message, each in its way. */
const READS_ON: Record<string, (conn: Conn) => Promise<unknown>> = {
  readMessage: (conn) => conn.readMessage(),
  readJSON: (conn) => conn.readJSON(),
  nextReader: (conn) => conn.nextReader(),
  'for await': (conn) => conn[Symbol.asyncIterator]().next(),
};

async function begin(read: (end: Wired) => unknown, settings = {}): Promise<Wired> {
  const end = wired('server', { closeTimeout: 5_000, ...settings });
  ignore(Promise.resolve(read(end)));
  await end.platform.settle();
  await end.deliver(end.frame(1, '"first"'));
  return end;
}

describe('after our close', () => {
  /** The time in ms until the messages beyond the read-ahead are dropped, once we have closed. */
  async function dropsAfter(end: Wired): Promise<number> {
    const { conn, platform, transport, frame } = end;
    if (conn.state === 'open') ignore(conn.close(1001));
    const closed = platform.now();
    for (let i = 0; i < 60; i++) transport.feed(frame(1, `"${i}"`));
    transport.feed(frame(8, CLOSE_1000));
    await platform.settle();
    while (conn.stats.messagesDropped === 0) await platform.advance(100);
    return halfSeconds(platform.now() - closed);
  }
  const readAhead = { readAhead: 2_000 };

  const ROWS: Record<string, { when: string; test: () => Promise<void> }> = {
    'none: no read was ever begun': {
      when: 'at once',
      async test() {
        expect(await dropsAfter(wired('server', readAhead))).toBe(0);
      },
    },
    'the running handler of `receive` has itself called `close`': {
      when: 'at once',
      async test() {
        const end = await begin(
          ({ conn }) => conn.receive(async () => void (await conn.close())),
          readAhead,
        );
        expect(await dropsAfter(end)).toBe(0);
      },
    },
    'any other: a read that waits, a handler, a loop, or a reader that has stopped': {
      when: 'after half of `closeTimeout` without progress',
      async test() {
        const busy: ((end: Wired) => unknown)[] = [
          ...Object.values(READS),
          ({ conn }) => conn.receive(forever),
          async ({ conn }) => {
            for await (const _ of conn) await forever();
          },
        ];
        for (const read of busy) expect(await dropsAfter(await begin(read, readAhead))).toBe(2_500);
        const waiting = wired('server', readAhead);
        ignore(waiting.conn.readMessage());
        expect(await dropsAfter(waiting)).toBe(2_500);
      },
    },
  };

  it.each(rowsOf('reader, after our `close()`'))('%s: dropped %s', async (reader, when) => {
    expect(ROWS[reader]?.when).toBe(when);
    await ROWS[reader]!.test();
  });
});

describe('when the peer closes', () => {
  async function peerCloses(end: Wired): Promise<void> {
    await end.deliver(end.frame(8, CLOSE_1000));
  }
  const answered = ({ sent }: Wired): boolean => sent().includes('close 1000');
  /** The time in ms until our close frame is sent. */
  async function answersAfter(end: Wired): Promise<number> {
    await peerCloses(end);
    const { platform } = end;
    const closed = platform.now();
    while (!answered(end)) await platform.advance(100);
    return halfSeconds(platform.now() - closed);
  }

  const ROWS: Record<string, { when: string; test: () => Promise<void> }> = {
    '`receive`': {
      when: 'when the handler returns or its promise settles',
      async test() {
        let settle!: () => void;
        const end = await begin(({ conn }) =>
          conn.receive(() => new Promise((resolve) => (settle = resolve))),
        );
        await peerCloses(end);
        expect(answered(end)).toBe(false);
        settle();
        await end.platform.settle();
        expect(answered(end)).toBe(true);
        expect(await answersAfter(await begin(({ conn }) => conn.receive(() => {})))).toBe(0);
      },
    },
    '`for await`, `readMessage()`, `readJSON()`, `nextReader()`': {
      when: 'when the loop or your code asks for the next message',
      async test() {
        for (const [way, read] of Object.entries(READS)) {
          const end = await begin(read);
          await peerCloses(end);
          expect([way, answered(end)]).toEqual([way, false]);
          ignore(READS_ON[way]!(end.conn));
          await end.platform.settle();
          expect([way, answered(end)]).toEqual([way, true]);
        }
      },
    },
    'the handler of `serve`': {
      when: 'as above, at the latest when it has settled and each loop or stream that it began is left',
      async test() {
        const internals = (end: Wired) => internalsOf(end.conn);
        let loop!: AsyncIterableIterator<unknown>;
        const end = await begin(async (over) => {
          internals(over).connHandlerStarted();
          loop = over.conn[Symbol.asyncIterator]();
          await loop.next();
        });
        await peerCloses(end);
        internals(end).connHandlerSettled();
        await end.platform.settle();
        expect(answered(end)).toBe(false);
        await loop.return!();
        await end.platform.settle();
        expect(answered(end)).toBe(true);
      },
    },
    '`discardReads()`': {
      when: 'at once',
      async test() {
        expect(await answersAfter(await begin(({ conn }) => conn.discardReads()))).toBe(0);
      },
    },
    'none: no read was ever begun, and no handler runs': {
      when: 'at once. Later reads still return the messages before it',
      async test() {
        const end = await begin(() => {});
        expect(await answersAfter(end)).toBe(0);
        expect((await end.conn.readMessage()).text()).toBe('"first"');
      },
    },
    'any that has read all messages, before its first one or after an aborted read': {
      when: 'at once',
      async test() {
        const first = wired('server');
        internalsOf(first.conn).connHandlerStarted();
        expect(await answersAfter(first)).toBe(0);
        const aborted = await begin(READS['readMessage']!);
        const controller = new AbortController();
        ignore(aborted.conn.readMessage({ signal: controller.signal }));
        controller.abort();
        expect(await answersAfter(aborted)).toBe(0);
      },
    },
    'any other: a single read, a loop left by `break`, a message left half read': {
      when: 'after half of `closeTimeout`',
      async test() {
        expect(await answersAfter(await begin(READS['readMessage']!))).toBe(2_500);
        const left = await begin(async ({ conn }) => {
          for await (const _ of conn) break;
        });
        expect(await answersAfter(left)).toBe(2_500);
        const half = wired('server', { closeTimeout: 5_000 });
        const reader = await half.stream(half.frame(1, 'part', { fin: false }));
        await reader.read(new Uint8Array(2));
        expect(await answersAfter(half)).toBe(2_500);
      },
    },
  };

  it.each(rowsOf('reader, when the peer closes'))('%s: %s', async (reader, when) => {
    expect(ROWS[reader]?.when).toBe(when);
    await ROWS[reader]!.test();
  });

  it('sends our close frame at once after `close()`', async () => {
    const end = await begin(READS['readMessage']!);
    await peerCloses(end);
    ignore(end.conn.close());
    await end.platform.settle();
    expect(answered(end)).toBe(true);
  });
});
