// The bounds of reading hold through every end of a connection: of the read-ahead, of a turn, of pooled
// memory. What has arrived reaches its reader whole and in order, or is dropped and counted.
import { sharedMessageBuffers } from '@ws/codec';
import { type FakePlatform, turn } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connection/connection.ts';
import { Conn, type ConnOptions, TransportError, type TransportSink } from '../../src/index.ts';
import { transportPair } from '../../src/transports/pair.ts';
import { wired } from '../wired.ts';

const COUNT = 1_250;
const READ_AHEAD = 8_192;
/** A queued message is charged with its bytes and 320. The read-ahead is full with one more. */
const MOST_HELD = Math.floor(READ_AHEAD / 320) + 1;
const FRAMES_PER_TURN = 1_000;
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);
const TEXTS: readonly string[] = numbered(COUNT);
const FOUR_THOUSAND = Uint8Array.of(0x0f, 0xa0);

/** A connection, and what happens to its transport. */
interface Line {
  readonly conn: Conn;
  readonly sink: TransportSink;
  readonly platform: FakePlatform;
  readonly frame: (opcode: number, payload?: string | Uint8Array) => Uint8Array;
  readonly feed: (bytes: Uint8Array) => void;
  readonly fin: () => void;
  readonly reset: () => void;
}

const LINES: Readonly<Record<string, (options: Partial<ConnOptions>) => Line>> = {
  'a test transport'(options) {
    const { conn, platform, frame, transport } = wired('server', options);
    return {
      conn,
      sink: transport.sink!,
      platform,
      frame,
      feed: (bytes) => transport.feed(bytes),
      fin: () => transport.feedEnd(),
      reset: () => transport.break(new Error('ECONNRESET')),
    };
  },
  'a pair'(options) {
    const { platform, frame } = wired('server');
    const [near, far] = transportPair(platform);
    const conn = new Conn(near, { heartbeat: false, ...options, role: 'server', platform });
    far.start({ data: () => {}, drain: () => {}, end: () => {}, close: () => {} });
    return {
      conn,
      sink: conn['@ws/internals'].connection,
      platform,
      frame,
      feed: (bytes) => void far.write(bytes),
      fin: () => far.end(),
      reset: () => near.destroy(new Error('ECONNRESET')),
    };
  },
};

/** All messages, and a close frame after them. */
const framesOf = (texts: readonly string[]): Uint8Array => {
  const { frame } = wired('server');
  return Buffer.concat([...texts.map((text) => frame(1, text)), frame(8, FOUR_THOUSAND)]);
};
const ALL_FRAMES = framesOf(TEXTS);

/** A slow reader takes some turns for each message. These are several times its read-ahead. */
const FEW_TEXTS = numbered(6 * MOST_HELD);
const FEW_FRAMES = framesOf(FEW_TEXTS);

/** How a connection ends after all its messages have arrived, with a close frame behind them. */
interface End {
  readonly begin: (line: Line) => unknown;
  /** Time in ms until the transport is closed while the reader is busy. */
  readonly ms?: number;
  /** What is behind the read-ahead of a reader that stays busy: by default it waits for the reader. */
  readonly whileBusy?: 'is dropped' | 'holds up the end';
}

const ENDS: Readonly<Record<string, End>> = {
  'a FIN': { begin: ({ fin }) => fin(), whileBusy: 'holds up the end' },
  'a FIN in spite of a pause': { begin: ({ sink }) => sink.end(), ms: 4_000 },
  'a reset': { begin: ({ reset }) => reset() },
  'a FIN, and a reset': {
    begin({ sink, reset }) {
      sink.end();
      reset();
    },
  },
  'our close, and a FIN': {
    begin({ conn, fin }) {
      void conn.close(1001);
      fin();
    },
    ms: 4_000,
    whileBusy: 'is dropped',
  },
  'our close, and a reset': {
    begin({ conn, reset }) {
      void conn.close(1001);
      reset();
    },
  },
  'our close, and its timeout': {
    begin: ({ conn }) => void conn.close(1001, '', { timeout: 50 }),
    ms: 60,
    whileBusy: 'is dropped',
  },
  'an error of this end': {
    begin: ({ sink }) => (sink as Connection).abort(new TransportError('late')),
  },
};

/** Reads until the end. Returns the texts, and the error of the read after the last one. */
const READS: Readonly<
  Record<string, (conn: Conn, texts: string[], work: () => Promise<void>) => Promise<unknown>>
> = {
  receive: (conn, texts, work) =>
    conn.receive((message) => {
      texts.push(message.text());
      return work();
    }),
  async 'for await'(conn, texts, work) {
    for await (const message of conn) {
      texts.push(message.text());
      await work();
    }
  },
  async readMessage(conn, texts, work) {
    for (;;) {
      texts.push((await conn.readMessage()).text());
      await work();
    }
  },
  async nextReader(conn, texts, work) {
    for (;;) {
      texts.push(await (await conn.nextReader()).text());
      await work();
    }
  },
};

const CASES = Object.keys(LINES).flatMap((line) => Object.keys(ENDS).map((end) => ({ line, end })));
/** The ends that are seen while the transport is paused. */
const SEEN = CASES.filter(({ end }) => ENDS[end]!.whileBusy !== 'holds up the end');
const READING_CASES = CASES.flatMap((test) =>
  Object.keys(READS).map((read) => ({ ...test, read })),
);

/** A connection whose messages have all arrived, with `read` as their reader. */
async function arrived(
  test: { readonly line: string; readonly read?: string },
  work: () => Promise<void>,
  frames = ALL_FRAMES,
): Promise<Line & { readonly texts: string[]; readonly result: Promise<unknown> }> {
  const line = LINES[test.line]!({ readAhead: READ_AHEAD });
  const texts: string[] = [];
  const reads =
    test.read === undefined ? Promise.resolve() : READS[test.read]!(line.conn, texts, work);
  const result = reads.catch((error: unknown) => error);
  await line.platform.settle();
  line.feed(Uint8Array.from(frames));
  for (let i = 0; i < 3; i++) {
    await turn();
    await line.platform.settle();
  }
  return { ...line, texts, result };
}

describe('the end of a connection', () => {
  it.each(READING_CASES)('by $end on $line leaves the read-ahead of a busy $read', async (test) => {
    const end = ENDS[test.end]!;
    let go = (): void => {};
    let isBusy = true;
    const line = await arrived(test, async () => {
      if (isBusy) await new Promise<void>((resolve) => (go = resolve));
    });
    const { conn, platform, texts } = line;
    const held = (): number => conn.stats.messagesIn - conn.stats.messagesDropped - texts.length;
    expect(texts).toEqual(['0']);
    expect(held()).toBeLessThanOrEqual(MOST_HELD);
    end.begin(line);
    await platform.advance(end.ms ?? 0);
    if (end.whileBusy === 'holds up the end') expect(conn.state).toBe('open');
    else expect(await conn.closed).toMatchObject({ code: 4000 });
    expect(texts).toEqual(['0']);
    expect(held()).toBeLessThanOrEqual(MOST_HELD);
    isBusy = false;
    go();
    await platform.advance(1_000);
    await line.result;
    expect(texts).toEqual(TEXTS.slice(0, COUNT - conn.stats.messagesDropped));
    expect(conn.stats.messagesDropped > 0).toBe(end.whileBusy === 'is dropped');
    const error = await conn.readMessage().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ closeCode: 4000 });
    expect(String(error).includes('messages dropped')).toBe(end.whileBusy === 'is dropped');
  });

  it.each(READING_CASES)('by $end on $line loses no message of a slow $read', async (test) => {
    const line = await arrived(test, () => turn(), FEW_FRAMES);
    const { conn, platform, texts } = line;
    expect(texts.length).toBeGreaterThan(0);
    ENDS[test.end]!.begin(line);
    let most = 0;
    while (texts.length < FEW_TEXTS.length) {
      const before = texts.length;
      for (let i = 0; i < 5; i++) await turn();
      most = Math.max(most, conn.stats.messagesIn - texts.length);
      await platform.advance(1);
      expect(texts.length).toBeGreaterThan(before);
    }
    await line.result;
    expect(most).toBeLessThanOrEqual(MOST_HELD);
    expect(texts).toEqual(FEW_TEXTS);
    expect(conn.stats.messagesDropped).toBe(0);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4000 });
  });

  it.each(SEEN)('by $end on $line drops and counts what no code reads', async (test) => {
    const end = ENDS[test.end]!;
    const line = await arrived(test, () => turn());
    const { conn, platform } = line;
    expect(conn.stats.messagesIn).toBeLessThanOrEqual(MOST_HELD);
    end.begin(line);
    await platform.advance(end.ms ?? 0);
    expect(await conn.closed).toMatchObject({ code: 4000 });
    const { messagesIn, messagesDropped } = conn.stats;
    expect(messagesIn).toBe(COUNT);
    expect(COUNT - messagesDropped).toBeLessThanOrEqual(MOST_HELD);
    for (const text of TEXTS.slice(0, COUNT - messagesDropped)) {
      expect((await conn.readMessage()).text()).toBe(text);
    }
    await expect(conn.readMessage()).rejects.toThrow(`${messagesDropped} (options closeTimeout`);
  });

  it.each(CASES)('by $end on $line lets a turn parse no more than before', async (test) => {
    const line = LINES[test.line]!({ readAhead: READ_AHEAD });
    const { conn, platform } = line;
    const all = numbered(2 * FRAMES_PER_TURN + 100);
    const texts: string[] = [];
    const result = conn.receive((message) => void texts.push(message.text()));
    await platform.settle();
    const frames = all.map((text) => line.frame(1, text));
    line.feed(Buffer.concat([...frames, line.frame(8, FOUR_THOUSAND)]));
    while (texts.length === 0) await new Promise((r) => void process.nextTick(r));
    expect(texts.length).toBe(FRAMES_PER_TURN);
    ENDS[test.end]!.begin(line);
    let most = 0;
    for (let i = 0; i < 20; i++) {
      const before = texts.length;
      await turn();
      most = Math.max(most, texts.length - before);
    }
    await platform.settle();
    await result.catch(() => {});
    expect(most).toBe(FRAMES_PER_TURN);
    expect(texts).toEqual(all);
  });

  it('leaves no unread input in pooled memory', async () => {
    const { lent } = sharedMessageBuffers();
    const { conn, feed, frame, reset, platform } = LINES['a test transport']!({ readAhead: 1_000 });
    let go = (): void => {};
    const busy = new Promise<void>((resolve) => (go = resolve));
    const sizes: number[] = [];
    const received = conn.receive((message) => {
      sizes.push(message.length);
      return sizes.length === 1 ? busy : undefined;
    });
    await platform.settle();
    feed(Buffer.concat(Array.from({ length: 20 }, () => frame(2, new Uint8Array(10_000)))));
    await platform.settle();
    expect(sharedMessageBuffers().lent).toBeGreaterThan(lent);
    reset();
    await conn.closed;
    expect(sharedMessageBuffers().lent).toBe(lent);
    go();
    await expect(received).rejects.toThrow('ECONNRESET');
    expect(sizes).toEqual(Array.from({ length: 20 }, () => 10_000));
  });

  it.each(['receive', 'for await'])('by terminate drops what %s has not read', async (read) => {
    const line = await arrived({ line: 'a pair', read }, () => new Promise(() => {}));
    line.conn.terminate();
    await line.platform.settle();
    expect(await line.conn.closed).toMatchObject({ code: 1006 });
    expect(line.conn.stats.messagesIn).toBe(line.conn.stats.messagesDropped + 1);
  });

  it.each(['receive', 'for await'])(
    'by a broken rule drops what follows it for %s',
    async (read) => {
      const line = LINES['a test transport']!({ readAhead: READ_AHEAD, readLimit: 1_000 });
      const { conn, platform, frame } = line;
      const texts: string[] = [];
      const reads = READS[read]!(conn, texts, () => turn()).catch((error: unknown) => error);
      await platform.settle();
      const frames = TEXTS.map((text) => frame(1, text));
      frames.splice(1_100, 0, frame(2, new Uint8Array(1_001)));
      line.feed(Buffer.concat(frames));
      await platform.settle();
      line.reset();
      expect(await conn.closed).toMatchObject({ code: 1006 });
      expect(await reads).toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
      expect(texts).toEqual(TEXTS.slice(0, 1_100));
    },
  );
});
