// A read that gives up loses nothing, and the next read gets its own kind of result, whatever the
// decoder has of the message.
import { ToyExtension } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type Conn, Message, MessageReader } from '../../src/index.ts';
import { checkRate, limitRate } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const RSV2 = 0x20;
const ABORTED = new Error('aborted');

/** Doubles bytes, and aborts reads or waits where a test wants it. */
class Awkward extends ToyExtension {
  onBegin: (() => void) | undefined;
  slow = false;
  resume: (() => void) | undefined;

  constructor() {
    super(RSV2, 0);
  }

  override begin(type: number, rsv: number): void {
    super.begin(type, rsv);
    this.onBegin?.();
  }

  override ready(): boolean {
    return !this.slow;
  }
}

/** Each byte twice, as {@link ToyExtension} sends it. */
const doubled = (text: string): Buffer => Buffer.from(text.replace(/./g, '$&$&'));

interface Case {
  readonly end: Wired;
  readonly toy: Awkward;
  readonly abort: () => void;
}

/** What arrives before the read gives up, and the rest of the message `hello`. */
const states: Record<
  string,
  { setUp?: (c: Case) => void; first: (c: Case) => void; rest: (c: Case) => void }
> = {
  'of which nothing has arrived': {
    first: () => {},
    rest: ({ end }) => end.feed(end.frame(1, 'hello')),
  },
  'whose header is incomplete': {
    first: ({ end }) => end.feed(end.frame(1, 'hello').subarray(0, 3)),
    rest: ({ end }) => end.feed(end.frame(1, 'hello').subarray(3)),
  },
  'above the rate': {
    setUp({ end }) {
      limitRate(end.conn, checkRate({ messages: 1, per: 10, over: 'wait' }));
      void end.conn.readMessage();
      end.feed(end.frame(1, 'before'));
    },
    first: ({ end }) => end.feed(end.frame(1, 'hello')),
    rest: () => {},
  },
  'whose extension aborts the read as it begins': {
    setUp({ toy, abort }) {
      toy.onBegin = abort;
    },
    first: ({ end }) => end.feed(end.frame(1, doubled('he'), { fin: false, rsv: RSV2 })),
    rest: ({ end }) => end.feed(end.frame(0, doubled('llo'))),
  },
  'whose slow extension aborts the read as it begins': {
    setUp({ toy, abort }) {
      toy.slow = true;
      toy.onBegin = abort;
    },
    first: ({ end }) => end.feed(end.frame(1, doubled('hello'), { rsv: RSV2 })),
    rest({ toy }) {
      toy.slow = false;
      toy.resume?.();
    },
  },
};

const text = (message: Message): string => {
  expect(message).toBeInstanceOf(Message);
  return message.text();
};

/** Reads two messages. */
const reads: Record<string, (conn: Conn, got: string[]) => Promise<unknown>> = {
  async readMessage(conn, got) {
    for (let i = 0; i < 2; i++) got.push(text(await conn.readMessage()));
  },
  async readJSON(conn, got) {
    for (let i = 0; i < 2; i++) {
      await conn.readJSON().catch((error: Error) => {
        got.push(/"(\w+)" is not valid|(next)/.exec(error.message)?.[1] ?? error.message);
      });
    }
  },
  async 'for await'(conn, got) {
    for await (const message of conn) {
      got.push(text(message));
      if (got.length === 2) break;
    }
  },
  async nextReader(conn, got) {
    for (let i = 0; i < 2; i++) {
      const reader = await conn.nextReader();
      expect(reader).toBeInstanceOf(MessageReader);
      got.push(await reader.text());
    }
  },
  receive: (conn, got) => conn.receive((message) => void got.push(message.text())),
};

describe.each(Object.entries(states))('a message %s', (_state, { setUp, first, rest }) => {
  describe.each(['before the rest', 'after the rest'])('and a read that gives up %s', (when) => {
    describe.each(['nextReader', 'readMessage', 'for await'])('of %s', (given) => {
      it.each(Object.entries(reads))('is for the next %s', async (_name, read) => {
        const toy = new Awkward();
        const end = wired('server', { extension: toy });
        const { conn, platform, frame, feed } = end;
        const controller = new AbortController();
        const iterator = conn[Symbol.asyncIterator]();
        const abort = (): void => {
          controller.abort(ABORTED);
          void iterator.return!();
        };
        const c = { end, toy, abort };
        setUp?.(c);
        await platform.settle();
        const wait = { signal: controller.signal };
        const gone: Promise<unknown> =
          given === 'for await'
            ? iterator.next()
            : conn[given as 'nextReader' | 'readMessage'](wait);
        const outcome = gone.catch((error: unknown) => error);
        await platform.settle();
        first(c);
        await platform.settle();
        abort();
        expect(await outcome).toEqual(given === 'for await' ? { done: true } : ABORTED);
        const got: string[] = [];
        const reading = when === 'before the rest' ? read(conn, got) : undefined;
        await platform.settle();
        rest(c);
        feed(frame(1, 'next'));
        await platform.settle();
        const late = reading ?? read(conn, got);
        late.catch(() => {});
        await platform.advance(100);
        expect(got).toEqual(['hello', 'next']);
        expect(conn.stats).toMatchObject({ messagesDropped: 0 });
        conn.terminate();
      });
    });
  });
});

describe('nextReader', () => {
  it.each([
    ['whole', true],
    ['in fragments', false],
  ])('resolves at the header of a message %s that a slow extension decodes', async (_name, fin) => {
    const toy = new Awkward();
    const { platform, feed, frame, stream } = wired('server', { extension: toy });
    toy.slow = true;
    await platform.settle();
    const reader = await stream(frame(1, doubled('hello'), { fin, rsv: RSV2 }));
    const read = reader.text();
    await platform.settle();
    toy.slow = false;
    toy.resume?.();
    if (!fin) feed(frame(0, doubled('!')));
    expect(await read).toBe(fin ? 'hello' : 'hello!');
  });

  it('gets a reader when an observer starts it for a whole message', async () => {
    let act: (() => void) | undefined;
    const end = wired('server');
    Object.assign(end.platform, { observer: { messageIn: () => act?.() } });
    let next: Promise<MessageReader> | undefined;
    act = () => {
      act = undefined;
      next = end.conn.nextReader();
    };
    end.feed(end.frame(1, 'one'), end.frame(1, 'two'));
    await end.platform.settle();
    const reader = await next!;
    expect(reader).toBeInstanceOf(MessageReader);
    expect(await reader.text()).toBe('one');
    expect((await end.conn.readMessage()).text()).toBe('two');
    end.conn.terminate();
  });
});
