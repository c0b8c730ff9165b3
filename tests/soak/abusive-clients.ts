import { constants, deflateRawSync } from 'node:zlib';
import { formatCloseMessage } from '@ws/codec';
import type { Random } from '../kit/random.ts';
import type { RawPeer } from '../kit/raw-peer.ts';
import { type RequestChange, request } from '../kit/upgrade-request.ts';
import type { Behaviour, ClientKind, Crowd } from './crowd.ts';

type Run = (client: RawPeer, crowd: Crowd, random: Random) => Promise<unknown> | void;

interface AttackOptions {
  /** Default: `/echo`. */
  readonly path?: string;
  /** Offers compression; needs a server that accepts it. */
  readonly deflate?: boolean;
  /** Starts before the handshake. */
  readonly early?: boolean;
}

/** One kind of abuse. */
function attack(weight: number, name: string, run: Run, options?: AttackOptions): ClientKind {
  return { weight, name, behave: behave(run, options) };
}

const INVALID_FRAMES: readonly string[] = [
  // Unmasked; a reserved bit; an unknown opcode; a fragmented ping; a ping that is too long.
  '8100',
  'c1800000000041',
  '838000000000',
  '098000000000',
  '89fe007e00000000',
  // A continuation without a start; a non-minimal length; a length of 2^63; a close payload of 1 byte; code 1005.
  '808000000000',
  '81fe000500000000',
  '82ffffffffffffffffff',
  '88810000000041',
  '88820000000003ed',
  // Text that is not UTF-8.
  '818100000000ff',
];
const BLOCK = Buffer.alloc(16 * 1024, 'again and again ');
/** A message of 16 MiB of zeros. */
const BOMB = deflateRawSync(Buffer.alloc(16 * 1024 * 1024), {
  finishFlush: constants.Z_SYNC_FLUSH,
});

/**
 * Clients that violate the protocol, stall or vanish. The server has to end each client that does
 * not end itself.
 */
export const abusiveClients: readonly ClientKind[] = [
  attack(3, 'silence', () => {}, { path: '/quiet' }),
  attack(2, 'half a frame', async (client, crowd, random) => {
    void client.send(2, BLOCK, false);
    void client.write(Uint8Array.of(0x80, 0xfe, 0x10));
    // Ends by silence, FIN or RST.
    const way = random.below(3);
    await crowd.pause(random.below(1_000));
    if (way === 1) client.end();
    else if (way === 2) client.reset();
  }),
  attack(2, 'FIN', (client) => client.end()),
  attack(2, 'RST', (client) => client.reset()),
  attack(2, 'RST after data', async (client, crowd, random) => {
    for (let i = 0; i < 8; i++) void client.send(2, BLOCK);
    await crowd.pause(random.below(50));
    client.reset();
  }),
  attack(4, 'invalid frame', (client, _, random) => {
    void client.write(Buffer.from(random.pick(INVALID_FRAMES), 'hex'));
  }),
  attack(1, 'long length, no payload', (client, _, random) => {
    // The read limit, or one byte more; the payload never comes.
    const length = 256 * 1024 + random.below(2);
    const head = Buffer.from('82ff0000000000000000', 'hex');
    head.writeUInt32BE(length, 6);
    void client.write(head);
    void client.write(Buffer.alloc(4));
  }),
  attack(1, 'over the read limit', (client) => {
    for (let i = 0; i < 17; i++) void client.send(i === 0 ? 2 : 0, BLOCK, false);
  }),
  attack(1, 'empty fragments', (client) => {
    void client.send(1, '', false);
    for (let i = 0; i < 1_100; i++) void client.send(0, '', false);
  }),
  attack(2, 'pings', async (client, crowd, random) => {
    const paused = random.below(2) === 0;
    if (paused) client.stream.pause();
    for (let i = 0; i < 1_000; i++) void client.send(9, BLOCK.subarray(0, 125));
    await crowd.pause(random.below(3_000));
    client.reset();
  }),
  attack(2, 'never reads', async (client, crowd, random) => {
    client.stream.pause();
    for (let i = 0; i < 24; i++) void client.send(2, BLOCK);
    await crowd.pause(random.below(8_000));
    client.destroy();
  }),
  attack(
    0.5,
    'never reads a flood',
    async (client, crowd) => {
      client.stream.pause();
      await crowd.pause(6_000);
      // A paused socket does not emit its close.
      client.stream.resume();
    },
    { path: '/flood' },
  ),
  attack(1, 'close frames', (client) => {
    for (let i = 0; i < 300; i++) void client.send(8, formatCloseMessage(1000));
    void client.send(1, 'after close');
  }),
  attack(1, 'a byte at a time', async (client, crowd) => {
    const bytes = Buffer.from('8184000000007465737488820000000003e8', 'hex');
    for (const byte of bytes) {
      void client.write(Uint8Array.of(byte));
      await crowd.pause(150);
    }
  }),
  attack(2, 'deflate bomb', (client) => void client.send(1, BOMB.subarray(0, -4), { rsv: 0x40 }), {
    deflate: true,
  }),
  attack(
    1,
    'invalid deflate data',
    (client) => void client.send(1, Buffer.from('ffffffffff', 'hex'), { rsv: 0x40 }),
    { deflate: true },
  ),
  attack(1, 'no request', () => {}, { early: true }),
  attack(
    2,
    'half a request',
    async (client, crowd, random) => {
      const whole = request({ line: 'GET /echo HTTP/1.1' });
      void client.write(whole.subarray(0, random.below(whole.length - 1)));
      const way = random.below(3);
      await crowd.pause(random.below(3_000));
      if (way === 1) client.end();
      else if (way === 2) client.reset();
    },
    { early: true },
  ),
  attack(
    2,
    'RST during authentication',
    async (client, crowd, random) => {
      void client.write(request({ line: 'GET /echo?slow HTTP/1.1' }));
      await crowd.pause(random.below(500));
      client.reset();
    },
    { early: true },
  ),
  attack(
    1,
    'refused request',
    async (client, _, random) => {
      const [status, path, change] = random.pick([
        [403, '/quiet?forbidden', {}],
        [403, '/quiet', { add: ['Origin: http://evil.example'] }],
        [404, '/nowhere', {}],
        [426, '/quiet', { set: ['Sec-WebSocket-Version: 8'] }],
      ] as const);
      await upgrade(client, path, change, status);
    },
    { early: true },
  ),
];

/** An idle client, the cheapest kind: it answers pings and stays until the run is over. */
export const idleClient: ClientKind = {
  weight: 1,
  name: 'idle',
  behave: async (crowd, random) => {
    const client = await crowd.connect(random.pick(crowd.addresses));
    if (client === undefined) return;
    await upgrade(client, '/quiet');
    // The server counts any byte as a sign of life.
    client.stream.on('data', ([first]: Buffer) => {
      if (first === 0x89 && client.stream.writable) void client.send(10);
    });
    await crowd.untilOver(client.closed);
    const early = !crowd.over;
    if (random.below(2) === 0) void client.send(8);
    else client.end();
    await isEnded(client, crowd, client.closed);
    if (early) throw new Error('the server closed the connection');
  },
};

function behave(
  run: Run,
  { path = '/echo', deflate = false, early = false }: AttackOptions = {},
): Behaviour {
  return async (crowd, random) => {
    const able = crowd.addresses.filter(({ compresses }) => compresses || !deflate);
    const client = await crowd.connect(random.pick(able));
    if (client === undefined) return;
    const add = deflate ? ['Sec-WebSocket-Extensions: permessage-deflate'] : [];
    if (!early) await upgrade(client, path, { add });
    await run(client, crowd, random);
    await isEnded(client, crowd, crowd.untilOver(client.closed));
  };
}

/** Asks for an upgrade. Later bytes are discarded. */
async function upgrade(
  client: RawPeer,
  path: string,
  change?: RequestChange,
  expected = 101,
): Promise<void> {
  const answer = client.upgrade({ ...change, line: `GET ${path} HTTP/1.1` });
  const { status } = await answer.catch(() => ({ status: 0 }));
  client.discard();
  if (status === expected) return;
  client.destroy();
  throw new Error(`status ${status}, expected ${expected}`);
}

/** Waits until the server has ended the connection or the run is over. */
async function isEnded(client: RawPeer, crowd: Crowd, ended: Promise<void>): Promise<void> {
  const inTime = await crowd.within(60_000, ended);
  client.destroy();
  if (!(await crowd.within(60_000, client.closed))) throw new Error('its socket never closed');
  if (!inTime) throw new Error('the server keeps the connection');
}
