import {
  BackpressureError,
  BinaryMessage,
  broadcast,
  type Conn,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { turn } from '../kit/fake-platform.ts';
import { Random } from '../kit/random.ts';
import { ACCEPTED, FAILED, MAYBE, REJECTED, type Sent } from './delivery-log.ts';
import { addFault, type Driver, type Endpoint, play } from './endpoint.ts';
import { bytesOf, type Content, textOf } from './message-content.ts';
import { drawSize, type Reading } from './script.ts';

/** The server connections that receive broadcasts. */
export class Room {
  readonly members = new Map<Conn, Endpoint>();
  readonly #tag: number;
  #number = 0;

  constructor(tag: number) {
    this.#tag = tag;
  }

  /** Broadcasts a message to every open member. */
  add(random: Random): void {
    const content = {
      text: random.once(2),
      tag: this.#tag,
      number: this.#number++,
      size: drawSize(random, 'awaited'),
    };
    const conns: Conn[] = [];
    const sent: Sent[] = [];
    for (const [conn, endpoint] of this.members) {
      if (conn.state !== 'open' || endpoint.out.done || conns.length === 32) continue;
      conns.push(conn);
      sent.push(endpoint.out.add(content, endpoint.streams));
    }
    const data = content.text ? textOf(content) : bytesOf(content);
    const accepted = broadcast(conns, data);
    // `broadcast` does not report which connections accepted it.
    if (accepted < conns.length) for (const one of sent) one.state = MAYBE;
  }
}

/** Plays a part with a Conn. */
export async function runOwn(endpoint: Endpoint, conn: Conn, room?: Room): Promise<void> {
  const { part } = endpoint;
  const random = new Random(part.seed);
  room?.members.set(conn, endpoint);
  const reading = read(endpoint, conn, part.reading, new Random(part.seed ^ 1)).then(
    () => {
      endpoint.reading = 'done';
    },
    () => {
      endpoint.reading = 'failed';
    },
  );
  const driver: Driver = {
    isOpen: () => conn.state === 'open',
    send: (content) => sendOne(endpoint, conn, content, random),
    ping: () => watch(endpoint, conn.ping()),
    close: (code) => watch(endpoint, conn.close(code, '', { timeout: 600_000 })),
    terminate: () => conn.terminate(),
    over: conn.closed.then(({ code, wasClean }) => ({ code, clean: wasClean })),
    reading,
    onSent() {
      if (room !== undefined && random.once(40)) room.add(random);
    },
    // Later messages must be rejected.
    onLeft() {
      const late = conn.send('sent after the end').then(
        () => addFault(endpoint, 'a message was accepted after the end'),
        () => {},
      );
      watch(endpoint, late);
    },
  };
  await play(endpoint, driver, random);
  room?.members.delete(conn);
}

/** Counts a promise until it settles. */
function watch(endpoint: Endpoint, promise: Promise<unknown>): void {
  endpoint.out.pending++;
  const settled = (): void => {
    endpoint.out.pending--;
  };
  promise.then(settled, settled);
}

/** Records the result of a message. Resolves to true while the connection continues. */
async function follow(endpoint: Endpoint, sent: Sent, written: Promise<void>): Promise<boolean> {
  endpoint.out.pending++;
  sent.open = true;
  try {
    await written;
    return true;
  } catch (error) {
    const refused = error instanceof BackpressureError;
    if (sent.state === ACCEPTED) sent.state = refused ? REJECTED : FAILED;
    // The peer may have received all others.
    endpoint.onProgress();
    return refused;
  } finally {
    sent.open = false;
    endpoint.out.pending--;
  }
}

/** Sends a message in one of all possible ways. Resolves to false when the connection is over. */
function sendOne(
  endpoint: Endpoint,
  conn: Conn,
  content: Content,
  random: Random,
): Promise<boolean> {
  const type = content.text ? TextMessage : BinaryMessage;
  const plain = (): string | Buffer => (content.text ? textOf(content) : bytesOf(content));
  const among = endpoint.part.writing === 'flood' ? random.below(40) : random.below(6);
  // A broadcast has no promise.
  const sent = endpoint.out.add(content, among === 3 ? endpoint.streams : []);
  switch (among) {
    case 0:
      endpoint.streams.add(sent);
      return follow(endpoint, sent, stream(conn, content, random)).finally(() => {
        endpoint.streams.delete(sent);
        endpoint.onProgress();
      });
    case 1:
      return follow(endpoint, sent, conn.writePreparedMessage(new PreparedMessage(type, plain())));
    case 2:
      return follow(endpoint, sent, conn.writeMessage(type, bytesOf(content)));
    case 3:
      if (broadcast([conn], plain()) === 0) sent.state = REJECTED;
      return Promise.resolve(true);
    case 4:
      return follow(endpoint, sent, conn.writeMessage(type, plain(), { compress: false }));
    default:
      return follow(endpoint, sent, conn.send(plain()));
  }
}

/** Writes a message in pieces. */
async function stream(conn: Conn, content: Content, random: Random): Promise<void> {
  const type = content.text ? TextMessage : BinaryMessage;
  const opening = conn.nextWriter(type, { queue: true });
  const bytes = bytesOf(content);
  const writer = await opening;
  let at = 0;
  while (at < bytes.length) {
    const end = at + 1 + random.below(9_000);
    await writer.write(bytes.subarray(at, end));
    at = end;
  }
  await writer.close();
}

/** Reads until the end; rejects as the read does. */
async function read(endpoint: Endpoint, conn: Conn, how: Reading, random: Random): Promise<void> {
  const { part } = endpoint;
  const receive = (type: number, data: string | Uint8Array): void => {
    endpoint.in.receive(type === TextMessage, data);
    endpoint.onProgress();
  };
  const rest = async (): Promise<void> => {
    if (random.below(part.slow ? 20 : 400) > 0) return;
    for (let turns = part.slow ? 8 : 1; turns > 0; turns--) await turn();
  };
  if (how === 'receive') {
    await conn.receive((message) =>
      receive(message.type, message.type === TextMessage ? message.text() : message.data),
    );
  } else if (how === 'receive-async') {
    await conn.receive((message) => {
      if (random.below(8) > 0) return receive(message.type, message.data);
      // The bytes must stay valid until this promise settles.
      return rest().then(() => receive(message.type, message.data));
    });
  } else if (how === 'loop') {
    for await (const message of conn) {
      receive(message.type, message.type === TextMessage ? message.text() : message.data);
      await rest();
    }
  } else {
    for (;;) {
      const reads = how === 'read' || (how === 'any' && random.once(2));
      if (reads) {
        const message = await conn.readMessage();
        receive(message.type, message.data);
      } else await readStream(conn, random, receive);
      await rest();
    }
  }
}

async function readStream(
  conn: Conn,
  random: Random,
  receive: (type: number, data: string | Uint8Array) => void,
): Promise<void> {
  const reader = await conn.nextReader();
  const way = random.pick(['bytes', 'text', 'read', 'pieces'] as const);
  if (way === 'text' && reader.type === TextMessage) receive(reader.type, await reader.text());
  else if (way === 'bytes' || way === 'text') receive(reader.type, await reader.bytes());
  else {
    const pieces: Uint8Array[] = [];
    if (way === 'pieces') for await (const piece of reader) pieces.push(piece);
    else {
      const into = new Uint8Array(1 + random.below(5_000));
      for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
        pieces.push(into.slice(0, n));
      }
    }
    receive(reader.type, Buffer.concat(pieces));
  }
}
