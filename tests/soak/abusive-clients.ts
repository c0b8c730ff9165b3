import { constants, deflateRawSync } from 'node:zlib';
import { formatCloseMessage } from '@ws/codec';
import type { Random } from '../kit/random.ts';
import type { RawPeer } from '../kit/raw-peer.ts';
import { connectRaw, request, upgrade } from './raw-client.ts';
import type { Behaviour, ClientKind, RunState } from './run-state.ts';

type Run = (client: RawPeer, state: RunState, random: Random) => Promise<unknown> | void;

interface AttackOptions {
  /** Default: `/echo/lent`. */
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
  attack(2, 'half a frame', async (client, state, random) => {
    void client.send(2, BLOCK, false);
    void client.write(Uint8Array.of(0x80, 0xfe, 0x10));
    // Ends by silence, FIN or RST.
    const way = random.below(3);
    await state.pause(random.below(1_000));
    if (way === 1) client.end();
    else if (way === 2) client.reset();
  }),
  attack(2, 'FIN', (client) => client.end()),
  attack(2, 'RST', (client) => client.reset()),
  attack(2, 'RST after data', async (client, state, random) => {
    for (let i = 0; i < 8; i++) void client.send(2, BLOCK);
    await state.pause(random.below(50));
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
  attack(2, 'pings', async (client, state, random) => {
    const paused = random.below(2) === 0;
    if (paused) client.stream.pause();
    for (let i = 0; i < 1_000; i++) void client.send(9, BLOCK.subarray(0, 125));
    await state.pause(random.below(3_000));
    client.reset();
  }),
  attack(2, 'never reads', async (client, state, random) => {
    client.stream.pause();
    for (let i = 0; i < 24; i++) void client.send(2, BLOCK);
    await state.pause(random.below(8_000));
    client.destroy();
  }),
  attack(
    0.5,
    'never reads a flood',
    async (client, state) => {
      client.stream.pause();
      await state.pause(6_000);
      // A paused socket does not emit its close.
      client.stream.resume();
    },
    { path: '/flood' },
  ),
  attack(1, 'close frames', (client) => {
    for (let i = 0; i < 300; i++) void client.send(8, formatCloseMessage(1000));
    void client.send(1, 'after close');
  }),
  attack(1, 'a byte at a time', async (client, state) => {
    const bytes = Buffer.from('8184000000007465737488820000000003e8', 'hex');
    for (const byte of bytes) {
      void client.write(Uint8Array.of(byte));
      await state.pause(150);
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
    async (client, state, random) => {
      const whole = request('/echo/lent');
      void client.write(whole.slice(0, random.below(whole.length - 1)));
      const way = random.below(3);
      await state.pause(random.below(3_000));
      if (way === 1) client.end();
      else if (way === 2) client.reset();
    },
    { early: true },
  ),
  attack(
    2,
    'RST during authentication',
    async (client, state, random) => {
      void client.write(request('/echo/lent?slow'));
      await state.pause(random.below(500));
      client.reset();
    },
    { early: true },
  ),
  attack(
    1,
    'refused request',
    async (client, _, random) => {
      const [status, path, asked] = random.pick([
        [403, '/quiet?forbidden', {}],
        [403, '/quiet', { origin: 'http://evil.example' }],
        [404, '/nowhere', {}],
        [426, '/quiet', { version: '8' }],
      ] as const);
      const got = await upgrade(client, path, asked);
      if (got !== status) throw new Error(`status ${got}, expected ${status}`);
    },
    { early: true },
  ),
];

function behave(
  run: Run,
  { path = '/echo/lent', deflate = false, early = false }: AttackOptions = {},
): Behaviour {
  return async (state, random) => {
    const able = state.addresses.filter(({ compresses }) => compresses || !deflate);
    if (able.length === 0) return;
    const { url } = random.pick(able);
    const client = await state.admit(() => connectRaw(state, url));
    if (client === undefined) return;
    if (!early) {
      const status = await upgrade(client, path, { deflate });
      if (status !== 101) {
        client.destroy();
        throw new Error(`status ${status}`);
      }
    }
    await run(client, state, random);
    const ended = await state.outlives(60_000, client.closed);
    client.destroy();
    if (!(await state.within(60_000, client.closed))) throw new Error('its socket never closed');
    if (!ended) throw new Error('the server keeps the connection');
  };
}
