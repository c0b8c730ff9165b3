import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type CloseInfo, type Conn, serve, type WsServer } from '@ws/node-server';
import { ownPort } from '@ws/tests';
import { ENDED_BY_SIGINT, startExample } from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

/** Timeout of a test on a busy machine. */
const PATIENCE_MS = 60_000;

/** A feed that runs one function for each visitor in turn, after the visitor has subscribed. */
async function feed(port: number, ...does: ((conn: Conn) => unknown)[]) {
  const asked: unknown[] = [];
  let n = 0;
  const server: WsServer = await serve({ host: '127.0.0.1', port }, async (conn) => {
    asked.push(await conn.readJSON());
    await does[n++]?.(conn);
    await conn.discardReads();
  });
  onTestFinished(async () => void (await server.close()));
  return { server, asked, url: `${server.url}/` };
}

const item = (id: number): string => JSON.stringify({ id, text: `item ${id}` });

const client = fileURLToPath(new URL('../client.ts', import.meta.url));

function start(url: string, stderr: 'inherit' | 'pipe' = 'inherit') {
  const child = spawn(process.execPath, [...LOADER, client], {
    env: { ...process.env, FEED: url },
    stdio: ['ignore', 'pipe', stderr],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let printed = '';
  for (const stream of [child.stdout!, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const ended = once(child, 'close');
  return {
    output: () => printed,
    prints: (text: string): Promise<void> =>
      vi.waitFor(() => expect(printed).toContain(text), { timeout: PATIENCE_MS }),
    interrupt: () => child.kill('SIGINT'),
    /** Resolves with the exit code. */
    exit: async (): Promise<unknown> => (await ended)[0],
  };
}

describe('examples/reconnecting-client', () => {
  it('follows a feed through a reset, a restart and its end', {
    timeout: PATIENCE_MS,
  }, async () => {
    const port = await ownPort();
    const first = await feed(
      port,
      async (conn) => {
        await conn.send(item(1));
        await conn.send(item(2));
        await conn.ping();
        conn.terminate();
      },
      (conn) => conn.send(item(3)),
    );
    const program = start(first.url);
    await program.prints('3: item 3');
    await first.server.close();
    await program.prints('no connection');
    const second = await feed(port, async (conn) => {
      await conn.send(item(4));
      await conn.close(1000);
    });
    expect(await program.exit()).toBe(0);
    expect(first.asked).toEqual([
      { subscribe: 'news', after: 0 },
      { subscribe: 'news', after: 2 },
    ]);
    expect(second.asked).toEqual([{ subscribe: 'news', after: 3 }]);
    expect(program.output()).toMatch(/lost: websocket: close 1006/);
    expect(program.output().match(/^\d: item \d$/gm)).toEqual(
      [1, 2, 3, 4].map((n) => `${n}: item ${n}`),
    );
  });

  it('waits for a missing server, and ends by Ctrl-C', {
    timeout: PATIENCE_MS,
  }, async () => {
    const program = start('ws://127.0.0.1:1/');
    await program.prints('no connection after 3 tries');
    program.interrupt();
    expect(await program.exit()).toBe(0);
    expect(program.output()).toMatch(/^over$/m);
  });

  it('closes with 1007 on a malformed item, and reconnects', {
    timeout: PATIENCE_MS,
  }, async () => {
    const ends: Promise<CloseInfo>[] = [];
    const says =
      (what: string | Uint8Array) =>
      async (conn: Conn): Promise<void> => {
        ends.push(conn.closed);
        await conn.send(what);
      };
    const { url, asked } = await feed(
      0,
      says('no JSON'),
      says('null'),
      says('{"id":"8","text":"a string"}'),
      says(Uint8Array.of(0xff)),
      async (conn) => {
        await conn.send(item(1));
        await conn.close(1000);
      },
    );
    const program = start(url);
    expect(await program.exit()).toBe(0);
    expect((await Promise.all(ends)).map(({ code }) => code)).toEqual([1007, 1007, 1007, 1007]);
    expect(asked).toHaveLength(5);
    expect(program.output()).toContain('1: item 1');
  });

  it.each(['nonsense', 'ftp://127.0.0.1/', 'ws://'])(
    'rejects %s as FEED',
    {
      timeout: PATIENCE_MS,
    },
    async (url) => {
      const program = start(url, 'pipe');
      expect(await program.exit()).toBe(1);
      expect(program.output()).toBe(
        `FEED: expected the URL of a WebSocket, got ${JSON.stringify(url)}\n`,
      );
    },
  );

  it('runs as in its README, and closes its connection by Ctrl-C', {
    timeout: PATIENCE_MS,
  }, async () => {
    let report!: (code: number) => void;
    const closed = new Promise<number>((resolve) => {
      report = resolve;
    });
    const { url } = await feed(0, async (conn) => {
      void conn.closed.then(({ code }) => report(code));
      await conn.send(item(1));
    });
    const program = await startExample('reconnecting-client', { FEED: url });
    onTestFinished(async () => void (await program.stop()));
    await vi.waitFor(() => expect(program.output()).toContain('1: item 1'), {
      timeout: PATIENCE_MS,
    });
    expect(ENDED_BY_SIGINT).toContain(await program.stop('SIGINT'));
    expect(await closed).toBe(1000);
    expect(program.output()).toMatch(/^over$/m);
  });
});
