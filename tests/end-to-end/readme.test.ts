import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Conn, connPair, TextMessage } from '@ws/conn';
import { dial, ReconnectingConn } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

// Each factual sentence of README.md, and each cell of its table, has a test: here, or in the file
// that `SHOWN_ELSEWHERE` names. The measured rows are checked by bench/test/recorded/pages.test.ts.
// Not tested: uWebSockets.js, which is not on npm, and the commands for Windows.

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const readme = read('README.md').replace(/\s+/g, ' ');
const ws = createRequire(import.meta.url).resolve('ws/package.json');

/** Checks that the README still says this. */
function says(quote: string): void {
  expect(readme).toContain(quote);
}

/** The claims that other files show: a quote, the file, and the title of the test. */
const SHOWN_ELSEWHERE: readonly (readonly [quote: string, file: string, title: string])[] = [
  [
    '[The codec](docs/codec.md) works without a connection, and creates no object per frame.',
    'packages/codec/test/allocation.test.ts',
    'per frame, nothing is allocated',
  ],
  [
    'Backpressure, streams, limits, heartbeats, deadlines and compression are built in.',
    'packages/conn/test/conn.test.ts',
    'propagates backpressure in both directions',
  ],
  [
    'There is no runtime dependency.',
    'tests/attacks/repository.test.ts',
    'adds no dependency, and runs no script during its installation',
  ],
  [
    'The first command installs, builds and starts [a chat](examples/chat) on port 8080 (`PORT` selects another).',
    'examples/chat/test/server.slow.test.ts',
    'sends members and messages to visitors',
  ],
  [
    'Open its page in two windows.',
    'examples/chat/test/browser.slow.test.ts',
    'shows a message of one window in the other',
  ],
  [
    'The second one, in another terminal, is [a prompt](docs/wsx.md) that talks to its echo.',
    'packages/cli/test/terminal.slow.test.ts',
    'talks to the echo of the chat, as the README says',
  ],
  [
    'ends with the line `N passed, N failed`. It lists the tests that it skips for a missing program',
    'tools/count-reporter.ts',
    'Names the skipped tests, and ends a run with the line',
  ],
  [
    'leaves a tarball of each package in `.out/pack`, and tests them, which takes some minutes',
    'tools/test/install.long.test.ts',
    'the installed packages',
  ],
  [
    'copies those that you name to `vendor/ws` and installs them by npm, pnpm or yarn',
    'tools/test/managers.long.test.ts',
    'installs a server, and then a client, by $name',
  ],
  [
    '[A hub](docs/rooms.md) sends to rooms and users, on one node or on many.',
    'packages/hub/test/hub.test.ts',
    'Hub',
  ],
  [
    '[@ws/browser](docs/browser.md) has the same `dial` for pages.',
    'packages/browser/test/types.test.ts',
    'BrowserConn',
  ],
  [
    'A `Conn` runs over [your own transport](docs/custom-transports.md).',
    'examples/custom-transport/test/programs.test.ts',
    'has a client and a server that talk to each other',
  ],
  [
    'shared engines; an idle connection keeps none',
    'tests/attacks/compressed-state.test.ts',
    'three thousand idle connections with compression',
  ],
  [
    'If another library requires `ws` (socket.io, graphql-ws, webpack-dev-server), [@ws/compat](docs/compat.md) can take its place.',
    'packages/compat/test/dependents.long.test.ts',
    'webpack-dev-server',
  ],
  [
    'every error has a `code`, such as `WS_ERR_TIMEOUT`: [its anchor]',
    'tools/test/error-messages.test.ts',
    'has an anchor for each code in the sources',
  ],
  [
    'runs one of these programs, each with a test; without a name it lists them',
    'tools/test/pages.test.ts',
    'has every example and every package in the README, each with a README and a test',
  ],
  [
    'In a copy of its folder, run `node <the clone>/.out/pack/install.mjs`, then `npm start`',
    'tools/test/managers.long.test.ts',
    'installs a copy of examples/%s, which starts',
  ],
  [
    'builds these pages as a site, with a search and the API of every package.',
    'tools/test/site.long.test.ts',
    'site',
  ],
];

describe('README.md', () => {
  it.each(SHOWN_ELSEWHERE)('has a test for: %s', (quote, file, title) => {
    says(quote);
    expect(existsSync(join(root, file))).toBe(true);
    expect(read(file)).toContain(title);
  });

  it('says which Node the packages need, as their manifests do', () => {
    says('It needs Node ≥ 20.19.');
    says('or Node before 20.19: that is `ws`');
    for (const name of readdirSync(join(root, 'packages'))) {
      const { engines } = JSON.parse(read(`packages/${name}/package.json`)) as {
        engines?: { node?: string };
      };
      expect(engines?.node).toMatch(/^(?:>=|\^)20\.19\b/);
    }
  });

  it('says that the names of the packages start with @ws/', () => {
    says('in packages whose names start with `@ws/`');
    const names = readdirSync(join(root, 'packages')).map(
      (name) => (JSON.parse(read(`packages/${name}/package.json`)) as { name: string }).name,
    );
    expect(names.filter((name) => !name.startsWith('@ws/'))).toEqual([]);
  });
});

describe('the programs of README.md', () => {
  nothingLeft();

  it('show a server whose loop reads no message while the peer does not read', async () => {
    says('While the peer does not read, `send` waits, and the loop reads no message.');
    const [client, server] = connPair();
    whenOver(() => client.terminate());
    let read = 0;
    const loop = (async () => {
      for await (const message of server) {
        read++;
        await server.send(message);
      }
    })();
    const message = new Uint8Array(200_000);
    const writes = Array.from({ length: 20 }, () => client.send(message));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(read).toBeLessThan(5);
    void client.discardReads();
    await Promise.all(writes);
    await client.close();
    await loop;
    expect(read).toBe(20);
  });

  it('show a client that prints this', async () => {
    says("It prints `hello { code: 1000, reason: '', wasClean: true }`.");
    const server = await serve({ host: '127.0.0.1', port: 0 }, async (conn) => {
      for await (const message of conn) await conn.send(message);
    });
    whenOver(() => server.close());
    const conn = await dial(server.url);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(await conn.close()).toEqual({ code: 1000, reason: '', wasClean: true });
  });

  it('show a ReconnectingConn that keeps messages without a connection', async () => {
    says(
      'A `ReconnectingConn` dials again and keeps the messages that you send while it has no connection.',
    );
    const got: string[] = [];
    const collect = async (conn: Conn): Promise<void> => {
      for await (const message of conn) got.push(message.text());
    };
    const first = await serve({ host: '127.0.0.1', port: 0 }, collect);
    const port = Number(new URL(first.url).port);
    const live = new ReconnectingConn(first.url, { minDelay: 1, maxDelay: 5, report: () => {} });
    await live.send('one');
    await first.close();
    const waits = live.send('two');
    const second = await serve({ host: '127.0.0.1', port }, collect);
    whenOver(() => second.close());
    await waits;
    await live.close();
    expect(got).toEqual(['one', 'two']);
  });
});

describe('the table of README.md, about these packages', () => {
  nothingLeft();

  it('is right about the form and the client', () => {
    says('| form | TypeScript, no dependency |');
    says('| client | yes | yes | no |');
    expect(typeof dial).toBe('function');
    expect(existsSync(join(root, 'packages/conn/src/index.ts'))).toBe(true);
  });

  it('is right about backpressure', async () => {
    says('| backpressure | `await`, bounded at 16 MiB |');
    const [client] = connPair();
    whenOver(() => client.terminate());
    const writes = Array.from({ length: 17 }, () => client.send(new Uint8Array(1024 * 1024)));
    const outcomes = await Promise.allSettled([writes.at(-1)!]);
    expect(outcomes).toMatchObject([{ reason: { code: 'WS_ERR_BACKPRESSURE' } }]);
  });

  it('is right about streams', async () => {
    says('| messages as streams | read and written |');
    const [client, server] = connPair();
    whenOver(() => client.terminate());
    const writer = await client.nextWriter(TextMessage);
    await writer.write('a piece that is larger than one write buffer'.repeat(200));
    // Before the message is complete.
    const reader = await server.nextReader();
    expect(await reader.read(new Uint8Array(10))).toBe(10);
    await writer.close();
    expect((await reader.text()).length).toBeGreaterThan(0);
  });

  it('is right about the errors of a connection', async () => {
    says('| an error of a connection | rejects promises of its `Conn`, which you may ignore |');
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    whenOver(() => void process.off('unhandledRejection', note));
    const [client, server] = connPair();
    void client.readMessage();
    void client.receive(() => {});
    void client.ping();
    server.terminate();
    await client.closed;
    void client.send('late');
    void client.readMessage();
    void client.nextWriter(TextMessage);
    void client[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(unhandled).toEqual([]);
  });

  it('is right about deadlines and signals, for each read and write', async () => {
    says('| deadlines, `AbortSignal` | for each read and write |');
    const reason = new Error('mine');
    const signal = AbortSignal.abort(reason);
    const calls: readonly ((conn: Conn, options: { signal?: AbortSignal }) => unknown)[] = [
      (conn, options) => conn.readMessage(options),
      (conn, options) => conn.readJSON(options),
      (conn, options) => conn.nextReader(options),
      (conn, options) => conn.send('x', options),
      (conn, options) => conn.writeMessage(TextMessage, 'x', options),
      (conn, options) => conn.writeJSON({}, options),
    ];
    for (const call of calls) {
      const [client] = connPair();
      await expect(call(client, { signal })).rejects.toBe(reason);
      client.setReadDeadline(new Date(0));
      client.setWriteDeadline(new Date(0));
      await expect(call(client, {})).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
      client.terminate();
    }
  });

  it('is right about foreign origins', async () => {
    says('| foreign origins | 403 by default |');
    const server = await serve({ host: '127.0.0.1', port: 0 }, () => {});
    whenOver(() => server.close());
    await expect(
      dial(server.url, { headers: { Origin: 'https://example.org' } }),
    ).rejects.toMatchObject({ status: 403 });
  });
});

describe('the table of README.md, about the package ws', () => {
  it('is right about its form and its client', () => {
    says('| JavaScript, optional native parts |');
    const manifest = JSON.parse(readFileSync(ws, 'utf8')) as {
      main: string;
      peerDependenciesMeta: object;
    };
    expect(manifest.main).toBe('index.js');
    expect(manifest.peerDependenciesMeta).toMatchObject({ bufferutil: { optional: true } });
    expect(typeof WebSocket).toBe('function');
  });

  it('is right about backpressure, streams, deadlines and foreign origins', async () => {
    says('| `bufferedAmount`, a callback; no bound |');
    says('| written in fragments | written in fragments |');
    says('| for each read and write | no |');
    says('| 403 by default | accepted |');
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = new WebSocket(`ws://127.0.0.1:${port}`, { origin: 'https://example.org' });
    await once(client, 'open');
    // Far above any bound of ours, without an error.
    const sent: (Error | undefined)[] = [];
    const done = new Promise<void>((resolve) => {
      for (let i = 0; i < 32; i++) {
        client.send(new Uint8Array(1024 * 1024), { fin: i === 31 }, (error) => {
          sent.push(error);
          if (sent.length === 32) resolve();
        });
      }
    });
    expect(client.bufferedAmount).toBeGreaterThan(16 * 1024 * 1024);
    await done;
    expect(sent.filter(Boolean)).toEqual([]);
    expect(Object.keys(Object.getOwnPropertyDescriptors(WebSocket.prototype))).not.toContain(
      'setReadDeadline',
    );
    client.terminate();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is right about its errors', () => {
    says('| is an event `error`, which ends the process without a listener |');
    const program = `new (require(${JSON.stringify(ws.replace(/package\.json$/, ''))}))('ws://127.0.0.1:1')`;
    const { status, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
    expect(status).not.toBe(0);
    expect(stderr).toContain("Unhandled 'error' event");
  });

  it('is right about its compression', () => {
    says('| one engine and window per connection |');
    const source = readFileSync(ws.replace('package.json', 'lib/permessage-deflate.js'), 'utf8');
    expect(source).toContain('this._deflate = zlib.createDeflateRaw(');
    expect(source).toContain('this._inflate = zlib.createInflateRaw(');
  });
});
