import type { Socket } from 'node:net';
import { type Conn, Dialer, TextMessage } from '@ws/node-client';
import type { Random } from '../kit/random.ts';
import { reset } from '../kit/reset.ts';
import { checkEcho, type EchoMessage, randomMessage } from './echo-message.ts';
import type { Behaviour, ClientKind, RunState } from './run-state.ts';

/** The longest pause between two exchanges in ms: longer than the server's heartbeat interval. */
export const PAUSE = 8_000;
const ECHOES = ['/echo/lent', '/echo/eager', '/echo/loop', '/echo/read', '/echo/stream'];

/** One dialer per compression mode, shared by all clients. */
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

/** Clients of this library: they check echoes and leave in every possible way. */
export function ownClients(dialers: readonly Dialer[]): readonly ClientKind[] {
  const behave =
    (path: (random: Random) => string, talk: Talk, leaves = true): Behaviour =>
    async (state, random) => {
      const { url } = random.pick(state.addresses);
      const dialed = await state.admit(() => random.pick(dialers).dial(url + path(random)));
      if (dialed === undefined) return;
      const conn = dialed;
      void conn.closed.then(state.enter());
      if (conn.subprotocol !== 'soak.2') throw new Error(`subprotocol: ${conn.subprotocol}`);
      // At the end of the run clients only leave: thousands would send at once.
      const talks = await state.pause(random.below(PAUSE));
      try {
        if (talks) await talk(conn, state, random);
        if (leaves || !talks) await leave(conn, state, random);
        else if (!(await state.within(60_000, conn.closed))) throw new Error('never closed');
      } finally {
        conn.terminate();
      }
    };
  return [
    { weight: 40, name: 'echo', behave: behave((random) => random.pick(ECHOES), echoes) },
    { weight: 8, name: 'values', behave: behave(() => '/values', values) },
    { weight: 10, name: 'room', behave: behave((random) => `/room/${random.below(20)}`, listens) },
    { weight: 10, name: 'idle', behave: behave(() => '/quiet', rests) },
    { weight: 2, name: 'refused', behave: refused(dialers) },
    ...ENDS.map(([how, code]) => ({
      weight: 2,
      name: `end ${how}`,
      behave: behave(() => `/end/${how}`, isEnded(code), false),
    })),
  ];
}

type Talk = (conn: Conn, state: RunState, random: Random) => Promise<void>;

async function echoes(conn: Conn, state: RunState, random: Random): Promise<void> {
  let more = true;
  for (let rounds = 1 + random.below(8); more && rounds > 0; rounds--) {
    const way = random.below(5);
    if (way === 0) await conn.ping('how are you?');
    else {
      const all = Array.from({ length: way === 1 ? 5 : 1 }, () => randomMessage(random));
      const written = way === 2 ? stream(conn, all[0]!, random) : write(conn, all);
      // Without an echo the read is the fault; the error of the write is ignored.
      written.catch(() => {});
      for (const said of all) await hear(conn, said, way === 3);
      await written;
      state.messages += all.length;
    }
    more = await state.pause(random.below(PAUSE));
  }
}

async function write(conn: Conn, all: readonly EchoMessage[]): Promise<void> {
  for (const { binary, bytes } of all) await conn.writeMessage(binary ? 2 : 1, bytes);
}

async function stream(conn: Conn, { binary, bytes }: EchoMessage, random: Random): Promise<void> {
  const writer = await conn.nextWriter(binary ? 2 : 1);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(9_000);
    await writer.write(bytes.subarray(at, end));
    at = end;
  }
  await writer.close();
}

async function hear(conn: Conn, said: EchoMessage, streamed: boolean): Promise<void> {
  if (streamed) {
    const reader = await conn.nextReader();
    checkEcho(said, reader.type !== TextMessage, await reader.bytes());
  } else {
    const { type, data } = await conn.readMessage({ timeout: 60_000 });
    checkEcho(said, type !== TextMessage, data);
  }
}

async function values(conn: Conn, state: RunState, random: Random): Promise<void> {
  let more = true;
  for (let rounds = 1 + random.below(8); more && rounds > 0; rounds--) {
    const value = { n: random.word(), list: [random.below(9), 'é😀'.repeat(random.below(300))] };
    await conn.writeJSON(value);
    const heard = await conn.readJSON();
    if (JSON.stringify(heard) !== JSON.stringify(value)) throw new Error('wrong value');
    state.messages++;
    more = await state.pause(random.below(PAUSE));
  }
}

async function listens(conn: Conn, state: RunState, random: Random): Promise<void> {
  const reading = conn.receive((message) => {
    if (!/^\d+ \d+ all hear/.test(message.text())) state.fault('room: wrong text');
    state.messages++;
  });
  // Rejects when this client leaves.
  reading.catch(() => {});
  await state.pause(random.below(3 * PAUSE));
}

async function rests(_: Conn, state: RunState, random: Random): Promise<void> {
  await state.pause(random.below(4 * PAUSE));
}

/** How the server ends a connection, and the close code at the client. */
const ENDS: readonly (readonly [how: string, code: number])[] = [
  ['close', 4001],
  ['away', 1001],
  ['late', 1011],
  ['throw', 1011],
  ['terminate', 1006],
];

function isEnded(expected: number): Talk {
  return async (conn, state, random) => {
    void conn.discardReads();
    await state.pause(random.below(PAUSE));
    await conn.send('end it');
    if (!(await state.within(60_000, conn.closed))) return;
    const { code } = await conn.closed;
    if (code !== expected) throw new Error(`close code ${code}, expected ${expected}`);
  };
}

/** Dials an unknown path, a forbidden one, or aborts the dial. */
function refused(dialers: readonly Dialer[]): Behaviour {
  return async (state, random) => {
    const { url } = random.pick(state.addresses);
    const way = random.below(3);
    const path = ['/no/such/path', '/quiet?forbidden', '/quiet?slow'][way]!;
    const leaving = new AbortController();
    const dialed = await state.admit(async () => {
      const dialing = random.pick(dialers).dial(url + path, { signal: leaving.signal });
      if (way === 2) {
        void state.pause(random.below(100)).then(() => leaving.abort(new Error('aborted by test')));
      }
      return dialing.then(
        (conn) => conn,
        (error: Error) => error.message,
      );
    });
    if (dialed === undefined) return;
    if (typeof dialed !== 'string') {
      dialed.terminate();
      // An abort may come after the answer of the server.
      if (way === 2) return;
      throw new Error('accepted');
    }
    const says = [/404/, /403/, /aborted by test/][way]!;
    if (!says.test(dialed)) throw new Error(`refused with ${dialed}`);
  };
}

async function leave(conn: Conn, state: RunState, random: Random): Promise<void> {
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
      // Node crashes when TCP is destroyed within a call from TLS.
      if (state.ca === undefined) reset(socket);
      else conn.terminate();
      break;
    case 4:
      void conn.send('"last"');
      await conn[Symbol.asyncDispose]();
      break;
    case 5:
      // A FIN without a close frame.
      socket.end();
      void conn.discardReads().catch(() => {});
      break;
    default:
      await conn.close();
  }
  if (!(await state.within(60_000, conn.closed))) throw new Error('never closed');
}
