import {
  BackpressureError,
  BinaryMessage,
  broadcast,
  type Conn,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { turn } from '../fake-host.ts';
import { Random } from '../random.ts';
import { bytesOf, type Content, textOf } from './content.ts';
import { ACCEPTED, MAYBE, REFUSED, type Said, TOLD } from './ledger.ts';
import { drawSize, type Reading } from './script.ts';
import { blame, type Side } from './side.ts';

/** Those of our server that get what is said to all of them. */
export class Room {
  readonly members = new Map<Conn, Side>();
  readonly #tag: number;
  #number = 0;

  constructor(tag: number) {
    this.#tag = tag;
  }

  /** Says something to every member that is still talking. */
  say(random: Random): void {
    const content = {
      text: random.once(2),
      tag: this.#tag,
      number: this.#number++,
      size: drawSize(random, 'awaited'),
    };
    const conns: Conn[] = [];
    const said: Said[] = [];
    for (const [conn, side] of this.members) {
      if (conn.state !== 'open' || side.out.done || conns.length === 32) continue;
      conns.push(conn);
      said.push(side.out.say(content, side.stream));
    }
    const data = content.text ? textOf(content) : bytesOf(content);
    const accepted = broadcast(conns, data);
    // Which of them have not accepted it is not told.
    if (accepted < conns.length) for (const one of said) one.state = MAYBE;
  }
}

/** Plays a part with a Conn; resolves when the connection and all that was asked of it have ended. */
export async function playOurs(side: Side, conn: Conn, room?: Room): Promise<void> {
  const { part, out } = side;
  side.close = (code) => {
    side.closed ??= { code, after: out.said.length };
    watch(side, conn.close(code, '', { timeout: 600_000 }));
  };
  const random = new Random(part.seed);
  room?.members.set(conn, side);
  const reading = read(side, conn, part.reading, new Random(part.seed ^ 1)).then(
    () => {
      side.reading = 'done';
    },
    () => {
      side.reading = 'failed';
    },
  );
  const writing = write(side, conn, random, room).catch((error: unknown) => {
    blame(side, `writing threw ${String(error)}`);
  });
  const { code, wasClean } = await conn.closed;
  side.end = { code, clean: wasClean };
  side.close = undefined;
  room?.members.delete(conn);
  await Promise.all([reading, writing]);
  // What was never awaited has settled by now too, or never will.
  for (let i = 0; i < 3 && out.pending > 0; i++) await turn();
}

/** Counts a promise of the library until it settles. */
function watch(side: Side, promise: Promise<unknown>): void {
  side.out.pending++;
  const settled = (): void => {
    side.out.pending--;
  };
  promise.then(settled, settled);
}

/** Notes what becomes of a message. True: it is on its way, as far as is known. */
async function follow(side: Side, said: Said, written: Promise<void>): Promise<boolean> {
  side.out.pending++;
  try {
    await written;
    return true;
  } catch (error) {
    const refused = error instanceof BackpressureError;
    if (said.state === ACCEPTED) said.state = refused ? REFUSED : TOLD;
    return refused;
  } finally {
    side.out.pending--;
  }
}

async function write(side: Side, conn: Conn, random: Random, room?: Room): Promise<void> {
  const { part, out } = side;
  for (let number = 0; number < part.messages; number++) {
    if (number === part.leaves?.after) return leave(side, conn);
    if (conn.state !== 'open') break;
    const size = drawSize(random, part.writing);
    const content = { text: random.once(2), tag: side.tag, number, size };
    const flowing = sayOne(side, conn, content, random);
    const waits =
      part.writing === 'awaited' || random.below(part.writing === 'heavy' ? 6 : 50) === 0;
    if (waits && !(await flowing)) break;
    if (random.once(60)) watch(side, conn.ping());
    if (room !== undefined && random.once(40)) room.say(random);
  }
  if (part.leaves !== undefined && part.leaves.after >= part.messages) return leave(side, conn);
  out.done = true;
  side.news();
}

/** Leaves in the middle; what is said afterwards must be refused. */
function leave(side: Side, conn: Conn): void {
  const { out } = side;
  if (side.part.leaves!.how === 'terminate') {
    side.terminated = true;
    conn.terminate();
  } else if (conn.state === 'open') side.close?.(4001);
  out.done = true;
  watch(
    side,
    conn.send('said after the end').then(
      () => blame(side, 'a message was accepted after the end'),
      () => {},
    ),
  );
}

/** Hands one message over, in one of the ways that there are; false: the connection is over. */
function sayOne(side: Side, conn: Conn, content: Content, random: Random): Promise<boolean> {
  const type = content.text ? TextMessage : BinaryMessage;
  const plain = (): string | Buffer => (content.text ? textOf(content) : bytesOf(content));
  const among = side.part.writing === 'flood' ? random.below(40) : random.below(6);
  // Of a broadcast there is no promise.
  const said = side.out.say(content, among === 3 ? side.stream : undefined);
  switch (among) {
    case 0:
      side.stream = said;
      return follow(side, said, stream(conn, content, random)).finally(() => {
        if (side.stream === said) side.stream = undefined;
        side.news();
      });
    case 1:
      return follow(side, said, conn.writePreparedMessage(new PreparedMessage(type, plain())));
    case 2:
      return follow(side, said, conn.writeMessage(type, bytesOf(content)));
    case 3:
      if (broadcast([conn], plain()) === 0) said.state = REFUSED;
      return Promise.resolve(true);
    case 4:
      return follow(side, said, conn.writeMessage(type, plain(), { compress: false }));
    default:
      return follow(side, said, conn.send(plain()));
  }
}

/** A message in pieces. */
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

/** Reads to the end; rejects as reading does. */
async function read(side: Side, conn: Conn, how: Reading, random: Random): Promise<void> {
  const { part } = side;
  const hear = (type: number, data: string | Uint8Array): void => {
    side.in.hear(type === TextMessage, data);
    side.news();
  };
  const rest = async (): Promise<void> => {
    if (random.below(part.slow ? 20 : 400) > 0) return;
    for (let turns = part.slow ? 8 : 1; turns > 0; turns--) await turn();
  };
  if (how === 'receive') {
    await conn.receive((message) =>
      hear(message.type, message.type === TextMessage ? message.text() : message.data),
    );
  } else if (how === 'receive-async') {
    await conn.receive((message) => {
      if (random.below(8) > 0) return hear(message.type, message.data);
      // Its bytes must be valid until this settles.
      return rest().then(() => hear(message.type, message.data));
    });
  } else if (how === 'loop') {
    for await (const message of conn) {
      hear(message.type, message.type === TextMessage ? message.text() : message.data);
      await rest();
    }
  } else {
    for (;;) {
      const reads = how === 'read' || (how === 'any' && random.once(2));
      if (reads) {
        const message = await conn.readMessage();
        hear(message.type, message.data);
      } else await readStream(conn, random, hear);
      await rest();
    }
  }
}

async function readStream(
  conn: Conn,
  random: Random,
  hear: (type: number, data: string | Uint8Array) => void,
): Promise<void> {
  const reader = await conn.nextReader();
  const way = random.pick(['bytes', 'text', 'read', 'pieces'] as const);
  if (way === 'text' && reader.type === TextMessage) hear(reader.type, await reader.text());
  else if (way === 'bytes' || way === 'text') hear(reader.type, await reader.bytes());
  else {
    const pieces: Uint8Array[] = [];
    if (way === 'pieces') for await (const piece of reader) pieces.push(piece);
    else {
      const into = new Uint8Array(1 + random.below(5_000));
      for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
        pieces.push(into.slice(0, n));
      }
    }
    hear(reader.type, Buffer.concat(pieces));
  }
}
