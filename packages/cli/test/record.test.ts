import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { echo, fails, fileOf, folder, server, start, wsx } from './run.ts';

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

interface Har {
  readonly log: {
    readonly entries: readonly {
      readonly _resourceType: string;
      readonly request: { readonly url: string };
      readonly _webSocketMessages: readonly Record<string, unknown>[];
    }[];
  };
}

/** As Chrome's DevTools exports two connections beside a page. */
const DEVTOOLS = {
  log: {
    version: '1.2',
    creator: { name: 'WebInspector', version: '537.36' },
    pages: [],
    entries: [
      { request: { url: 'http://localhost/' } },
      {
        _resourceType: 'websocket',
        request: { url: 'ws://localhost/a' },
        _webSocketMessages: [
          { type: 'send', time: 1558730482.5071, opcode: 1, data: 'grüße "x"\n\u2028' },
          { type: 'receive', time: 1558730482.5883, opcode: 1, data: 'grüße "x"\n\u2028' },
          { type: 'send', time: 1558730482.6, opcode: 2, data: ALL_BYTES.toString('base64') },
          { type: 'receive', time: 1558730482.7, opcode: 2, data: ALL_BYTES.toString('base64') },
          { type: 'error', time: 1558730482.8, opcode: -1, data: 'WebSocket is closed' },
        ],
      },
    ],
  },
};
const MESSAGES = DEVTOOLS.log.entries[1]!._webSocketMessages!;

/** A line of a recording in JSON Lines. */
function line(type: 'send' | 'receive', data = 'x', time = 1): string {
  return `${JSON.stringify({ type, time, opcode: 1, data })}\n`;
}

function withoutTimes(messages: readonly Record<string, unknown>[]): unknown[] {
  return messages.map(({ time: _time, ...rest }) => rest);
}

describe('wsx record and wsx replay', () => {
  nothingLeft();

  it('take a HAR file of DevTools in and out: the messages are the same', async () => {
    const at = folder();
    const [har, copy] = [join(at, 'a.har'), join(at, 'b.HAR')];
    writeFileSync(har, JSON.stringify(DEVTOOLS));
    // A server that records what it gets would need its own recorder: the lines carry it over.
    const url = await echo();
    const replayed = await wsx(['replay', har, url, '--jsonl', '--speed', '0', '--wait', '0']);
    expect(replayed).toMatchObject({ code: 0, err: 'sent 2 messages\n' });
    const recorded = await wsx(['record', url, copy, '--jsonl', '--wait', '0'], replayed.out);
    expect(recorded.code).toBe(0);
    const { log } = JSON.parse(readFileSync(copy, 'utf8')) as Har;
    expect(log.entries).toMatchObject([{ _resourceType: 'websocket', request: { url } }]);
    const messages = log.entries[0]!._webSocketMessages;
    const byType = (type: string, list: readonly Record<string, unknown>[]) =>
      withoutTimes(list.filter((message) => message['type'] === type));
    expect(byType('send', messages)).toEqual(byType('send', MESSAGES));
    expect(byType('receive', messages)).toEqual(byType('receive', MESSAGES));
    expect(await wsx(['replay', copy, url, '--expect'])).toMatchObject({
      code: 0,
      err: 'sent 2 messages; 2 of 2 answers are as recorded\n',
    });
  });

  it('write and read JSON Lines with the times of the messages', async () => {
    const file = join(folder(), 'a.jsonl');
    const url = await echo();
    const before = Date.now() / 1000;
    const input = 'one\n\nthree';
    expect(await wsx(['record', url, file, '--wait', '0'], input)).toMatchObject({
      code: 0,
      out: 'one\n\nthree\n',
    });
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const messages = lines.map((line) => JSON.parse(line) as { type: string; time: number });
    expect(withoutTimes(messages.filter(({ type }) => type === 'send'))).toEqual([
      { type: 'send', opcode: 1, data: 'one' },
      { type: 'send', opcode: 1, data: '' },
      { type: 'send', opcode: 1, data: 'three' },
    ]);
    for (const { time } of messages) {
      // In seconds since 1970. The clock of a machine may be set while the test runs.
      expect(Math.abs(time - before)).toBeLessThan(3_600);
    }
    expect(await wsx(['replay', file, url, '--wait', '0'])).toMatchObject({
      code: 0,
      out: 'one\n\nthree\n',
    });
  });

  it.each(['a.jsonl', 'a.har'])('escape what controls a terminal in %s', async (name) => {
    const file = join(folder(), name);
    const text = '\u001b[2J\u009b2J\u202e\u0007ü';
    const url = await server((conn) => conn.send(text));
    await wsx(['record', `${url}/\u202e`, file, '--wait', '1']);
    const recording = readFileSync(file, 'utf8');
    expect(recording).not.toMatch(/[\0-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    const out = await wsx(['replay', file, await echo(), '--wait', '0']);
    expect(recording).toContain('ü');
    expect(out.code).toBe(0);
  });

  it('refuse a text with a lone surrogate in a recording, with exit code 8', async () => {
    const file = fileOf(String.raw`{"type":"send","time":1,"opcode":1,"data":"\ud800"}`);
    await fails(['replay', file, await echo()], 8, 'lone surrogate');
  });

  it('record a conversation without messages as a valid HAR file', async () => {
    const file = join(folder(), 'a.har');
    const url = await echo();
    expect(await wsx(['record', url, file, '--wait', '0'])).toMatchObject({ code: 0 });
    const { log } = JSON.parse(readFileSync(file, 'utf8')) as Har;
    expect(log.entries[0]!._webSocketMessages).toEqual([]);
  });

  it('record long messages both ways', async () => {
    const file = join(folder(), 'a.jsonl');
    const text = 'ü'.repeat(200_000);
    await wsx(['record', await echo(), file, '--wait', '0'], text);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { data: string }).data)).toEqual([text, text]);
  });

  it('keep the pauses of a recording, times --speed', async () => {
    const file = fileOf(line('send', 'x', 100) + line('send', 'x', 106));
    const times: number[] = [];
    const url = await server((conn) => conn.receive(() => void times.push(performance.now())));
    const { code } = await wsx(['replay', file, url, '--speed', '10', '--wait', '0']);
    expect(code).toBe(0);
    // 600 ms, less the delay of the first message on a busy machine.
    expect(times[1]! - times[0]!).toBeGreaterThan(150);
  });

  it('report answers that differ, are missing or have another type, with exit code 7', async () => {
    const file = fileOf(
      line('send', 'a') +
        line('receive', 'a') +
        line('send', 'b\u001b') +
        line('receive', 'B') +
        line('send', 'binary') +
        line('receive', 'binary') +
        line('send', 'no answer') +
        line('receive', 'no answer'),
    );
    const url = await server((conn) =>
      conn.receive((message) => {
        const text = message.text();
        if (text === 'no answer') return undefined;
        return conn.send(text === 'binary' ? Buffer.from(text) : text);
      }),
    );
    const run = await wsx(['replay', file, url, '--expect', '--wait', '0.3']);
    expect(run.code).toBe(7);
    expect(run.out).toBe(
      [
        'answer 2: expected "B", got "b\\u001b"',
        'answer 3: expected "binary", got 6 bytes 62696e617279',
        'answer 4: expected "no answer", got no answer',
        '',
      ].join('\n'),
    );
    expect(run.err).toContain('1 of 4 answers are as recorded');
  });

  it('report answers that the recording does not have', async () => {
    const file = fileOf(line('send') + line('receive'));
    const url = await server((conn) =>
      conn.receive(async () => {
        await conn.send('x');
        await conn.send('more');
      }),
    );
    expect(await wsx(['replay', file, url, '--expect'])).toMatchObject({
      code: 7,
      out: 'answer 2: expected no answer, got "more"\n',
    });
  });

  it('C9 keep long queues of answers that are not shifted', async () => {
    const COUNT = 300;
    const file = fileOf(line('send') + line('receive').repeat(COUNT));
    const url = await server((conn) =>
      conn.receive(async () => {
        for (let i = 0; i < COUNT; i++) await conn.send('x');
      }),
    );
    let longest = 0;
    const arrays: { shift: () => unknown } = Array.prototype;
    const { shift } = arrays;
    const ran = wsx(['replay', file, url, '--expect', '--wait', 'forever']);
    arrays.shift = function (this: unknown[]): unknown {
      const first = Object(this[0]) as object;
      if ('opcode' in first || 'bytes' in first) longest = Math.max(longest, this.length);
      return shift.call(this);
    };
    try {
      const err = `sent 1 message; ${COUNT} of ${COUNT} answers are as recorded\n`;
      expect(await ran).toMatchObject({ code: 0, err });
    } finally {
      arrays.shift = shift;
    }
    expect(longest).toBeLessThan(COUNT / 2);
  });

  it('end with the last expected answer, however long --wait is', async () => {
    const file = fileOf(line('send') + line('receive'));
    const url = await echo();
    expect(await wsx(['replay', file, url, '--expect', '--wait', 'forever'])).toMatchObject({
      code: 0,
      err: 'sent 1 message; 1 of 1 answers are as recorded\n',
    });
  });

  it.each([
    ['a.har', '', 'not JSON'],
    ['a.har', '{"log":{"entries":[', 'not JSON'],
    ['a.har', 'null', 'it has no log.entries'],
    ['a.har', '{"log":{"entries":{}}}', 'it has no log.entries'],
    ['a.har', '{"log":{"entries":[null,{"_webSocketMessages":1}]}}', 'no WebSocket messages'],
    ['a.har', '{"log":{"entries":[{"_webSocketMessages":[null]}]}}', 'message 1 is no message'],
    ['a.jsonl', '{"type":"send"}\n', 'line 1 is no message'],
    ['a.jsonl', '\n{"type":"send",\n', 'line 2: not JSON'],
    ['a.jsonl', '{"type":"send","time":1,"opcode":3,"data":"x"}', 'line 1 is no message'],
    ['a.jsonl', '\u0000\u001b[31m', 'line 1: not JSON'],
  ])('say what is wrong with %s: %j', async (name, text, words) => {
    const { code, err } = await wsx(['replay', fileOf(text, name), 'ws://127.0.0.1:1']);
    expect(err).toContain(words);
    expect(err).not.toContain('\u001b');
    expect(code).toBe(8);
  });

  it('say that a file is missing or cannot be written', async () => {
    const url = await echo();
    await fails(['replay', '/nowhere.jsonl', url], 8, 'wsx: /nowhere.jsonl: no such file\n');
    const args = ['record', url, '/nowhere/a.jsonl', '--wait', '0'];
    await fails(args, 8, 'wsx: /nowhere/a.jsonl: no such file\n');
  });

  it('keep an earlier recording when the dial fails', async () => {
    const file = fileOf('earlier');
    const url = await server(() => {}, { authenticate: () => false });
    expect((await wsx(['record', url, file, '--force'])).code).toBe(4);
    expect(readFileSync(file, 'utf8')).toBe('earlier');
  });

  it('replace a file with content only with --force, and write for the user alone', async () => {
    const file = join(folder(), 'a.jsonl');
    writeFileSync(file, 'precious', { mode: 0o644 });
    const url = await echo();
    expect(await wsx(['record', url, file, '--wait', '0'], 'x')).toMatchObject({
      code: 8,
      err: `wsx: ${file}: the file exists\n     --force replaces it\n`,
    });
    expect(readFileSync(file, 'utf8')).toBe('precious');
    const fresh = fileOf('');
    for (const [path, ...more] of [[file, '--force'], [fresh]] as const) {
      expect((await wsx(['record', url, path, ...more, '--wait', '0'], 'x')).code).toBe(0);
      expect(readFileSync(path, 'utf8').match(/"data":"x"/g)).toHaveLength(2);
      expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
    }
  });

  it.each(['pipe.jsonl', 'pipe.har'])(
    'write into %s, and leave its mode as it is',
    async (name) => {
      const file = join(folder(), name);
      execFileSync('mkfifo', ['-m', '644', file]);
      const reading = readFile(file, 'utf8');
      const recorded = await wsx(['record', await echo(), file, '--wait', '0'], 'one\n');
      expect(recorded).toMatchObject({ code: 0, out: 'one\n' });
      const text = await reading;
      expect(text.match(/"data":"one"/g)).toHaveLength(2);
      if (name.endsWith('.har')) expect(JSON.parse(text)).toHaveProperty('log');
      expect(statSync(file).mode & 0o777).toBe(0o644);
    },
  );

  it('leave a whole HAR file at each moment', async () => {
    const file = join(folder(), 'a.har');
    const run = start(['record', await echo(), file]);
    for (const text of ['one', 'two', 'x'.repeat(200_000)]) {
      run.stdin.write(`${text}\n`);
      await run.until(`${text}\n`);
      await expect.poll(() => readFileSync(file, 'utf8')).toContain(`"receive",`);
      const { log } = JSON.parse(readFileSync(file, 'utf8')) as Har;
      expect(log.entries[0]!._webSocketMessages.length).toBeGreaterThan(0);
    }
    run.interrupt();
    expect(await run.code).toBe(0);
    const { log } = JSON.parse(readFileSync(file, 'utf8')) as Har;
    expect(log.entries[0]!._webSocketMessages).toHaveLength(6);
  });

  it('read a recording of Windows: a byte order mark, CR LF, empty lines', async () => {
    const file = fileOf(`\ufeff${`${line('send')}\n`.repeat(2).replaceAll('\n', '\r\n')}`);
    expect(await wsx(['replay', file, await echo(), '--wait', '0'])).toMatchObject({
      code: 0,
      out: 'x\nx\n',
    });
  });

  it('keep a pause of 115 days', async () => {
    const file = fileOf(line('send') + line('send', 'x', 9_999_999));
    const run = start(['replay', file, await echo()]);
    await run.until('x\n');
    // A timer of a time that is too long fires after 1 ms.
    await new Promise((resolve) => setTimeout(resolve, 20));
    run.interrupt();
    expect(await run.code).toBe(0);
    expect(run.err()).toBe('sent 1 message\n');
  });

  it('bound the messages that record holds', async () => {
    const file = join(folder(), 'a.jsonl');
    const url = await server((conn) => conn.discardReads());
    expect(await wsx(['record', url, file, '--max', '65M'])).toMatchObject({
      code: 2,
      err: 'wsx: --max: wsx record holds each message, so 64M is the longest\n',
    });
    const long = Readable.from(Array.from({ length: 65 }, () => Buffer.alloc(1024 ** 2, 97)));
    const { code, err } = await wsx(['record', url, file, '--wait', '0'], long);
    expect(code).toBe(6);
    expect(err).toContain('stdin: a message is longer than 64 MiB');
  });

  it('ask for the connection when a HAR file has several', async () => {
    const entry = (path: string) => ({
      request: { url: `ws://x/${path}` },
      _webSocketMessages: [JSON.parse(line('send', path)) as unknown],
    });
    const file = fileOf(JSON.stringify({ log: { entries: [entry('a'), entry('b')] } }), 'a.har');
    const url = await echo();
    const says = '2 connections: 1 ws://x/a, 2 ws://x/b\n     choose: --entry N';
    await fails(['replay', file, url], 2, says);
    expect(await wsx(['replay', file, url, '--entry', '2', '--wait', '0'])).toMatchObject({
      code: 0,
      out: 'b\n',
    });
    expect(await wsx(['replay', file, url, '--entry', '3'])).toMatchObject({ code: 2 });
  });

  it('close cleanly at Ctrl-C within a pause', async () => {
    const file = fileOf(line('send') + line('send', 'x', 1_000));
    const run = start(['replay', file, await echo()]);
    await run.until('x\n');
    run.interrupt();
    expect(await run.code).toBe(0);
  });
});
