import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BinaryMessage } from '@ws/node-client';
import { lacksDaemon, nothingLeft, rawServer, switchingProtocols } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { echo, fileOf, folder, server } from './run.ts';
import { inPipes, KEYS, onTerminal, plain, run, type Started } from './terminal.ts';

const root = join(import.meta.dirname, '../../..');

/** Resolves when the line editor reads keys: before it, the terminal keeps Ctrl-D for itself. */
async function prompt(wsx: Started): Promise<void> {
  await wsx.until('connected');
  await wsx.until('> ');
}

describe.skipIf(lacksDaemon('python3'))('wsx URL on a terminal', () => {
  nothingLeft();

  it('has a prompt, a history, and messages above the line', async () => {
    const url = await echo();
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type(`hello${KEYS.enter}`);
    await wsx.until('< hello');
    wsx.type(`second${KEYS.enter}`);
    await wsx.until('< second');
    wsx.type(`${KEYS.up}${KEYS.up}${KEYS.enter}`);
    await wsx.until('< hello');
    wsx.type(`//slash${KEYS.enter}`);
    await wsx.until('< /slash');
    wsx.type(KEYS.ctrlD);
    expect(await wsx.code).toBe(0);
  });

  it('prints JSON in colours, and nothing that a terminal obeys', async () => {
    const url = await server(async (conn) => {
      await conn.send('{"a":1}');
      await conn.send('\u001b]0;title\u0007\u001b[2J\u009b31m\rover\nnext');
      await conn.send(Uint8Array.of(0, 27, 255));
    });
    const wsx = onTerminal([url]);
    await wsx.until('< binary, 3 bytes: 00 1b ff');
    expect(wsx.screen()).toContain('{\u001b[36m"a"\u001b[39m:\u001b[33m1\u001b[39m}');
    expect(wsx.screen()).toContain(
      '< \\u001b]0;title\\u0007\\u001b[2J\\u009b31m\\u000dover\r\n  next',
    );
    wsx.type(KEYS.ctrlC);
    expect(await wsx.code).toBe(0);
  });

  it('has no colours with NO_COLOR', async () => {
    const url = await server((conn) => conn.send('{"a":1}'));
    const wsx = onTerminal([url], { NO_COLOR: '1' });
    await wsx.until('{"a":1}');
    expect(wsx.screen()).toContain('< {"a":1}');
    wsx.type(KEYS.ctrlC);
    expect(await wsx.code).toBe(0);
  });

  it('obeys /ping, /binary, /help and /close', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 256));
    const file = fileOf(bytes, 'a file');
    let got: Uint8Array | undefined;
    let end: Promise<unknown> | undefined;
    const url = await server((conn) => {
      end = conn.closed;
      return conn.receive((message) => {
        if (message.type === BinaryMessage) got = message.data;
      });
    });
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type(`/ping${KEYS.enter}`);
    await wsx.until('pong after ');
    wsx.type(`/help${KEYS.enter}`);
    await wsx.until('/binary FILE');
    wsx.type(`/nothing${KEYS.enter}`);
    await wsx.until('! no command /nothing');
    wsx.type(`/binary ${file}x${KEYS.enter}`);
    await wsx.until('no such file');
    wsx.type(`/close 999${KEYS.enter}`);
    await wsx.until('! no close code: 999');
    // In one paste: the file is sent before the close.
    wsx.type(`/binary ${file}${KEYS.enter}/close 4001 done with it${KEYS.enter}`);
    expect(await wsx.code).toBe(0);
    expect(await end).toMatchObject({ code: 4001, reason: 'done with it', wasClean: true });
    expect(got).toEqual(new Uint8Array(bytes));
  });

  it('closes cleanly at Ctrl-C, with a line half written', async () => {
    let end: Promise<unknown> | undefined;
    const url = await server((conn) => {
      end = conn.closed;
      return conn.discardReads();
    });
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type('half');
    await wsx.until('half');
    wsx.type(KEYS.ctrlC);
    expect(await wsx.code).toBe(0);
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
  });

  it('ends at once at the second Ctrl-C, when the peer does not answer the first one', async () => {
    let closing = (): void => {};
    const closes = new Promise<void>((resolve) => {
      closing = resolve;
    });
    const { url } = await rawServer(false, async (peer) => {
      await peer.write(switchingProtocols(await peer.head()));
      peer.startFrames();
      await peer.frame(0);
      closing();
    });
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type(KEYS.ctrlC);
    await closes;
    wsx.type(KEYS.ctrlC);
    expect(await wsx.code).toBe(130);
  });

  it('reads keys while it sends a file to a peer that does not read, and obeys Ctrl-C', async () => {
    const file = fileOf(Buffer.alloc(64 * 1024 ** 2), 'large');
    const { url } = await rawServer(false, async (peer) => {
      const head = await peer.head();
      peer.stream.pause();
      await peer.write(switchingProtocols(head));
    });
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type(`/binary ${file}${KEYS.enter}`);
    await wsx.until(file);
    wsx.type('next');
    await wsx.until('next');
    // Two of them in one read would be one interrupt.
    wsx.type(`${KEYS.ctrlC}#`);
    await wsx.until('#');
    wsx.type(KEYS.ctrlC);
    expect(await wsx.code).toBe(130);
  });

  it('sends the lines before Ctrl-D, also those that come with it', async () => {
    const file = fileOf(Buffer.alloc(4 * 1024 ** 2), 'large');
    const lengths: number[] = [];
    const url = await server((conn) =>
      conn.receive((message) => void lengths.push(message.data.length)),
    );
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type(`/binary ${file}${KEYS.enter}last${KEYS.enter}${KEYS.ctrlD}`);
    expect(await wsx.code).toBe(0);
    expect(lengths).toEqual([4 * 1024 ** 2, 4]);
  });

  it('ends at Ctrl-C while it dials', async () => {
    let asked = (): void => {};
    const waits = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { url } = await rawServer(false, async (peer) => {
      await peer.head();
      asked();
    });
    const wsx = onTerminal([url]);
    await waits;
    wsx.type(KEYS.ctrlC);
    expect(await wsx.code).toBe(130);
  });

  it('ends with the connection', async () => {
    const url = await server(async (conn) => {
      await conn.readMessage();
      await conn.close(4000, 'bye');
    });
    const wsx = onTerminal([url]);
    await prompt(wsx);
    wsx.type(`x${KEYS.enter}`);
    expect(await wsx.code).toBe(5);
    expect(plain(wsx.screen())).toContain('wsx: the peer has closed with 4000: bye');
  });

  it('serves with a prompt, and numbers its clients', async () => {
    const listening = onTerminal(['listen', '127.0.0.1:0']);
    await listening.until('listening on ');
    const [, url = ''] = /listening on (ws:\S+)/.exec(plain(listening.screen())) ?? [];
    const wsx = onTerminal([url]);
    await listening.until('client 1 from ');
    await prompt(wsx);
    wsx.type(`from the client${KEYS.enter}`);
    await listening.until('1 < from the client');
    listening.type(`to all${KEYS.enter}`);
    await wsx.until('< to all');
    listening.type(KEYS.ctrlC);
    expect(await listening.code).toBe(0);
    expect(await wsx.code).toBe(0);
  });
});

describe('the process wsx', () => {
  nothingLeft();

  it('talks to the echo of the chat, as the README says', async () => {
    const pnpm = (...args: string[]) =>
      run('npx', ['-y', 'pnpm@10.34.9', '--silent', ...args], { PORT: '0' });
    const chat = run(
      process.execPath,
      ['--conditions=@ws/source', '--import', 'tsx', join(root, 'examples/chat/server.ts')],
      { PORT: '0' },
    );
    await chat.until('chat at ');
    const [, host = ''] = /http:\/\/([\d.:]+)/.exec(chat.screen()) ?? [];
    const wsx = pnpm('-C', root, 'wsx', `ws://${host}/echo`);
    wsx.child.stdin!.end('hello\n');
    await wsx.until('hello\n');
    expect(await wsx.code).toBe(0);
  });

  it('ends for a reader that has gone, and closes cleanly', async () => {
    let end: Promise<unknown> | undefined;
    const url = await server(async (conn) => {
      end = conn.closed;
      for (;;) await conn.send('line');
    });
    const bin = join(import.meta.dirname, '../bin/wsx.js');
    const shell = `'${process.execPath}' '${bin}' ${url} --wait forever </dev/null | head -2; echo "\${PIPESTATUS[0]}"`;
    const wsx = run('bash', ['-c', shell]);
    expect(await wsx.code).toBe(0);
    expect(wsx.screen()).toBe('line\nline\n8\n');
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
  });

  it('works with stdin, stdout or stderr closed', async () => {
    const url = await echo();
    const bin = join(import.meta.dirname, '../bin/wsx.js');
    const line = `'${process.execPath}' '${bin}' ${url} --wait 0`;
    const wsx = run('bash', [
      '-c',
      `${line} <&-; echo $?; echo x | ${line} >&-; echo $?; echo x | ${line} 2>&-; echo $?`,
    ]);
    expect(await wsx.code).toBe(0);
    expect(wsx.screen()).toMatch(/^0\n(?:0|8)\nx\n0\n$/);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('closes cleanly at %s', async (signal) => {
    let end: Promise<unknown> | undefined;
    const url = await server((conn) => {
      end = conn.closed;
      return conn.send('open');
    });
    const wsx = inPipes([url]);
    await wsx.until('open');
    wsx.child.kill(signal);
    expect(await wsx.code).toBe(0);
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
  });

  it('gives up a peer that never answers its close frame', async () => {
    const { url } = await rawServer(false, async (peer) => {
      await peer.write(switchingProtocols(await peer.head()));
    });
    const wsx = inPipes([url, '--wait', '0']);
    wsx.child.stdin!.end('x\n');
    expect(await wsx.code).toBe(1);
    expect(wsx.screen()).toContain('the connection broke');
  });

  it('starts ws-bench load with its options', async () => {
    // The tools of the workspace have it.
    const bench = inPipes(['bench', '--help'], {}, join(import.meta.dirname, '../../../tools'));
    expect(await bench.code).toBe(0);
    expect(bench.screen()).toContain('ws-bench load');
  });

  it('starts ws-conform, and names the package when it is missing', async () => {
    const url = await echo();
    const check = inPipes(['check', url, '--only', '1.1.1']);
    expect(await check.code).toBe(0);
    expect(check.screen()).toContain('1 passed, 0 failed');
    // A copy beside nothing has no companions.
    const alone = folder();
    const own = join(import.meta.dirname, '..');
    mkdirSync(join(alone, 'cli'));
    for (const name of ['bin', 'dist', 'package.json']) {
      cpSync(join(own, name), join(alone, 'cli', name), { recursive: true });
    }
    for (const [command, name] of [
      ['bench', '@ws/bench'],
      ['check', '@ws/conformance'],
    ]) {
      const { status, stderr } = spawnSync(
        process.execPath,
        [join(alone, 'cli/bin/wsx.js'), command!, url],
        { cwd: alone, encoding: 'utf8' },
      );
      expect(stderr).toContain(`wsx ${command} uses the package ${name}, which is not installed`);
      expect(status).toBe(2);
    }
  });

  it('carries a message of 256 MiB through listen and a client at constant memory', async () => {
    const size = 256 * 1024 ** 2;
    const listening = inPipes(['listen', '127.0.0.1:0', '--binary']);
    await listening.until('listening on ');
    const [, url = ''] = /listening on (ws:\S+)/.exec(listening.screen()) ?? [];
    const bin = join(import.meta.dirname, '../bin/wsx.js');
    const shell = `head -c ${size} /dev/zero | '${process.execPath}' '${bin}' ${url} --binary`;
    const client = run('bash', ['-c', shell]);
    let received = 0;
    listening.child.stdout!.removeAllListeners('data').on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    while (received < size) {
      await once(listening.child.stdout!, 'data');
    }
    expect(await client.code).toBe(0);
    expect(received).toBe(size);
    // Only Linux has /proc.
    const status = `/proc/${listening.child.pid}/status`;
    if (!existsSync(status)) return;
    const [, kiB] = /VmHWM:\s*(\d+)/.exec(readFileSync(status, 'utf8')) ?? [];
    expect(Number(kiB)).toBeLessThan(160 * 1024);
  });
});
