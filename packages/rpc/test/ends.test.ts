// Sent and waiting calls at each way to end, on each kind of connection.
import { fromWebSocket } from '@ws/browser';
import { type BorrowedMessage, CloseError, type ConnLike, connPair } from '@ws/conn';
import type { Session } from '@ws/hub';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openSocket } from '../../browser/test/fake-web-socket.ts';
import { connected } from '../../fetch/test/fake-conn.ts';
import { inHub } from './in-hub.ts';
import { failure, nextOf, quietly, series, until } from './pairs.ts';

const names = { ask: method(z.number(), z.number()), note: event(z.undefined()) };
const asks = contract({ server: names, client: names });
const handlers = { ask: (input: number) => input, note: () => undefined };

interface End {
  readonly conn: ConnLike;
  readonly peer: ReturnType<typeof asks.peer>;
  /** The peer's close frame arrives. */
  close(code: number): void;
  /** The connection is lost. */
  lose(): void;
  /** Number of messages that the peer has got, without the hello. */
  sent(): number;
}

/** A pair with a peer that reads nothing by a contract. */
function pair(read: (conn: ConnLike) => End['peer']): End {
  const [raw, conn] = connPair();
  let sent = 0;
  const count = (message: BorrowedMessage): void => {
    if (!message.text().includes('"method":"$/hello"')) sent++;
  };
  raw.receive(count).catch(() => {});
  return {
    conn,
    peer: read(conn),
    close: (code) => void raw.close(code),
    lose: () => raw.terminate(),
    sent: () => sent,
  };
}

function served(conn: ConnLike): End['peer'] {
  quietly(asks.serve(handlers)(conn));
  return asks.peer(conn);
}

const kinds: Record<string, () => End> = {
  connect: () => pair((conn) => asks.connect(conn, handlers)),
  serve: () => pair(served),
  listener: () =>
    pair((conn) => {
      return asks.peer(inHub(conn as never, asks.listener<Session>(handlers)));
    }),
  'connect in a page': () => {
    const socket = openSocket();
    const conn = fromWebSocket(socket);
    return {
      conn,
      peer: asks.connect(conn, handlers),
      close: (code) => socket.end(code),
      lose: () => socket.end(1006),
      sent: () => socket.sent.length,
    };
  },
  'serve of @ws/fetch': () => {
    const { conn, socket } = connected();
    return {
      conn,
      peer: served(conn),
      close: (code) => socket.emit('close', { code, reason: '', wasClean: true }),
      lose: () => socket.emit('close', { code: 1006, reason: '', wasClean: false }),
      sent: () => socket.sent.length,
    };
  },
};

const ends: Record<string, [code: number, end: (end: End) => void]> = {
  'its close 1000': [
    1000,
    (end) => {
      void end.conn.close(1000);
      end.close(1000);
    },
  ],
  'its close 4401': [
    4401,
    (end) => {
      void end.conn.close(4401);
      end.close(4401);
    },
  ],
  'a close of the peer': [1000, (end) => end.close(1000)],
  'a close 1001 of the peer': [1001, (end) => end.close(1001)],
  'a loss': [1006, (end) => end.lose()],
  'its terminate': [1006, (end) => end.conn.terminate()],
};

describe.each(Object.keys(kinds))('calls through %s', (kind) => {
  it.each(Object.keys(ends))('that are sent, or wait, reject at %s', async (name) => {
    const [code, endIt] = ends[name]!;
    const end = kinds[kind]!();
    const calls = Array.from({ length: 258 }, (_, i) =>
      failure(end.peer.ask(i, { timeout: false })),
    );
    // An event does not wait behind requests that wait for answers.
    await end.peer.note();
    await until(() => expect(end.sent()).toBe(257));
    endIt(end);
    for (const error of await Promise.all(calls)) {
      expect(error).toBeInstanceOf(CloseError);
      expect(error).toMatchObject({ closeCode: code });
    }
    expect(await failure(end.peer.ask(0))).toMatchObject({ closeCode: code });
    expect(await failure(end.peer.note())).toBeInstanceOf(Error);
  });
});

describe('calls through a ReconnectingConn', () => {
  it('that are sent reject at each end, and those that wait are sent on the next', async () => {
    const socketEnds = [4000, 1001, 1006];
    const { servers, live } = series();
    const peer = asks.connect(live, handlers);
    for (const code of socketEnds) {
      await until(() => expect(live.conn?.state).toBe('open'));
      const count = servers.length;
      const sent = Array.from({ length: 256 }, (_, i) => failure(peer.ask(i)));
      const waiting = peer.ask(1_000);
      const server = servers.at(-1)!;
      if (code === 1006) server.terminate();
      // It has read none of the calls.
      else void server.close(code, '', { discard: true });
      for (const error of await Promise.all(sent)) {
        expect(error).toMatchObject({ closeCode: code });
      }
      await until(() => expect(servers.length).toBeGreaterThan(count));
      const next = servers.at(-1)!;
      const { id } = (await nextOf(next)) as { id: number };
      await next.writeJSON({ jsonrpc: '2.0', id, result: 7 });
      expect(await waiting).toBe(7);
    }
    const rest = [peer.ask(1), ...Array.from({ length: 258 }, () => peer.ask(2))];
    const ended = Promise.allSettled(rest);
    const closing = live.close(4401);
    servers.at(-1)!.terminate();
    await closing;
    for (const one of await ended) expect(one.status).toBe('rejected');
    await expect(peer.ask(1)).rejects.toBeInstanceOf(Error);
  });
});
