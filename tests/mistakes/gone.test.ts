// CHANGELOG.md: "An option that is gone is a TypeError that says what to write instead". The table there, row by row.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as browser from '@ws/browser';
import * as codec from '@ws/codec';
import * as conns from '@ws/conn';
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { natsBackplane } from '@ws/hub/nats';
import { dial, ReconnectingConn } from '@ws/node-client';
import { configureCompression, serve, Upgrader } from '@ws/node-server';
import { contract } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';

const require = createRequire(import.meta.url);

type Call = () => unknown;
/** What the error says. `absent` is a name that no package exports. */
type Said = RegExp | 'absent';
// oxlint-disable-next-line typescript/no-explicit-any -- what callers without types pass
type Untyped = any;

class PageSocket extends EventTarget {
  readonly readyState = 1;
  send(): void {}
  close(): void {}
}

const schema: Untyped = z.object({ x: z.number() });
const handler = (): void => {};
const conn = (): Untyped => connPair({ client: { report: handler } })[0];
const hub = (options: object = {}): Untyped => new Hub(options);
const server = (options: object): unknown => serve({ port: 0, ...options }, handler);
const page = (options: object): unknown =>
  browser.dial('ws://127.0.0.1:9', { WebSocket: PageSocket, ...options } as Untyped);
const pageConn = (): Untyped => browser.fromWebSocket(new PageSocket() as Untyped);
const live = (): Untyped => {
  const made = new ReconnectingConn('ws://127.0.0.1:9', { report: handler });
  onTestFinished(() => void made.close());
  return made;
};
const decoder = (option: string): unknown =>
  new codec.FrameDecoder({ role: 'server', [option]: 5 } as Untyped);
const names = (space: object, ...absent: string[]): Call[] =>
  absent.map((name) => () => {
    if (!(name in space)) throw new TypeError(`${name} is not exported`);
  });
const CHECK = /check the value in your handler/;

/** By the first words of the row. */
const ROWS: Record<string, [Call, Said][]> = {
  'several extensions of a `Conn`': [
    [() => connPair({ extensions: [] } as Untyped), /has one: use extension of new Conn/],
    ...names(conns, 'ExtensionChain').map((call): [Call, Said] => [call, 'absent']),
  ],
  'schemas of `receive`': [
    [() => conn().receive(handler, { schema }), CHECK],
    [() => conn().receive(handler, schema), CHECK],
    [() => conn().receive(schema, handler), CHECK],
    [() => conn().readJSON({ schema }), CHECK],
    [() => conn().readJSON(schema), CHECK],
    [() => conn().messages(schema), /messages: .*for await/],
    [() => live().receive(handler, { schema }), CHECK],
    [() => live().receive(schema, handler), CHECK],
    [() => live().messages(schema), /messages: .*for await/],
    [() => pageConn().receive(handler, { schema }), CHECK],
    [() => pageConn().receive(schema, handler), CHECK],
    [() => pageConn().readJSON({ schema }), CHECK],
    [() => pageConn().readJSON(schema), CHECK],
    [() => hub().on('message', handler, { schema }), CHECK],
    [() => hub().on('message', handler, schema), CHECK],
    [() => hub().on('message', schema, handler), CHECK],
  ],
  '`autoResponse` of `serve`': [
    [() => server({ autoResponse: {} }), /answer in the handler; hibernating/],
    [() => new Upgrader({ autoResponse: {} } as Untyped), /answer in the handler/],
  ],
  'a function as `rate.over`': [
    [() => server({ rate: { messages: 5, over: handler } }), /expected 'wait' or 'close'/],
  ],
  '`maxConnectionsPerAddress`': [server, (options: object) => new Upgrader(options as Untyped)].map(
    (make): [Call, Said] => [
      () => make({ maxConnectionsPerAddress: 100 }),
      /it is gone: write limits: \[\{ by: 'address', connections: 100 \}\]/,
    ],
  ),
  'a promise from the option `error`': [],
  '`assembleInto`, `holdLimit`': ['assembleInto', 'holdLimit', 'unmask', 'simd'].map((option) => [
    () => decoder(option),
    /it is gone: copy the pieces/,
  ]),
  "`stream: 'auto'`": [
    [() => page({ stream: 'auto' }), /leave it out/],
    ...names(browser, 'WebSocketStream').map((call): [Call, Said] => [call, 'absent']),
  ],
  '`@ws/conn/pure-deflate`': [
    [() => require.resolve('@ws/conn/pure-deflate'), 'absent'],
    [() => configureCompression({ backend: 'pure' as Untyped }), /'sync' calls the functions of/],
  ],
  '`DeflateSource` and `InflateStatus`': [
    [() => require.resolve('@ws/conn/deflate'), 'absent'],
    ...names(conns, 'DeflateSource', 'InflateStatus').map((call): [Call, Said] => [call, 'absent']),
  ],
  '`@ws/conn/reconnecting`': [[() => require.resolve('@ws/conn/reconnecting'), 'absent']],
  "`delivery: 'local-first'`": [
    [
      () => {
        const away = { start: handler, publish: handler, subscribe: handler, history: handler };
        const backplane = { ...away, unsubscribe: handler, close: handler };
        return hub({ backplane, rooms: { a: { history: true, delivery: 'local-first' } } });
      },
      /has 'through'; leave it out/,
    ],
  ],
  'histories over NATS': [
    [
      () => hub({ backplane: natsBackplane({} as Untyped), rooms: { a: { history: true } } }),
      /JetStream|connection/i,
    ],
  ],
  '`roomsOf(live, contract, handlers': [
    [
      () => (roomsOf as Untyped)(live(), contract({}), {}, { schemas: {} }),
      /write roomsOf\(live, \{ contract, handlers, schemas \}\)/,
    ],
    [
      () => (roomsOf as Untyped)(live(), { contract: contract({}) }, {}),
      /write roomsOf\(live, \{ contract, handlers, schemas \}\)/,
    ],
  ],
  '`maxEmptyFragments`, `maxPendingPings`': [
    [() => connPair({ maxEmptyFragments: 5 } as Untyped), /the bound is always 1024/],
    [() => server({ maxPendingPings: 5 }), /the bound is always 64/],
  ],
  '`maxNameBytes`, `slice`': [
    [() => hub({ maxNameBytes: 5 }), /the bound is always 256 bytes/],
    [() => hub({ slice: 5 }), /the bound is always 8 ms/],
  ],
  '`limitCloseCode`': [[() => page({ limitCloseCode: 5 }), /the code is always 3009/]],
  '`window` of `http2`': [[() => server({ http2: { window: 5 } }), /the bound is always 256 KiB/]],
  "`overflow: 'drop-new'`": ['drop-new', 'drop-old', handler].map((overflow) => [
    () => hub({ overflow }),
    /is gone; write 'close' or 'latest'/,
  ]),
  'gaps for losses in a room without history': [],
  '`asyncDeflateThreshold`': [
    [() => server({ compression: { asyncDeflateThreshold: 5 } }), /nextWriter compresses/],
    ...names(conns, 'DeflateJob').map((call): [Call, Said] => [call, 'absent']),
  ],
  '`takeoverEngines`, `sendHistory`': [
    [() => server({ compression: { takeoverEngines: 5 } }), /always 16 in a process/],
    [() => server({ compression: { sendHistory: 5 } }), /it is gone: leave it out/],
    [() => server({ compression: { serverMaxWindowBits: 9 } }), /always 15, or fewer/],
  ],
  'the rows `garbage`': [],
};

const rows = readFileSync('CHANGELOG.md', 'utf8')
  .split('| gone | instead |\n|---|---|\n')[1]!
  .split('\n')
  .filter((line) => line.startsWith('| '));

describe('N4 what is gone', () => {
  it.each(rows)('says what to write instead: %s', async (row) => {
    const key = Object.keys(ROWS).find((words) => row.startsWith(`| ${words}`));
    expect(key, 'a row without a test').toBeDefined();
    for (const [call, said] of ROWS[key!]!) {
      const error: unknown = await Promise.resolve()
        .then(call)
        .then(
          () => expect.fail(`${String(call)} is accepted`),
          (reason: unknown) => reason,
        );
      if (said === 'absent') {
        expect(String(error)).toMatch(/is not exported|is not defined by "exports"/);
        continue;
      }
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toMatch(said);
    }
  });

  it('has a row for each entry of the test', () => {
    const words = Object.keys(ROWS);
    expect(words.filter((each) => !rows.some((row) => row.startsWith(`| ${each}`)))).toEqual([]);
  });

  it('reports a promise from the option error, and has no stats.overdue', async () => {
    const reports: string[] = [];
    const running = await serve(
      {
        port: 0,
        host: '127.0.0.1',
        authenticate: () => null,
        error: (async () => undefined) as Untyped,
        report: (error) => void reports.push((error as Error).message),
      },
      handler,
    );
    onTestFinished(() => void running.close());
    await expect(dial(running.url)).rejects.toThrow('401');
    expect(reports).toEqual([expect.stringMatching(/^error: returned a promise.*without await/)]);
    expect(running.stats).not.toHaveProperty('overdue');
  });
});
