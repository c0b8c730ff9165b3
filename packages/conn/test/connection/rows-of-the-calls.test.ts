// docs/conn.md has a table of the ways to read, of the calls that write, and of deadlines. Each of their rows is a
// test: a row that is added there, or renamed, has none here, and fails.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  CloseError,
  type Conn,
  JSONError,
  joinMessages,
  PingMessage,
  PreparedMessage,
  TextMessage,
  TimeoutError,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const PAGE = readFileSync(new URL('../../../../docs/conn.md', import.meta.url), 'utf8');

/** The first cells of the table whose head begins with `head`. */
function rowsOf(head: string): string[] {
  const table = PAGE.slice(PAGE.indexOf(`| ${head} |`)).split('\n\n', 1)[0]!;
  return table
    .split('\n')
    .slice(2)
    .map((row) => /^\| `(.*?)` \|/.exec(row)![1]!);
}

const codeOf = (code: number): Uint8Array => Uint8Array.of(code >> 8, code & 255);

/** The peer sends two messages, and closes with `code`. */
function closing(code: number, texts = ['"one"', '"two"']): Wired {
  const end = wired('server');
  end.feed(...texts.map((text) => end.frame(1, text)), end.frame(8, codeOf(code)));
  return end;
}

/** What `read` gives for each message, then `done` or the class of its error. */
type Read = (conn: Conn, got: unknown[]) => Promise<unknown>;

async function gives(read: Read, code: number, texts?: string[]): Promise<unknown[]> {
  const { conn, platform, transport } = closing(code, texts);
  const got: unknown[] = [];
  const over = read(conn, got).then(
    () => got.push('done'),
    (error: unknown) => got.push((error as Error).constructor),
  );
  await platform.settle();
  transport.feedEnd();
  await platform.settle();
  await over;
  return got;
}

async function repeat(next: () => Promise<unknown>, got: unknown[]): Promise<never> {
  for (;;) got.push(await next());
}

const READS: Record<string, { read: Read; normally: unknown; gives?: unknown[] }> = {
  'for await (const message of conn)': {
    async read(conn, got) {
      for await (const message of conn) got.push(message.text());
    },
    normally: 'done',
  },
  'receive(handler)': {
    read: (conn, got) => conn.receive((message) => void got.push(message.text())),
    normally: 'done',
  },
  'readMessage()': {
    read: (conn, got) => repeat(async () => (await conn.readMessage()).text(), got),
    normally: CloseError,
  },
  'readJSON()': {
    read: (conn, got) => repeat(() => conn.readJSON(), got),
    normally: CloseError,
    gives: ['one', 'two'],
  },
  'nextReader()': {
    read: (conn, got) => repeat(async () => (await conn.nextReader()).text(), got),
    normally: CloseError,
  },
  'joinMessages(conn, term)': {
    async read(conn, got) {
      const joined: Uint8Array[] = [];
      try {
        for await (const piece of joinMessages(conn, '|')) joined.push(piece);
      } finally {
        got.push(Buffer.concat(joined).toString());
      }
    },
    normally: CloseError,
    gives: ['"one"|"two"|'],
  },
  'discardReads()': { read: (conn) => conn.discardReads(), normally: 'done', gives: [] },
};

describe('a way to read', () => {
  it.each(rowsOf('way'))('%s', async (way) => {
    const { read, normally, gives: given = ['"one"', '"two"'] } = READS[way]!;
    for (const code of [1000, 1001]) expect(await gives(read, code)).toEqual([...given, normally]);
    expect(await gives(read, 3000)).toEqual([...given, CloseError]);
  });

  it('readJSON() rejects what is no JSON', async () => {
    const got = await gives(READS['readJSON()']!.read, 1000, ['nothing of it']);
    expect(got).toEqual([JSONError]);
  });

  it('`break` leaves the connection open', async () => {
    const { conn, deliver, frame } = wired('server');
    const first = (async () => {
      for await (const message of conn) return message.text();
    })();
    await deliver(frame(1, 'one'), frame(1, 'two'));
    expect([await first, (await conn.readMessage()).text()]).toEqual(['one', 'two']);
  });
});

const SENDS: Record<string, { send: (conn: Conn) => unknown; frames: string[] }> = {
  'send(data)': {
    send: (conn) => [conn.send('text'), conn.send(Buffer.from('bytes'))],
    frames: ['text text', 'binary bytes'],
  },
  'writeMessage(type, data)': {
    send: (conn) => conn.writeMessage(BinaryMessage, 'as bytes'),
    frames: ['binary as bytes'],
  },
  'writeJSON(value)': { send: (conn) => conn.writeJSON({ a: 1 }), frames: ['text {"a":1}'] },
  'writePreparedMessage(prepared)': {
    send: (conn) => conn.writePreparedMessage(new PreparedMessage(TextMessage, 'prepared')),
    frames: ['text prepared'],
  },
  'nextWriter(type)': {
    async send(conn) {
      const writer = await conn.nextWriter(TextMessage);
      await writer.write('in ');
      await writer.write('pieces');
      await writer.close();
    },
    frames: ['text in pieces'],
  },
  'writeControl(type, data, deadline)': {
    send: (conn) => conn.writeControl(PingMessage, 'beat'),
    frames: ['ping beat'],
  },
  'broadcast(conns, data, { filter, except })': {
    send: (conn) => broadcast([conn], 'to all'),
    frames: ['text to all'],
  },
};

describe('a call that writes', () => {
  it.each(rowsOf('call | sends'))('%s', async (call) => {
    const { conn, output } = wired('server');
    void SENDS[call]!.send(conn);
    expect(await output()).toEqual(SENDS[call]!.frames);
  });

  it('send(data) sends a received message with its own type', async () => {
    const { conn, deliver, frame, output } = wired('server');
    void conn.receive((message) => conn.send(message));
    await deliver(frame(2, 'bytes'), frame(1, 'text'));
    expect(await output()).toEqual(['binary bytes', 'text text']);
  });
});

const DEADLINES: Record<string, () => Promise<void>> = {
  async 'setReadDeadline(at)'() {
    const { conn, deliver, frame, platform, output } = wired('server');
    conn.setReadDeadline(Date.now() + 1_000);
    const pending = conn.readMessage().catch((error: unknown) => error);
    await platform.advance(1_200);
    expect(await pending).toBeInstanceOf(TimeoutError);
    await expect(conn.readMessage()).rejects.toThrow(TimeoutError);
    await deliver(frame(9, 'ping'), frame(8, codeOf(1000)));
    expect((await output()).map((sent) => sent.split(' ')[0])).toEqual(['pong', 'close']);
  },
  async 'setWriteDeadline(at)'() {
    const { block, conn, platform, transport } = wired('server');
    await block();
    conn.setWriteDeadline(Date.now() + 1_000);
    await platform.advance(1_200);
    expect(transport.destroyed).toBe(true);
    await expect(conn.send('late')).rejects.toThrow(TimeoutError);
    const idle = wired('server');
    idle.conn.setWriteDeadline(Date.now() + 1_000);
    await idle.platform.advance(1_200);
    expect(idle.transport.destroyed).toBe(false);
    await expect(idle.conn.send('late')).rejects.toThrow(TimeoutError);
    expect(idle.transport.destroyed).toBe(true);
  },
  async 'writeControl(type, data, deadline)'() {
    const { conn, output } = wired('server');
    await expect(conn.writeControl(PingMessage, '', Date.now() - 1)).rejects.toThrow(TimeoutError);
    expect(await output()).toEqual([]);
  },
  async 'renew(expires)'() {
    const { conn, platform, output } = wired('server');
    conn.renew(Date.now() + 1_000);
    await platform.advance(1_200);
    expect(await output()).toEqual(['close 4401 login expired']);
  },
};

describe('a deadline that expires', () => {
  it.each(rowsOf('call | effect when it expires'))('%s', (call) => DEADLINES[call]!());
});
