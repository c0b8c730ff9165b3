import type { Socket } from 'node:net';
import { type Conn, Dialer, TextMessage } from '@ws/node-client';
import type { Random } from '../random.ts';
import { anything, type Said, same } from './conversation.ts';
import { reset } from './reset.ts';
import type { Kind, Life, Scene } from './scene.ts';

/** The longest pause between two exchanges, in ms: longer than the server's heartbeat waits. */
export const PAUSE = 8_000;
const ECHOES = ['/echo/lent', '/echo/eager', '/echo/loop', '/echo/read', '/echo/stream'];

/** One dialer for each way to compress: they are kept, as an application would. */
export function dialers(ca: string | undefined): readonly Dialer[] {
  const tls = ca === undefined ? undefined : { ca };
  return ([false, 'shared', 'takeover'] as const).map(
    (compression) =>
      new Dialer({
        tls,
        compression,
        handshakeTimeout: 60_000,
        subprotocols: ['soak.1', 'soak.2'],
      }),
  );
}

/** Lives of clients that are ours: what they say comes back, and they leave in every way there is. */
export function ourLives(dialers: readonly Dialer[]): readonly Kind[] {
  const life =
    (path: (random: Random) => string, talk: Talk, leaves = true): Life =>
    async (scene, random) => {
      const { url } = random.pick(scene.addresses);
      const dialed = await scene.admit(() => random.pick(dialers).dial(url + path(random)));
      if (dialed === undefined) return;
      const { conn } = dialed;
      void conn.closed.then(scene.enter());
      if (conn.subprotocol !== 'soak.2') throw new Error(`subprotocol: ${conn.subprotocol}`);
      // Whoever has not begun to talk when all is over only leaves: thousands would talk in one moment.
      const talks = await scene.pause(random.below(PAUSE));
      try {
        if (talks) await talk(conn, scene, random);
        if (leaves || !talks) await leave(conn, scene, random);
        else if (!(await scene.within(60_000, conn.closed))) throw new Error('never closed');
      } finally {
        conn.terminate();
      }
    };
  return [
    { weight: 40, name: 'echo', life: life((random) => random.pick(ECHOES), echoes) },
    { weight: 8, name: 'values', life: life(() => '/values', values) },
    { weight: 10, name: 'room', life: life((random) => `/room/${random.below(20)}`, listens) },
    { weight: 10, name: 'idle', life: life(() => '/quiet', rests) },
    { weight: 2, name: 'refused', life: refused(dialers) },
    ...ENDS.map(([how, code]) => ({
      weight: 2,
      name: `end ${how}`,
      life: life(() => `/end/${how}`, isEnded(code), false),
    })),
  ];
}

type Talk = (conn: Conn, scene: Scene, random: Random) => Promise<void>;

async function echoes(conn: Conn, scene: Scene, random: Random): Promise<void> {
  let more = true;
  for (let rounds = 1 + random.below(8); more && rounds > 0; rounds--) {
    const way = random.below(5);
    if (way === 0) await conn.ping('how are you?');
    else {
      const all = Array.from({ length: way === 1 ? 5 : 1 }, () => anything(random));
      const written = way === 2 ? stream(conn, all[0]!, random) : write(conn, all);
      // Where no echo comes, that is the fault; what the write says then is of no interest.
      written.catch(() => {});
      for (const said of all) await hear(conn, said, way === 3);
      await written;
      scene.messages += all.length;
    }
    more = await scene.pause(random.below(PAUSE));
  }
}

async function write(conn: Conn, all: readonly Said[]): Promise<void> {
  for (const { binary, bytes } of all) await conn.writeMessage(binary ? 2 : 1, bytes);
}

async function stream(conn: Conn, { binary, bytes }: Said, random: Random): Promise<void> {
  const writer = await conn.nextWriter(binary ? 2 : 1);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(9_000);
    await writer.write(bytes.subarray(at, end));
    at = end;
  }
  await writer.close();
}

async function hear(conn: Conn, said: Said, streamed: boolean): Promise<void> {
  if (streamed) {
    const reader = await conn.nextReader();
    same(said, reader.type !== TextMessage, await reader.bytes());
  } else {
    const { type, data } = await conn.readMessage({ timeout: 60_000 });
    same(said, type !== TextMessage, data);
  }
}

async function values(conn: Conn, scene: Scene, random: Random): Promise<void> {
  let more = true;
  for (let rounds = 1 + random.below(8); more && rounds > 0; rounds--) {
    const value = { n: random.word(), list: [random.below(9), 'é😀'.repeat(random.below(300))] };
    await conn.writeJSON(value);
    const heard = await conn.readJSON();
    if (JSON.stringify(heard) !== JSON.stringify(value)) throw new Error('another value');
    scene.messages++;
    more = await scene.pause(random.below(PAUSE));
  }
}

async function listens(conn: Conn, scene: Scene, random: Random): Promise<void> {
  const reading = conn.receive((message) => {
    if (!/^\d+ \d+ all hear/.test(message.text())) scene.fault('room: another text');
    scene.messages++;
  });
  // It ends when we leave, in any way there is.
  reading.catch(() => {});
  await scene.pause(random.below(3 * PAUSE));
}

async function rests(_: Conn, scene: Scene, random: Random): Promise<void> {
  await scene.pause(random.below(4 * PAUSE));
}

/** How the server ends a connection, and what we hear of it. */
const ENDS: readonly (readonly [how: string, code: number])[] = [
  ['close', 4001],
  ['away', 1001],
  ['late', 1011],
  ['throw', 1011],
  ['terminate', 1006],
];

function isEnded(expected: number): Talk {
  return async (conn, scene, random) => {
    void conn.discardReads();
    await scene.pause(random.below(PAUSE));
    await conn.send('end it');
    if (!(await scene.within(60_000, conn.closed))) return;
    const { code } = await conn.closed;
    if (code !== expected) throw new Error(`ended with ${code} in place of ${expected}`);
  };
}

/** Asks for what there is not, or for what it may not have, or thinks better of it. */
function refused(dialers: readonly Dialer[]): Life {
  return async (scene, random) => {
    const { url } = random.pick(scene.addresses);
    const way = random.below(3);
    const path = ['/no/such/path', '/quiet?nobody', '/quiet?slow'][way]!;
    const leaving = new AbortController();
    const dialed = await scene.admit(async () => {
      const dialing = random.pick(dialers).dial(url + path, { signal: leaving.signal });
      if (way === 2) {
        void scene.pause(random.below(100)).then(() => leaving.abort(new Error('gone')));
      }
      return dialing.then(
        ({ conn }) => conn,
        (error: Error) => error.message,
      );
    });
    if (dialed === undefined) return;
    if (typeof dialed !== 'string') {
      dialed.terminate();
      // The last is let in where it thinks so slowly that the server has answered.
      if (way === 2) return;
      throw new Error('let in');
    }
    const says = [/404/, /403/, /gone/][way]!;
    if (!says.test(dialed)) throw new Error(`refused with ${dialed}`);
  };
}

async function leave(conn: Conn, scene: Scene, random: Random): Promise<void> {
  const socket = conn.underlyingConn as Socket;
  switch (random.below(7)) {
    case 0:
      await conn.close(1001, 'going away');
      break;
    case 1:
      await conn.close(4000 + random.below(1_000), 'é'.repeat(random.below(60)));
      break;
    case 2:
      conn.terminate();
      break;
    case 3:
      // Node crashes when TCP goes within a call from TLS.
      if (scene.ca === undefined) reset(socket);
      else conn.terminate();
      break;
    case 4:
      void conn.send('"and off"');
      await conn[Symbol.asyncDispose]();
      break;
    case 5:
      // A FIN, with no close frame before it.
      socket.end();
      void conn.discardReads().catch(() => {});
      break;
    default:
      await conn.close();
  }
  if (!(await scene.within(60_000, conn.closed))) throw new Error('never closed');
}
