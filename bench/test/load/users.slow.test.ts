import { readFileSync } from 'node:fs';
import { type Conn, serve } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';
import type { Script, ScriptModule } from '../../src/load/script.ts';
import { ramps, type Stages, steady } from '../../src/load/stages.ts';
import { Users, type UsersResult } from '../../src/load/users.ts';

const EXAMPLE = '../../examples/chat-room.mjs';
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
/** The program of the page, as a module. */
const PAGE = `data:text/javascript,${encodeURIComponent(/```js\n([^]*?)```/.exec(readme)![1]!)}`;

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

async function startServer(handle: (conn: Conn, path: string) => unknown): Promise<string> {
  const server = await serve({ host: '127.0.0.1', port: 0 }, async (conn, request) => {
    await Promise.resolve(handle(conn, request.url ?? '')).catch(() => {});
  });
  ended.push(() => server.close({ timeout: 100 }));
  return server.url;
}

const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));

function run(script: Script, url: string, stages: Stages): Promise<UsersResult> {
  return new Users(script, { url, headers: {} }, stages).run();
}

/** A script that sends one text after the other. */
const pings: Script = async (user) => {
  const socket = await user.connect();
  while (await user.next()) {
    socket.send('ping');
    await socket.expect('ping');
  }
};

describe('Users.run', () => {
  it('counts messages and latencies of all users', async () => {
    const ran = await run(pings, await startServer(echo), steady(400, 3, undefined));
    expect(ran).toMatchObject({ errors: 0, mostConnections: 3, missedTurns: 0 });
    expect(ran.messages).toBeGreaterThan(0);
    expect(ran.latency!.p50).toBeGreaterThan(0);
    const intervals = ran.series!.map(
      ({ at, rate }, i) => (rate * (at - (ran.series![i - 1]?.at ?? 0))) / 1000,
    );
    expect(intervals.reduce((sum, count) => sum + count, 0)).toBeCloseTo(ran.messages, 3);
  });

  it('gives each planned turn to one user', async () => {
    const ran = await run(pings, await startServer(echo), steady(500, 4, 100));
    expect(ran.messages + ran.missedTurns).toBeLessThanOrEqual(50);
    expect(ran.messages).toBeGreaterThan(0);
  });

  it('charges a late turn with its wait', async () => {
    let first = true;
    const url = await startServer((conn) =>
      conn.receive(async (message) => {
        if (first) await new Promise((resolve) => setTimeout(resolve, 300));
        first = false;
        await conn.send(message);
      }),
    );
    const { latency } = await run(pings, url, steady(700, 1, 50));
    // Without the planned moments one message alone would be late.
    expect(latency!.p90).toBeGreaterThan(50);
  });

  it('opens and closes connections by stages', async () => {
    let open = 0;
    let most = 0;
    const url = await startServer(async (conn) => {
      most = Math.max(most, ++open);
      await echo(conn);
      open--;
    });
    const stages = ramps([
      { ms: 300, connections: 8 },
      // All are open before the first closes.
      { ms: 1_000, connections: 8 },
      { ms: 300, connections: 0 },
    ]);
    const ran = await run(pings, url, stages);
    expect([most, ran.mostConnections, ran.errors]).toEqual([8, 8, 0]);
    await expect.poll(() => open).toBe(0);
  });

  it('counts the errors of a script by text, and goes on', async () => {
    const url = await startServer((conn) => conn.receive(() => conn.send('pong')));
    const { errors, messages, messagesOfErrors } = await run(pings, url, steady(300, 2, undefined));
    expect([errors, messages]).toEqual([2, 0]);
    const text = [
      'a message differs at byte 1 of 4; from byte 0:',
      '  expected 70 69 6e 67  "ping"',
      '  got      70 6f 6e 67  "pong"',
    ];
    expect(messagesOfErrors).toEqual([[text.join('\n'), 2]]);
  });

  it('fails when the first connection fails', async () => {
    const refused = run(pings, 'ws://127.0.0.1:1', steady(60_000, 2, undefined));
    await expect(refused).rejects.toThrow('ECONNREFUSED');
  });

  it('ends a script that waits for a message, or for nothing', async () => {
    const url = await startServer((conn) => conn.discardReads());
    const waiting: Script = async (user) => {
      const socket = await user.connect();
      await socket.expect();
    };
    expect(await run(waiting, url, steady(100, 2, undefined))).toMatchObject({ errors: 0 });
    expect(await run(() => {}, url, steady(100, 2, undefined))).toMatchObject({ messages: 0 });
  });

  it.each<[string, Script, string]>([
    ['a pattern', async (user) => (await opened(user)).expect(/^b/), 'expected /^b/, got text "a"'],
    [
      'a function',
      async (user) => (await opened(user)).expect(() => false),
      'the function rejects text "a"',
    ],
    [
      'bytes',
      async (user) => (await opened(user)).expect(new Uint8Array([1])),
      'expected bytes 01, got text "a"',
    ],
    [
      'a message in time',
      async (user) => {
        const socket = await user.connect();
        await socket.expect('a', { timeout: 10 });
      },
      'no message within 10 ms',
    ],
  ])('reports a message that is not %s', async (_, script, text) => {
    const { messagesOfErrors } = await run(
      script,
      await startServer(echo),
      steady(200, 1, undefined),
    );
    expect(messagesOfErrors[0]![0]).toContain(text);
  });

  it.each([
    ['the example', EXAMPLE, ['/rooms/0', '/rooms/1', '/rooms/2']],
    ['the program of bench/README.md', PAGE, ['/rooms/1']],
  ])('runs %s', async (_, path, paths) => {
    const { default: chatRoom, options } = (await import(path)) as Required<ScriptModule>;
    const rooms = new Map<string, Set<Conn>>();
    const url = await startServer(async (conn, path) => {
      const room = rooms.get(path) ?? new Set();
      rooms.set(path, room.add(conn));
      await conn.send('welcome');
      await conn.receive((message) => {
        const text = message.text();
        for (const member of room) member.send(text).catch(() => {});
      });
      room.delete(conn);
    });
    const stages = ramps(
      options.stages!.map(({ connections, rate }) => ({ ms: 300, connections, rate })),
    );
    const ran = await run(chatRoom, url, stages);
    expect([ran.errors, [...rooms.keys()].toSorted()]).toEqual([0, paths]);
    expect(ran.messages).toBeGreaterThan(0);
  });
});

async function opened(user: Parameters<Script>[0]) {
  const socket = await user.connect();
  socket.send('a');
  return socket;
}
