import { setTimeout as wait } from 'node:timers/promises';
import {
  broadcast,
  CloseCode,
  type Conn,
  type ConnHandler,
  PreparedMessage,
  type RouteParams,
} from '@ws/node-server';

/** An error that a handler throws on purpose; its report is no fault. */
export class Intended extends Error {}

/** Time between two broadcasts in ms. */
const BROADCAST_EVERY = 500;
const FLOOD = Buffer.alloc(64 * 1024, 'flood');

/** Connections by room; each room gets broadcasts. */
export class Rooms {
  readonly #rooms = new Map<string, Set<Conn>>();
  readonly #timer: NodeJS.Timeout = setInterval(() => this.#broadcast(), BROADCAST_EVERY);
  #count = 0;

  enter(name: string, conn: Conn): Promise<unknown> {
    const room = this.#rooms.get(name) ?? new Set();
    this.#rooms.set(name, room.add(conn));
    void conn.closed.then(() => {
      room.delete(conn);
      if (room.size === 0 && this.#rooms.get(name) === room) this.#rooms.delete(name);
    });
    return conn.discardReads();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #broadcast(): void {
    this.#count++;
    for (const [name, room] of this.#rooms) {
      const said = `${name} ${this.#count} ${'all hear the same. '.repeat(40)}`;
      broadcast(room, new PreparedMessage(1, said));
    }
  }
}

async function echoLoop(conn: Conn): Promise<void> {
  for await (const { type, data } of conn) await conn.writeMessage(type, data);
}

async function echoRead(conn: Conn, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { type, data } = await conn.readMessage({ signal, timeout: 60_000 });
    void conn.writeMessage(type, data);
  }
}

async function echoStream(conn: Conn): Promise<void> {
  for (;;) {
    const reader = await conn.nextReader();
    const writer = await conn.nextWriter(reader.type);
    for await (const piece of reader) await writer.write(piece);
    await writer.close();
  }
}

async function echoValues(conn: Conn): Promise<void> {
  for (;;) {
    conn.setReadDeadline(Date.now() + 60_000);
    await conn.writeJSON(await conn.readJSON());
  }
}

/** Writes until the peer does not read for two seconds. */
async function flood(conn: Conn): Promise<void> {
  void conn.discardReads();
  for (;;) {
    conn.setWriteDeadline(Date.now() + 2_000);
    await conn.send(FLOOD);
  }
}

/** Ends the connection after one message, as the path says. */
async function end(conn: Conn, how: string): Promise<unknown> {
  await conn.readMessage();
  switch (how) {
    case 'close':
      return conn.close(4001, 'requested');
    case 'away':
      return conn.close(CloseCode.GoingAway);
    case 'late':
      // The deadline expires first.
      conn.setReadDeadline(Date.now() + 200);
      return conn.readMessage();
    case 'throw':
      await wait(20);
      throw new Intended('requested');
    default:
      return conn.terminate();
  }
}

/** The handlers of the server by path. `lasting` is never aborted. */
export function handlers(
  rooms: Rooms,
  lasting: AbortSignal,
): Record<string, ConnHandler<unknown, RouteParams<string>>> {
  return {
    '/echo/lent': (conn: Conn) => conn.receive((message) => conn.send(message)),
    '/echo/eager': (conn: Conn) => conn.receive((message) => void conn.send(message)),
    '/echo/loop': echoLoop,
    '/echo/read': (conn: Conn) => echoRead(conn, lasting),
    '/echo/stream': echoStream,
    '/values': echoValues,
    '/quiet': (conn: Conn) => conn.discardReads(),
    '/flood': flood,
    '/end/:how': (conn, _, { params }) => end(conn, params['how']!),
    '/room/:name': (conn, _, { params }) => rooms.enter(params['name']!, conn),
  };
}
