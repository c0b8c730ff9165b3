import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Random } from '../kit/random.ts';
import { reset } from '../kit/reset.ts';
import { checkEcho, randomMessage } from './echo-message.ts';
import { PAUSE } from './own-clients.ts';
import type { Behaviour, ClientKind, RunState } from './run-state.ts';

/** Clients of `ws`. */
export const wsClients: readonly ClientKind[] = [
  { weight: 14, name: 'ws', behave: behave('/echo/lent', echoes) },
  { weight: 4, name: 'ws room', behave: behave('/room/ws', listens) },
];

/**
 * Messages that `ws` inflates or deflates at a time in the process. Each takes some turns of the event loop; with the default
 * of 10 a busy process falls behind by minutes.
 */
const AT_ONCE = 256;

interface Client {
  readonly ws: WebSocket;
  readonly closed: Promise<void>;
}

type Talk = (client: Client, state: RunState, random: Random) => Promise<void>;

function behave(path: string, talk: Talk): Behaviour {
  return async (state, random) => {
    const { ca } = state;
    const { url, compresses } = random.pick(state.addresses);
    const client = await state.admit(async () => {
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
    if (client === undefined) return;
    void client.closed.then(state.enter());
    // A reset emits an error.
    client.ws.on('error', () => {});
    try {
      if (await state.pause(random.below(PAUSE))) await talk(client, state, random);
      await leave(client, state, random);
    } finally {
      client.ws.terminate();
    }
  };
}

async function echoes({ ws, closed }: Client, state: RunState, random: Random): Promise<void> {
  let more = true;
  for (let rounds = 1 + random.below(8); more && rounds > 0; rounds--) {
    const said = randomMessage(random);
    const heard = once(ws, 'message') as Promise<[Buffer, boolean]>;
    ws.send(said.bytes, { binary: said.binary });
    if (random.below(4) === 0) ws.ping('?');
    await Promise.race([heard, closed]);
    if (ws.readyState !== WebSocket.OPEN) throw new Error('closed before the echo');
    const [bytes, binary] = await heard;
    checkEcho(said, binary, bytes);
    state.messages++;
    more = await state.pause(random.below(PAUSE));
  }
}

async function listens({ ws }: Client, state: RunState, random: Random): Promise<void> {
  ws.on('message', () => state.messages++);
  await state.pause(random.below(3 * PAUSE));
}

async function leave({ ws, closed }: Client, state: RunState, random: Random): Promise<void> {
  const way = random.below(4);
  if (way === 0) ws.close(4000, 'enough');
  else if (way === 1) ws.terminate();
  else if (way === 2 && state.ca === undefined) {
    reset((ws as unknown as { _socket: Socket })._socket);
  } else ws.close(1000);
  if (!(await state.within(60_000, closed))) throw new Error('never closed');
}
