import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Random } from '../random.ts';
import { anything, same } from './conversation.ts';
import { PAUSE } from './our-lives.ts';
import { reset } from './reset.ts';
import type { Kind, Life, Scene } from './scene.ts';

/** Lives of clients that are `ws`. */
export const wsLives: readonly Kind[] = [
  { weight: 14, name: 'ws', life: life('/echo/lent', echoes) },
  { weight: 4, name: 'ws room', life: life('/room/ws', listens) },
];

/**
 * Messages that `ws` inflates or deflates at a time, in all: each takes some turns of the event loop, so that with its 10 a
 * process that is busy falls behind by minutes.
 */
const AT_ONCE = 256;

interface Line {
  readonly ws: WebSocket;
  readonly closed: Promise<void>;
}

type Talk = (line: Line, scene: Scene, random: Random) => Promise<void>;

function life(path: string, talk: Talk): Life {
  return async (scene, random) => {
    const { ca } = scene;
    const { url, compresses } = random.pick(scene.addresses);
    const line = await scene.admit(async () => {
      const ws = new WebSocket(url + path, ['soak.1'], {
        perMessageDeflate: compresses && random.below(2) === 0 && { concurrencyLimit: AT_ONCE },
        handshakeTimeout: 60_000,
        ...(ca !== undefined && { ca }),
      });
      const closed = new Promise<void>((resolve) => {
        ws.once('close', () => resolve());
      });
      await once(ws, 'open');
      return { ws, closed };
    });
    if (line === undefined) return;
    void line.closed.then(scene.enter());
    // Of those that are reset.
    line.ws.on('error', () => {});
    try {
      if (await scene.pause(random.below(PAUSE))) await talk(line, scene, random);
      await leave(line, scene, random);
    } finally {
      line.ws.terminate();
    }
  };
}

async function echoes({ ws, closed }: Line, scene: Scene, random: Random): Promise<void> {
  let more = true;
  for (let rounds = 1 + random.below(8); more && rounds > 0; rounds--) {
    const said = anything(random);
    const heard = once(ws, 'message') as Promise<[Buffer, boolean]>;
    ws.send(said.bytes, { binary: said.binary });
    if (random.below(4) === 0) ws.ping('?');
    await Promise.race([heard, closed]);
    if (ws.readyState !== WebSocket.OPEN) throw new Error('closed before the echo');
    const [bytes, binary] = await heard;
    same(said, binary, bytes);
    scene.messages++;
    more = await scene.pause(random.below(PAUSE));
  }
}

async function listens({ ws }: Line, scene: Scene, random: Random): Promise<void> {
  ws.on('message', () => scene.messages++);
  await scene.pause(random.below(3 * PAUSE));
}

async function leave({ ws, closed }: Line, scene: Scene, random: Random): Promise<void> {
  const way = random.below(4);
  if (way === 0) ws.close(4000, 'enough');
  else if (way === 1) ws.terminate();
  else if (way === 2 && scene.ca === undefined) {
    reset((ws as unknown as { _socket: Socket })._socket);
  } else ws.close(1000);
  if (!(await scene.within(60_000, closed))) throw new Error('never closed');
}
