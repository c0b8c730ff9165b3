import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { PassThrough, Writable } from 'node:stream';
import { BinaryMessage, type CloseInfo, TextMessage } from '@ws/node-client';
import { nothingLeft, rawServer, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { echo, fails, fileOf, server, stalled, start, wsx } from './run.ts';

const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
const MIB = 1024 ** 2;

describe('wsx URL in a pipe', () => {
  nothingLeft();

  it('sends each line as a text message and prints each message as a line', async () => {
    const url = await echo();
    expect(await wsx([url], 'one\ngrüße 🌍\n\nlast')).toEqual({
      code: 0,
      out: 'one\ngrüße 🌍\n\nlast\n',
      err: '',
    });
  });

  it.each([1, 2, 3, 1_000, 200_000])(
    'reads a file of Windows: a mark at its begin, CR LF, in chunks of %i bytes',
    async (size) => {
      const long = `${'a\r'.repeat(size > 100 ? 50_000 : 0)}b`;
      const text = `\ufeffone\r\n\r\ntwo\rthree\r\r\n${long}\r\n\ufefflast\r`;
      const run = start([await echo(), '--wait', '0']);
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += size) {
        run.stdin.write(bytes.subarray(at, at + size));
      }
      run.stdin.end();
      expect(await run.code).toBe(0);
      expect(run.out().toString()).toBe(`one\n\ntwo\rthree\r\n${long}\n\ufefflast\n`);
    },
  );

  it('sends nothing for a file that has a byte order mark only', async () => {
    expect(await wsx([await echo()], '\ufeff')).toEqual({ code: 0, out: '', err: '' });
  });

  it('skips empty lines of --jsonl, and keeps every byte with --null', async () => {
    const url = await echo();
    const line = '{"type":"text","data":"x"}';
    const file = `\ufeff${line}\r\n\r\n${line}\r\n\r\n`;
    expect(await wsx([url, '--jsonl'], file)).toMatchObject({ code: 0, out: `${line}\n${line}\n` });
    expect(await wsx([url, '--base64'], '\ufeffAAE=\r\n')).toMatchObject({ out: 'AAE=\n' });
    expect(await wsx([url, '--null'], '\ufeffa\r\0')).toMatchObject({ out: '\ufeffa\r\0' });
  });

  it('sends nothing for an empty stdin', async () => {
    const seen: number[] = [];
    const url = await server((conn) => conn.receive(({ type }) => void seen.push(type)));
    expect(await wsx([url, '--wait', '0'])).toMatchObject({ code: 0, out: '' });
    expect(await wsx([url, '--wait', '0', '--binary'])).toMatchObject({ code: 0, out: '' });
    expect(seen).toEqual([]);
  });

  it.each([1, 2, 3, 7])('finds the lines in chunks of %i bytes', async (size) => {
    const url = await echo();
    const text = 'a\n\nbcdef\nü\n🌍x\nend';
    const run = start([url, '--wait', '0']);
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) run.stdin.write(bytes.subarray(at, at + size));
    run.stdin.end();
    expect(await run.code).toBe(0);
    expect(run.out().toString()).toBe(`${text}\n`);
  });

  it('carries all byte values both ways with --binary, as one message', async () => {
    const types: number[] = [];
    const url = await server((conn) =>
      conn.receive((message) => {
        types.push(message.type);
        return conn.send(message);
      }),
    );
    const run = start([url, '--binary', '--wait', '0']);
    run.stdin.write(ALL_BYTES.subarray(0, 100));
    run.stdin.end(ALL_BYTES.subarray(100));
    expect(await run.code).toBe(0);
    expect(run.out()).toEqual(Buffer.from(ALL_BYTES));
    expect(types).toEqual([BinaryMessage]);
  });

  it('carries line breaks in messages with --null', async () => {
    const url = await echo();
    expect(await wsx([url, '--null'], 'a\nb\0\0c')).toMatchObject({ code: 0, out: 'a\nb\0\0c\0' });
  });

  it('carries all byte values in lines with --base64, also in long ones', async () => {
    const url = await echo();
    const long = Buffer.concat(Array.from({ length: 2_000 }, () => ALL_BYTES)).toString('base64');
    const lines = ['', 'AA==', 'AAE=', Buffer.from(ALL_BYTES).toString('base64'), long].join('\n');
    expect(await wsx([url, '--base64'], lines)).toMatchObject({ code: 0, out: `${lines}\n` });
  });

  it('carries text and bytes in lines with --jsonl, also long ones', async () => {
    const url = await echo();
    const lines = [
      '{"type":"text","data":"a\\nb\\u0000\\u001b \\u009b \\u202e ü🌍"}',
      `{"type":"binary","data":"${Buffer.from(ALL_BYTES).toString('base64')}"}`,
      `{"type":"text","data":"${'ü'.repeat(100_000)}"}`,
      `{"type":"binary","data":"${'A'.repeat(400_000)}"}`,
    ].join('\n');
    expect(await wsx([url, '--jsonl'], lines)).toMatchObject({ code: 0, out: `${lines}\n` });
  });

  it('sends the start of a long line before its end has come', async () => {
    let first: Promise<number> | undefined;
    const url = await server(async (conn) => {
      const reader = await conn.nextReader();
      expect(reader.type).toBe(TextMessage);
      first = reader.read(Buffer.alloc(16));
      expect(await first).toBeGreaterThan(0);
      await conn.send('it has begun');
      expect((await reader.text()).length).toBeGreaterThan(100_000);
    });
    const run = start([url]);
    run.stdin.write('x'.repeat(200_000));
    await run.until('it has begun\n');
    run.stdin.end('\n');
    expect(await run.code).toBe(0);
  });

  it('prints the start of a long message before its end has come', async () => {
    let finish = (): void => {};
    const url = await server(async (conn) => {
      const writer = await conn.nextWriter(TextMessage);
      await writer.write('y'.repeat(MIB));
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      await writer.close();
      await conn.discardReads();
    });
    const run = start([url]);
    await run.until('yyyy');
    finish();
    await run.until('y\n');
    run.stdin.end();
    expect(await run.code).toBe(0);
    expect(run.out().length).toBe(MIB + 1);
  });

  it('prints what the peer sends after the close frame of this end, however slow stdout is', async () => {
    const url = await server(
      async (conn) => {
        await conn.readMessage();
        conn.setCloseHandler(async () => {
          // More than sockets hold, and more than any read-ahead.
          for (let i = 0; i < 24; i++) await conn.send(Buffer.alloc(MIB, 97));
        });
        await conn.discardReads();
      },
      { closeTimeout: 60_000 },
    );
    const stdout = new PassThrough({ highWaterMark: 1 });
    const run = start([url, '--binary', '--wait', '0'], { stdout });
    run.stdin.end('x');
    // The read side of stdout starts after longer than the library waits for a single read.
    await new Promise((resolve) => setTimeout(resolve, 600));
    let length = 0;
    stdout.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    expect(await run.code).toBe(0);
    expect(length).toBe(24 * MIB);
  });

  it('slows the peer while stdout is blocked', async () => {
    let sent = 0;
    const url = await server(async (conn) => {
      for (; sent < 64; sent++) await conn.send(Buffer.alloc(MIB));
      await conn.close();
    });
    const stdout = new PassThrough({ highWaterMark: 1 });
    const run = start([url, '--binary'], { stdout });
    await stalled(() => sent);
    expect(sent).toBeLessThan(40);
    stdout.resume();
    expect(await run.code).toBe(0);
    expect(sent).toBe(64);
  });

  it('waits --wait seconds for answers after the end of stdin', async () => {
    const never = await server((conn) => conn.discardReads());
    expect(await wsx([never, '--wait', '0.05'], 'x\n')).toMatchObject({ code: 0, out: '' });
    // The server's close ends the wait, so no answer is too late.
    const url = await server(async (conn) => {
      await conn.readMessage();
      setTimeout(() => void conn.send('late').then(() => conn.close()), 100);
    });
    expect(await wsx([url, '--wait', '60'], 'x\n')).toMatchObject({ code: 0, out: 'late\n' });
    const run = start([await echo(), '--wait', 'forever']);
    run.stdin.end('x\n');
    await run.until('x\n');
    run.interrupt();
    expect(await run.code).toBe(0);
  });

  it('dials again with --reconnect, and sends on', async () => {
    let connections = 0;
    const url = await server(async (conn) => {
      const isFirst = ++connections === 1;
      await conn.receive(async (message) => {
        await conn.send(`${connections} ${message.text()}`);
        if (isFirst) conn.terminate();
      });
    });
    const run = start([url, '--reconnect', '--wait', '0']);
    run.stdin.write('a\n');
    while (connections < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    run.stdin.write('b\n');
    await run.until('2 b\n');
    run.stdin.end();
    expect(await run.code).toBe(0);
  });
});

describe('wsx URL --reconnect', () => {
  nothingLeft();

  it.each([['--binary'], []])(
    'ends when the connection breaks within a long message: %s',
    async (...format) => {
      let connections = 0;
      const url = await server(async (conn) => {
        connections++;
        const reader = await conn.nextReader();
        await reader.read(Buffer.alloc(MIB));
        conn.terminate();
      });
      const run = start([url, '--reconnect', '--wait', 'forever', ...format]);
      run.stdin.on('error', () => {});
      const writing = setInterval(() => run.stdin.write(Buffer.alloc(MIB, 97)), 1);
      expect(await run.code).toBe(1);
      clearInterval(writing);
      expect(connections).toBeLessThan(3);
      await run.until('wsx: the connection ');
    },
  );

  it('ends at Ctrl-C between two connections', async () => {
    const listener = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    whenOver(() => new Promise((resolve) => listener.close(resolve)));
    const { port } = listener.address() as AddressInfo;
    const run = start([`ws://127.0.0.1:${port}`, '--reconnect']);
    await run.until('next try within');
    run.interrupt();
    expect(await run.code).toBe(130);
  });
});

describe('the exit code of wsx URL', () => {
  nothingLeft();

  it.each([
    { code: 1000, exit: 0 },
    { code: 1001, exit: 0 },
    { code: 1008, exit: 5 },
    { code: 4000, exit: 5 },
  ])('is $exit after close code $code of the peer', async ({ code, exit }) => {
    const url = await server((conn) => conn.close(code, 'bye\u001b[31m'));
    const run = start([url]);
    expect(await run.code).toBe(exit);
    if (exit === 5) await run.until(`the peer has closed with ${code}: bye\\u001b[31m`);
  });

  it('is 1 when the peer breaks the connection', async () => {
    const url = await server((conn) => conn.terminate());
    const run = start([url]);
    expect(await run.code).toBe(1);
    await run.until('the connection broke');
  });

  it('is 1 when the peer closes before all of stdin is sent', async () => {
    const url = await server((conn) => conn.close());
    const run = start([url, '--binary']);
    run.stdin.on('error', () => {});
    const writing = setInterval(() => run.stdin.write(Buffer.alloc(MIB)), 1);
    expect(await run.code).toBe(1);
    clearInterval(writing);
    await run.until('the peer has closed before all of stdin was sent');
  });

  it.each([
    {
      args: ['localhost:8080'],
      says: 'wsx: malformed WebSocket URL: it has no scheme; write ws://localhost:8080\n',
    },
    {
      args: ['ws://ann:secret@127.0.0.1:1'],
      says: 'wsx: malformed WebSocket URL: user info in a URL is not supported\n     log in with --user NAME:PASSWORD\n',
    },
    {
      args: ['trase', 'ws://127.0.0.1:1'],
      says: 'no URL and no command: trase; did you mean trace?',
    },
    { args: ['frobnicate', 'x'], says: 'no URL and no command: frobnicate; wsx --help lists them' },
    { args: ['replay', 'ws://h', 'a.jsonl'], says: 'got the URL instead of FILE' },
    { args: ['record', 'a.jsonl', 'ws://h'], says: 'got the URL instead of FILE' },
  ])('is 2 for $args', async ({ args, says }) => {
    await fails(args, 2, says);
  });

  it('is 2 for a certificate without its key', async () => {
    const file = fileOf('-----BEGIN CERTIFICATE-----\n');
    const { code, err } = await wsx(['listen', '0', '--cert', file]);
    expect({ code, err }).toEqual({
      code: 2,
      err: `wsx: --cert: ${file} has no private key\n     --key FILE names the file that has it\n`,
    });
  });

  it('is 3 when nothing listens', async () => {
    await fails(['ws://127.0.0.1:1'], 3, 'nothing listens there');
  });

  it('is 3 for a certificate that no authority has signed, with a cure', async () => {
    const url = await echo({ tls: await selfSigned() });
    const refused = await wsx([url]);
    expect(refused.code).toBe(3);
    expect(refused.err).toContain('self-signed');
    expect(refused.err).toContain('--cacert FILE trusts its authority, --insecure accepts any');
    expect(await wsx([url, '--insecure'], 'x\n')).toMatchObject({ code: 0, out: 'x\n' });
  });

  it('is 4 when the server refuses, with a cure', async () => {
    const url = await echo({ authenticate: ({ headers }) => headers.authorization === BASIC });
    const { code, err } = await wsx([url]);
    expect(code).toBe(4);
    expect(err).toMatch(/401[^]*log in with --user NAME:PASSWORD/);
    expect(await wsx([url, '--user', 'ann:secret'], 'x')).toMatchObject({ code: 0, out: 'x\n' });
  });

  it('is 6 for a message over --max', async () => {
    const url = await server((conn) => conn.send('x'.repeat(2_000)));
    const run = start([url, '--max', '1k']);
    expect(await run.code).toBe(6);
    await run.until('--max sets another limit');
    expect(run.err()).not.toContain('readLimit');
  });

  it.each([
    { what: 'UTF-8', line: 'ü\xff', options: [] },
    { what: 'UTF-8', line: `${'x'.repeat(100_000)}\xff`, options: [] },
    { what: 'base64', line: 'A', options: ['--base64'] },
    {
      what: 'base64',
      line: `${'A'.repeat(100_000)}=${'A'.repeat(100_003)}`,
      options: ['--base64'],
    },
    { what: 'UTF-8', line: '{"type":"text","data":"\xff"}', options: ['--jsonl'] },
    { what: 'text', line: String.raw`{"type":"text","data":"\ud800"}`, options: ['--jsonl'] },
    { what: 'JSON', line: '{', options: ['--jsonl'] },
    { what: 'message', line: '{"type":"text"}', options: ['--jsonl'] },
    { what: 'message', line: 'null', options: ['--jsonl'] },
  ])('is 8 for a line that is no $what, with its number', async ({ line, options }) => {
    const url = await echo();
    const good = options[0] === '--jsonl' ? '{"type":"text","data":"a"}' : 'AAAA';
    const input = Buffer.from(`${good}\n${line}\n`, 'latin1');
    const { code, err } = await wsx([url, ...options], input);
    expect(code).toBe(8);
    expect(err).toMatch(/^wsx: stdin: line 2 is n/);
  });

  it('is 8 when stdout fails, and silent for a reader that has gone', async () => {
    const url = await server(async (conn) => {
      await conn.send('x');
      expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
    });
    for (const [code, words] of [
      ['EPIPE', ''],
      ['ENOSPC', 'wsx: stdout: no space left\n'],
    ]) {
      const failing = new Writable({
        write: (_chunk, _encoding, done) =>
          done(Object.assign(new Error('failed'), { code, syscall: 'write' })),
      });
      const run = start([url], { stdout: failing });
      expect(await run.code).toBe(8);
      await new Promise((resolve) => setImmediate(resolve));
      expect(run.err()).toBe(words);
    }
  });

  it('is 0 after Ctrl-C and a clean close', async () => {
    let info: Promise<CloseInfo> | undefined;
    const url = await server((conn) => {
      info = conn.closed;
      return conn.send('open');
    });
    const run = start([url]);
    await run.until('open');
    run.interrupt();
    expect(await run.code).toBe(0);
    expect(await info).toMatchObject({ code: 1000, wasClean: true });
  });

  it('is 130 for Ctrl-C while it dials', async () => {
    let asked = (): void => {};
    const waits = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { url } = await rawServer(false, async (peer) => {
      await peer.head();
      asked();
    });
    const run = start([url]);
    await waits;
    run.interrupt();
    expect(await run.code).toBe(130);
  });
});

const BASIC = `Basic ${Buffer.from('ann:secret').toString('base64')}`;

describe('the options of a handshake', () => {
  nothingLeft();

  it('send headers, the origin, the login and subprotocols', async () => {
    const seen: Record<string, unknown>[] = [];
    const url = await echo({
      authenticate: ({ headers }) => {
        seen.push(headers);
        return true;
      },
      checkOrigin: () => true,
      subprotocols: ['b'],
    });
    const login = ['--user', 'ann:secret', '--origin', 'https://example.org'];
    const headers = ['-H', 'X-A: 1', '--header', 'Cookie: a=b: c'];
    const { code } = await wsx([url, ...headers, ...login, '-s', 'a', '-s', 'b', '--wait', '0']);
    expect(code).toBe(0);
    expect(seen).toMatchObject([
      {
        'x-a': '1',
        cookie: 'a=b: c',
        origin: 'https://example.org',
        authorization: BASIC,
        'sec-websocket-protocol': 'a, b',
      },
    ]);
  });

  it('come from a file or the environment, where no list of processes shows them', async () => {
    const seen: Record<string, unknown>[] = [];
    const url = await echo({ authenticate: ({ headers }) => seen.push(headers) > 0 });
    const file = fileOf('\ufeffX-A: 1\r\n\nCookie: a=@b\n');
    const args = ['-H', `@${file}`, '-H', 'X-B: 2', '--user', '@env:LOGIN', '--wait', '0'];
    const run = start([url, ...args], { env: { LOGIN: 'ann:secret' } });
    run.stdin.end();
    expect(await run.code).toBe(0);
    expect(seen).toMatchObject([{ 'x-a': '1', cookie: 'a=@b', 'x-b': '2', authorization: BASIC }]);
  });

  it('name the file or the variable that is not there', async () => {
    const url = 'ws://127.0.0.1:1';
    const nope = 'wsx: --user: the environment has no variable NOPE\n';
    await fails([url, '--user', '@env:NOPE'], 2, nope);
    await fails([url, '-H', '@nowhere'], 8, 'wsx: --header: nowhere: no such file\n');
    const file = fileOf('a:b\nc:d\n');
    const says = `wsx: --user: expected one line in @${file}, got 2\n`;
    await fails([url, '--user', `@${file}`], 2, says);
  });

  it('agree on compression and on HTTP/2', async () => {
    const url = await echo({ compression: true, http2: 'clear' });
    expect(await wsx([url, '--http2', '--compress'], 'hello\n')).toMatchObject({
      code: 0,
      out: 'hello\n',
    });
  });

  it('connect through a proxy', async () => {
    const url = await echo();
    const asked: string[] = [];
    const proxy = createServer((socket) => {
      socket.once('data', (head) => {
        asked.push(head.toString().split('\r\n')[0]!);
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      });
      socket.on('error', () => {});
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    whenOver(() => new Promise((resolve) => proxy.close(resolve)));
    const { port } = proxy.address() as AddressInfo;
    const says = 'write the password of the proxy into its URL';
    await fails([url, '--proxy', `127.0.0.1:${port}`], 4, says);
    expect(asked).toEqual([`CONNECT ${new URL(url).host} HTTP/1.1`]);
  });

  it.each([
    [['--header', 'x'], "--header: expected 'NAME: VALUE', got no colon after a name"],
    [['--user', 'ann'], '--user: expected NAME:PASSWORD'],
    [['--ping', 'x'], '--ping: expected seconds, such as 5 or 0.5, got x'],
    [['--max', '-1'], '--max needs a value'],
    [['--max', '12q'], '--max: expected bytes, such as 65536, 64k or 16M, got 12q'],
    [['--wait', 'x'], '--wait: expected seconds, such as 5 or 0.5, got x'],
    [['--proxy', 'http://a:secret@['], 'such as http://host:3128, or none\n'],
    [['--key', 'x'], '--key needs --cert'],
    [['--binary', '--jsonl'], '--binary and --jsonl exclude each other'],
    [['--hedaer', 'x'], 'unknown option --hedaer; did you mean --header?'],
    [['--hexdump'], 'unknown option --hexdump; did you mean --hex?'],
    [['--echo'], 'wsx URL has no option --echo'],
    [['--subprotocol', 'a b'], 'name 1 is not a token'],
  ])('refuse %j with exit code 2', async (options, words) => {
    await fails(['ws://127.0.0.1:1', ...options], 2, words);
  });

  it('name a file that cannot be read', async () => {
    const says = 'wsx: --cacert: /nowhere.pem: no such file\n';
    await fails(['wss://127.0.0.1:1', '--cacert', '/nowhere.pem'], 8, says);
  });
});
