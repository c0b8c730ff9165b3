import { constants, deflateRawSync } from 'node:zlib';
import { formatCloseMessage } from '@ws/codec';
import type { Random } from '../random.ts';
import { type RudeClient, request, rudeClient } from './rude-client.ts';
import type { Kind, Life, Scene } from './scene.ts';

/** What is never well-behaved: how it begins, and who has to end it. */
interface Misdeed {
  readonly weight: number;
  readonly name: string;
  /** Default: `/echo/lent`. */
  readonly path?: string;
  /** Asks for compression, and is pointless without. */
  readonly deflate?: boolean;
  /** Before any handshake. */
  readonly early?: boolean;
  readonly does: (client: RudeClient, scene: Scene, random: Random) => Promise<unknown> | void;
}

const FRAMES_THAT_ARE_NONE: readonly string[] = [
  // Not masked; a reserved bit; an opcode that is none; a ping in pieces, and one that is too long.
  '8100',
  'c1800000000041',
  '838000000000',
  '098000000000',
  '89fe007e00000000',
  // A continuation of nothing; a length that is not minimal; one of 2^63; a close payload of one byte; code 1005.
  '808000000000',
  '81fe000500000000',
  '82ffffffffffffffffff',
  '88810000000041',
  '88820000000003ed',
  // Text that is no UTF-8.
  '818100000000ff',
];
const BLOCK = Buffer.alloc(16 * 1024, 'again and again ');
/** 16 MiB of zeros, as one message. */
const BOMB = deflateRawSync(Buffer.alloc(16 * 1024 * 1024), {
  finishFlush: constants.Z_SYNC_FLUSH,
});

/** What clients do that nobody should. A server that survives them ends them, unless they end by themselves. */
const MISDEEDS: readonly Misdeed[] = [
  { weight: 3, name: 'silence', path: '/quiet', does: () => {} },
  {
    weight: 2,
    name: 'half a frame',
    does: async (client, scene, random) => {
      client.frame(2, BLOCK, false);
      client.bytes(Uint8Array.of(0x80, 0xfe, 0x10));
      // In silence; with a FIN; with a RST.
      const way = random.below(3);
      await scene.pause(random.below(1_000));
      if (way === 1) client.end();
      else if (way === 2) client.reset();
    },
  },
  { weight: 2, name: 'FIN', does: (client) => client.end() },
  { weight: 2, name: 'RST', does: (client) => client.reset() },
  {
    weight: 2,
    name: 'RST under fire',
    does: async (client, scene, random) => {
      for (let i = 0; i < 8; i++) client.frame(2, BLOCK);
      await scene.pause(random.below(50));
      client.reset();
    },
  },
  {
    weight: 4,
    name: 'no frame',
    does: (client, _, random) => {
      client.bytes(Buffer.from(random.pick(FRAMES_THAT_ARE_NONE), 'hex'));
    },
  },
  {
    weight: 1,
    name: 'a long claim',
    does: (client, _, random) => {
      // One byte too many, and all that may be, of which nothing comes.
      const length = 256 * 1024 + random.below(2);
      const head = Buffer.from('82ff0000000000000000', 'hex');
      head.writeUInt32BE(length, 6);
      client.bytes(head);
      client.bytes(Buffer.alloc(4));
    },
  },
  {
    weight: 1,
    name: 'too much',
    does: (client) => {
      for (let i = 0; i < 17; i++) client.frame(i === 0 ? 2 : 0, BLOCK, false);
    },
  },
  {
    weight: 1,
    name: 'empty fragments',
    does: (client) => {
      client.frame(1, '', false);
      for (let i = 0; i < 1_100; i++) client.frame(0, '', false);
    },
  },
  {
    weight: 2,
    name: 'pings',
    does: async (client, scene, random) => {
      const deaf = random.below(2) === 0;
      if (deaf) client.pause();
      for (let i = 0; i < 1_000; i++) client.frame(9, BLOCK.subarray(0, 125));
      await scene.pause(random.below(3_000));
      client.reset();
    },
  },
  {
    weight: 2,
    name: 'deafness',
    does: async (client, scene, random) => {
      client.pause();
      for (let i = 0; i < 24; i++) client.frame(2, BLOCK);
      await scene.pause(random.below(8_000));
      client.destroy();
    },
  },
  {
    weight: 0.5,
    name: 'deafness in a flood',
    path: '/flood',
    does: async (client, scene) => {
      client.pause();
      await scene.pause(6_000);
      // What is paused does not see either that it is over.
      client.resume();
    },
  },
  {
    weight: 1,
    name: 'close frames',
    does: (client) => {
      for (let i = 0; i < 300; i++) client.frame(8, formatCloseMessage(1000));
      client.frame(1, 'still there');
    },
  },
  {
    weight: 1,
    name: 'a byte at a time',
    does: async (client, scene) => {
      const bytes = Buffer.from('8184000000007465737488820000000003e8', 'hex');
      for (const byte of bytes) {
        client.bytes(Uint8Array.of(byte));
        await scene.pause(150);
      }
    },
  },
  {
    weight: 2,
    name: 'a bomb',
    deflate: true,
    does: (client) => client.frame(1, BOMB.subarray(0, -4), true, 0x40),
  },
  {
    weight: 1,
    name: 'no deflate',
    deflate: true,
    does: (client) => client.frame(1, Buffer.from('ffffffffff', 'hex'), true, 0x40),
  },
  { weight: 1, name: 'no request', early: true, does: () => {} },
  {
    weight: 2,
    name: 'half a request',
    early: true,
    does: async (client, scene, random) => {
      const whole = request('/echo/lent');
      client.bytes(whole.slice(0, random.below(whole.length - 1)));
      const way = random.below(3);
      await scene.pause(random.below(3_000));
      if (way === 1) client.end();
      else if (way === 2) client.reset();
    },
  },
  {
    weight: 2,
    name: 'gone while asked who',
    early: true,
    does: async (client, scene, random) => {
      client.bytes(request('/echo/lent?slow'));
      await scene.pause(random.below(500));
      client.reset();
    },
  },
  {
    weight: 1,
    name: 'a request that is refused',
    early: true,
    does: async (client, _, random) => {
      const [status, path, asked] = random.pick([
        [403, '/quiet?nobody', {}],
        [403, '/quiet', { origin: 'http://evil.example' }],
        [404, '/nowhere', {}],
        [426, '/quiet', { version: '8' }],
      ] as const);
      const got = await client.upgrade(path, asked);
      if (got !== status) throw new Error(`answered with ${got} in place of ${status}`);
    },
  },
];

function life({ path = '/echo/lent', deflate = false, early = false, does }: Misdeed): Life {
  return async (scene, random) => {
    const able = scene.addresses.filter(({ compresses }) => compresses || !deflate);
    if (able.length === 0) return;
    const { url } = random.pick(able);
    const client = await scene.admit(() => rudeClient(scene, url));
    if (client === undefined) return;
    if (!early) {
      const status = await client.upgrade(path, { deflate });
      if (status !== 101) {
        client.destroy();
        throw new Error(`answered with ${status}`);
      }
    }
    await does(client, scene, random);
    const ended = await scene.outlives(60_000, client.closed);
    client.destroy();
    if (!(await scene.within(60_000, client.closed))) throw new Error('its own end never came');
    if (!ended) throw new Error('the server keeps it');
  };
}

/** Lives of clients with no manners. */
export const rudeLives: readonly Kind[] = MISDEEDS.map((misdeed) => ({
  weight: misdeed.weight,
  name: misdeed.name,
  life: life(misdeed),
}));
