// Peers that connect and do not ask, or ask a byte at a time.
import { beforeAll, describe, it } from 'vitest';
import { type Outcome, survives } from '../../src/hostile/index.ts';
import { type RawSocket, rawSocket, request, turn } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import { attacked } from './asking.ts';

const HEAD = request();

/** Sends a byte every `ms`, as long as there is somebody. */
function dribble(client: RawSocket, ms: number): void {
  let at = 0;
  const timer = setInterval(() => void client.send(HEAD.subarray(at, ++at)), ms);
  void client.closed.then(() => clearInterval(timer));
}

/** Waits until the server has had enough of a peer that ends nothing itself, and is gone. */
async function ended(client: RawSocket): Promise<Outcome> {
  await client.untilEnd();
  const received = client.received.toString('latin1');
  client.end();
  await client.closed;
  return { socket: 'destroyed', upgraded: received.includes(' 101 ') ? 1 : 0 };
}

describe('a peer that', () => {
  nothingLeft();
  /** How long our defaults bear with each, in ms as the loop itself counts: its timers are late together. */
  let borne: { idle: number; dribbling: number };

  beforeAll(async () => {
    let ticks = 0;
    const clock = setInterval(() => ticks++, 500);
    const target = await attacked();
    const [idle, dribbling] = [await rawSocket(target.port), await rawSocket(target.port)];
    dribble(dribbling, 100);
    const until = async (client: RawSocket): Promise<number> => {
      await ended(client);
      return ticks * 500;
    };
    const [first, second] = await Promise.all([until(idle), until(dribbling)]);
    borne = { idle: first, dribbling: second };
    clearInterval(clock);
  }, 60_000);

  it('dribbles its head is ended', async () => {
    const target = await attacked({ handshakeTimeout: 100 });
    await survives(4, async (watch) => {
      const client = await rawSocket(target.port);
      dribble(client, 10);
      await turn();
      watch.weigh();
      return { ...(await ended(client)), ms: borne.dribbling };
    });
  });

  it('says nothing is ended', async () => {
    const target = await attacked({ handshakeTimeout: 100 });
    await survives(6, async (watch) => {
      const client = await rawSocket(target.port);
      await turn();
      watch.weigh();
      return { ...(await ended(client)), ms: borne.idle };
    });
  });
});
