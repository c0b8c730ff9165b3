// What a server answers to offers of permessage-deflate (RFC 7692, sections 5 and 7.1).
import { configureCompression } from '@ws/node-io';
import { afterEach, describe, expect, it } from 'vitest';
import { type Conn, Upgrader, type UpgraderOptions } from '../src/index.ts';
import { connectRaw, type RawPeer, TestServer, trapLeftovers } from './raw.ts';

trapLeftovers();

const servers: TestServer[] = [];
const clients: RawPeer[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.stream.destroy();
  for (const server of servers.splice(0)) await server.close();
  configureCompression({ memoryBudget: 64 * 1024 * 1024 });
});

const NAMES: Readonly<Record<string, string>> = {
  pmd: 'permessage-deflate',
  sn: 'server_no_context_takeover',
  cn: 'client_no_context_takeover',
  sb: 'server_max_window_bits',
  cb: 'client_max_window_bits',
};

/** The tables abbreviate parameters: `pmd; sn; cb=10`. */
function full(short: string): string {
  return short.replace(/\b(pmd|sn|cn|sb|cb)\b/g, (name) => NAMES[name]!);
}

async function listening(compression: UpgraderOptions['compression']): Promise<TestServer> {
  const server = await new TestServer(new Upgrader({ compression })).listen();
  servers.push(server);
  return server;
}

/** The status, the answered extensions, and those of the Conn. */
async function answerTo(
  server: TestServer,
  ...offers: string[]
): Promise<[status: number, answered: string | undefined, conn: string | undefined]> {
  const client = await connectRaw(server.port);
  clients.push(client);
  const n = server.outcomes.length;
  const add = offers.map((offer) => `Sec-WebSocket-Extensions: ${full(offer)}`);
  const { status, headers } = await client.upgrade({ add });
  const outcome = (await server.outcome(n)) as Partial<Conn>;
  return [status, headers.get('sec-websocket-extensions'), outcome.extensions];
}

const NARROW = { mode: 'takeover', clientMaxWindowBits: 11 } as const;

/**
 * An offer, and the answer in mode `shared`, in mode `takeover`, and with {@link NARROW}; ditto for
 * the same again.
 */
type Row = readonly [offer: string, shared: string, takeover: string, narrow: string];
const ANSWERED: readonly Row[] = [
  // Firefox and Safari; Chromium and Node; gorilla/websocket.
  ['pmd', 'pmd; sn; cn', 'pmd', 'pmd'],
  ['pmd; cb', 'pmd; sn; cn', 'pmd; cb=12', 'pmd; cb=11'],
  ['pmd; sn; cn', 'pmd; sn; cn', 'pmd; sn; cn', 'pmd; sn; cn'],
  // One parameter at a time.
  ['pmd; sn', 'pmd; sn; cn', 'pmd; sn', 'pmd; sn'],
  ['pmd; cn', 'pmd; sn; cn', 'pmd; cn', 'pmd; cn'],
  ['pmd; sb=8', 'pmd; sn; cn; sb=8', 'pmd; sb=8', 'pmd; sb=8'],
  ['pmd; sb=9', 'pmd; sn; cn; sb=9', 'pmd; sb=9', 'pmd; sb=9'],
  ['pmd; sb=10', 'pmd; sn; cn; sb=10', 'pmd; sb=10', 'pmd; sb=10'],
  ['pmd; sb=15', 'pmd; sn; cn; sb=15', 'pmd; sb=15', 'pmd; sb=15'],
  ['pmd; cb=8', 'pmd; sn; cn; cb=8', 'pmd; cb=8', 'pmd; cb=8'],
  ['pmd; cb=11', 'pmd; sn; cn; cb=11', 'pmd; cb=11', 'pmd; cb=11'],
  ['pmd; cb=15', 'pmd; sn; cn; cb=15', 'pmd; cb=12', 'pmd; cb=11'],
  // Several parameters.
  [
    'pmd; sn; cn; sb=12; cb=13',
    'pmd; sn; cn; sb=12; cb=13',
    'pmd; sn; cn; sb=12; cb=12',
    'pmd; sn; cn; sb=12; cb=11',
  ],
  ['pmd; cb; sb=9', 'pmd; sn; cn; sb=9', 'pmd; sb=9; cb=12', 'pmd; sb=9; cb=11'],
  // Quoted, and with spaces.
  ['pmd; sb="10"', 'pmd; sn; cn; sb=10', 'pmd; sb=10', 'pmd; sb=10'],
  ['pmd; cb="9"', 'pmd; sn; cn; cb=9', 'pmd; cb=9', 'pmd; cb=9'],
  ['pmd; sb="1\\0"', 'pmd; sn; cn; sb=10', 'pmd; sb=10', 'pmd; sb=10'],
  ['pmd  ;  sb=10', 'pmd; sn; cn; sb=10', 'pmd; sb=10', 'pmd; sb=10'],
  ['pmd;sb=10;cb', 'pmd; sn; cn; sb=10', 'pmd; sb=10; cb=12', 'pmd; sb=10; cb=11'],
  // Several offers: the first valid one.
  ['pmd; sb=9, pmd; sb=10', 'pmd; sn; cn; sb=9', 'pmd; sb=9', 'pmd; sb=9'],
  ['pmd; sb=7, pmd; cb', 'pmd; sn; cn', 'pmd; cb=12', 'pmd; cb=11'],
  ['x-other; a=1, pmd; cb=9, pmd', 'pmd; sn; cn; cb=9', 'pmd; cb=9', 'pmd; cb=9'],
  ['pmd; nobody_knows, pmd; sn, pmd', 'pmd; sn; cn', 'pmd; sn', 'pmd; sn'],
  ['pmd; sb, pmd; sb=08, pmd', 'pmd; sn; cn', 'pmd', 'pmd'],
  ['x-webkit-deflate-frame, pmd', 'pmd; sn; cn', 'pmd', 'pmd'],
];

/** Offers without a valid one. */
const DECLINED: readonly string[] = [
  'x-webkit-deflate-frame',
  'x-permessage-deflate',
  'pmd2',
  'pmd; sb',
  'pmd; sb=7',
  'pmd; sb=16',
  'pmd; sb=08',
  'pmd; sb=010',
  'pmd; sb="08"',
  'pmd; sb=1e1',
  'pmd; sb=0xa',
  'pmd; sb=-9',
  'pmd; sb=+9',
  'pmd; sb=9.0',
  'pmd; sb=true',
  'pmd; cb=7',
  'pmd; cb=16',
  'pmd; cb=08',
  'pmd; cb=99999999999999999999',
  'pmd; sn=1',
  'pmd; sn=true',
  'pmd; nobody_knows',
  'pmd; nobody_knows=1; sn',
  'pmd; sn; sn',
  'pmd; cb; cb=9',
  'pmd; sb=9; sb=9',
  'pmd; SERVER_NO_CONTEXT_TAKEOVER',
  'pmd; sb=7, pmd; cb=16, x-other',
];

/** Headers that violate RFC 6455, section 9.1. */
const MALFORMED: readonly string[] = [
  'pmd;',
  'pmd; sb=',
  'pmd; sb=""',
  'pmd; cn=""',
  'pmd; =9',
  'pmd; sb="9',
  'pmd; sb=9"',
  'pmd pmd',
  'pmd; sb=9 9',
  'pmd; sb=(9)',
  '; pmd',
  'pmd; sn;; cn',
];

describe('a server’s answer to an offer of permessage-deflate', () => {
  it.each([
    ['shared', 'shared', 1],
    ['the default', true, 1],
    ['takeover', 'takeover', 2],
    ['takeover in narrow windows', NARROW, 3],
  ] as const)('is, in mode %s, the table’s', async (_, compression, column) => {
    const server = await listening(compression);
    for (const row of ANSWERED) {
      const expected = full(row[column]);
      expect([row[0], ...(await answerTo(server, row[0]))]).toEqual([
        row[0],
        101,
        expected,
        expected,
      ]);
    }
  });

  it('is none when no offer is valid', async () => {
    for (const compression of ['shared', 'takeover'] as const) {
      const server = await listening(compression);
      for (const offer of DECLINED) {
        expect([offer, ...(await answerTo(server, offer))]).toEqual([offer, 101, undefined, '']);
      }
    }
  });

  it('is none when compression is off', async () => {
    for (const compression of [false, undefined]) {
      const server = await listening(compression);
      for (const [offer] of ANSWERED) {
        expect(await answerTo(server, offer)).toEqual([101, undefined, '']);
      }
    }
  });

  it('is a 400 for a malformed header, for any setting', async () => {
    for (const compression of [false, true]) {
      const server = await listening(compression);
      for (const offer of MALFORMED) {
        expect([offer, (await answerTo(server, offer)).slice(0, 2)]).toEqual([
          offer,
          [400, undefined],
        ]);
      }
    }
  });

  it('reads all lines of the header in order', async () => {
    const server = await listening('takeover');
    expect(await answerTo(server, 'pmd; sb=7', 'pmd; sb=11', 'pmd')).toEqual([
      101,
      full('pmd; sb=11'),
      full('pmd; sb=11'),
    ]);
    expect((await answerTo(server))[1]).toBeUndefined();
  });

  it('applies each option', async () => {
    const rows: readonly [UpgraderOptions['compression'], string, string][] = [
      [{}, 'pmd; sb=8', 'pmd; sn; cn; sb=8'],
      [{ clientMaxWindowBits: 8 }, 'pmd; cb', 'pmd; sn; cn; cb=8'],
      [{ clientMaxWindowBits: 8 }, 'pmd', 'pmd; sn; cn'],
      [{ mode: 'takeover', clientMaxWindowBits: 15 }, 'pmd; cb', 'pmd'],
      [{ mode: 'takeover' }, 'pmd; sb=9; cb', 'pmd; sb=9; cb=12'],
      [{}, 'pmd; cb', 'pmd; sn; cn'],
    ];
    for (const [compression, offer, expected] of rows) {
      expect((await answerTo(await listening(compression), offer))[1]).toBe(full(expected));
    }
  });

  it('is one of no takeover once the memory of all connections is above the budget', async () => {
    const server = await listening('takeover');
    expect((await answerTo(server, 'pmd; cb'))[1]).toBe(full('pmd; cb=12'));
    configureCompression({ memoryBudget: 0 });
    expect((await answerTo(server, 'pmd; cb'))[1]).toBe(full('pmd; sn; cn'));
    configureCompression({ memoryBudget: false });
    expect((await answerTo(server, 'pmd; cb'))[1]).toBe(full('pmd; cb=12'));
  });
});

describe('the option compression', () => {
  it.each<[unknown, string]>([
    ['fast', "compression: expected true, false, 'shared', 'takeover' or an object, got \"fast\""],
    [1, "compression: expected true, false, 'shared', 'takeover' or an object, got number"],
    [null, "compression: expected true, false, 'shared', 'takeover' or an object, got null"],
    [{ levels: 1 }, 'compression: unknown option levels'],
    [{ mode: 'both' }, "compression.mode: expected 'shared' or 'takeover', got both"],
    [{ level: '1' }, 'compression.level: expected a number, got string'],
  ])('%j is a TypeError', (compression, message) => {
    const make = (): unknown => new Upgrader({ compression } as UpgraderOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it.each<[string, readonly unknown[]]>([
    ['level', [-3, 10, 1.5, NaN]],
    ['threshold', [-1, 0.5, Infinity]],
    ['clientMaxWindowBits', [0, 7, 16]],
    ['maxBytes', [-1, NaN]],
  ])('%s is checked for its range', (name, values) => {
    for (const value of values) {
      const make = (): unknown => new Upgrader({ compression: { [name]: value } });
      expect(make).toThrow(RangeError);
      expect(make).toThrow(`compression.${name}: `);
    }
  });
});
