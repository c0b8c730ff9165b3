// Rooms without sockets, in a process of their own. See `InMemoryAnswers`.
import { openSync, writeSync } from 'node:fs';
import { devNull } from 'node:os';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { broadcast, Conn, type Transport } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { nodePlatform } from '@ws/node-io';
import { answer } from '../harness/child.ts';
import { delay } from '../harness/delay.ts';
import { memory, usage } from '../harness/usage.ts';
import { socketIo } from './socket-io.ts';

const SIZE = 100;
const MIB = 1_048_576;
/** A header of two bytes. */
const FRAME = SIZE + 2;
const ROOM = 'all';
/** Long enough for a timer of the monitor to run before and after the messages. */
const QUIET_MS = 5;

/** Sessions, and the rooms that they join. */
export interface MembershipPlan {
  readonly sessions: number;
  readonly rooms: number;
  /** Rooms of each session. */
  readonly each: number;
}

/** Members that resume. */
export interface ResumePlan {
  readonly members: number;
  /** Messages that each has missed. */
  readonly messages: number;
}

/** The requests that the process answers. */
export type InMemoryAnswers = {
  /** Creates the members of a room. Each write of a member is a system call to the null device. */
  open: (request: { contender: InMemory; members: number }) => void;
  /**
   * Messages to all for `ms`: seconds of CPU of each, and the p99 of the delay of the event loop in
   * ms.
   */
  publish: (ms: number) => Promise<{ message: number; delay: number }>;
  /** Prepares sessions. */
  sessions: (request: { contender: 'hub' | 'socket.io'; plan: MembershipPlan }) => Promise<void>;
  /** Each session joins its rooms, then leaves them. Needs `--expose-gc`. */
  memberships: (nothing?: undefined) => Promise<{ us: number; bytes: number }>;
  /** Adds this number of connections to a hub. Needs `--expose-gc`. */
  openings: (request: {
    contender: Opening;
    count: number;
  }) => Promise<{ us: number; bytes: number }>;
  /**
   * Members come back at once, and each has missed all messages: seconds of CPU, and the growth of the
   * resident memory in MiB. Needs `--expose-gc`.
   */
  resumes: (plan: ResumePlan) => Promise<{ cpu: number; growth: number }>;
};

/** `form`: a hub whose rooms have a `form`; `rooms`: the messages of `serveRooms`, of the same length. */
export type InMemory = 'hub' | 'broadcast' | 'form' | 'rooms';

/** A listener of `connect` joins a room; the second one returns the promise of the join. */
export type Opening = 'hub' | 'hub, async';

const device = openSync(devNull, 'w');

class NullTransport implements Transport {
  readonly bufferedAmount = 0;
  written = 0;

  start(): void {}
  write(chunk: Uint8Array, release?: () => void): boolean {
    writeSync(device, chunk);
    this.written += chunk.length;
    release?.();
    return true;
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

function connOf(transport: Transport): Conn {
  return new Conn(transport, { role: 'server', platform: nodePlatform, heartbeat: false });
}

let transports: NullTransport[] = [];
let toAll: (payload: Buffer) => unknown;
/** Bytes of each message, if they are always the same. */
let frame: number | undefined = FRAME;
let published = 0;

function open({ contender, members }: { contender: InMemory; members: number }): void {
  transports = Array.from({ length: members }, () => new NullTransport());
  const conns = transports.map(connOf);
  if (contender === 'broadcast') {
    toAll = (payload) => broadcast(conns, payload);
    return;
  }
  const hub = hubOf(contender);
  for (const conn of conns) void hub.add(conn).join(ROOM);
  const room = hub.room(ROOM);
  if (contender === 'hub') toAll = (payload) => room.publish(payload);
  else {
    frame = undefined;
    toAll = (payload) => room.publish(`"${payload.toString('latin1')}"`);
  }
}

function hubOf(contender: InMemory): Hub {
  if (contender === 'hub') return new Hub();
  if (contender === 'rooms') return serveRooms({ [ROOM]: { history: true, mayJoin: true } }).hub;
  return new Hub({
    rooms: {
      [ROOM]: {
        history: true,
        form: (message, { room, position }) =>
          `{"jsonrpc":"2.0","method":"room.message","params":{"room":"${room}","position":${JSON.stringify(position)},"data":${message.text()}}}`,
      },
    },
  });
}

async function publish(ms: number): Promise<{ message: number; delay: number }> {
  const first = published;
  const until = performance.now() + ms;
  delay();
  await sleep(QUIET_MS);
  const before = usage().cpu;
  do {
    await toAll(Buffer.alloc(SIZE, frame === undefined ? 97 + (published++ % 26) : published++));
    // The last frames leave at the end of the turn.
    await nextTurn();
  } while (performance.now() < until);
  const cpu = usage().cpu - before;
  await sleep(QUIET_MS);
  const expected = frame === undefined ? transports[0]!.written : published * frame;
  const lacking = transports.filter(({ written }) => written !== expected || written === 0).length;
  if (lacking > 0) throw new Error(`${lacking} members lack a message`);
  return { message: cpu / 1e6 / (published - first), delay: delay() };
}

/** Joins and leaves of one session. */
interface Joining {
  join(room: string): void;
  leave(room: string): void;
}

let joining: Joining[] = [];
let roomsOf: (session: number) => readonly string[];

async function sessions({
  contender,
  plan: { sessions: count, rooms, each },
}: {
  contender: 'hub' | 'socket.io';
  plan: MembershipPlan;
}): Promise<void> {
  const names = Array.from({ length: rooms }, (_, i) => `room ${i}`);
  const runs = Array.from({ length: rooms / each }, (_, i) =>
    names.slice(i * each, (i + 1) * each),
  );
  roomsOf = (session) => runs[session % runs.length]!;
  // The last one stays in all rooms, so that they exist.
  joining = contender === 'hub' ? hubSessions(count + 1) : await socketIoSessions(count + 1);
  const resident = joining.pop()!;
  for (const name of names) resident.join(name);
}

function hubSessions(count: number): Session[] {
  const hub = new Hub();
  return Array.from({ length: count }, () => hub.add(connOf(new NullTransport())));
}

/** What `join` and `leave` of a socket do. */
async function socketIoSessions(count: number): Promise<Joining[]> {
  const Server = await socketIo();
  const { adapter } = new Server().of('/');
  return Array.from({ length: count }, (_, i) => ({
    join: (room) => void adapter.addAll(`session ${i}`, new Set([room])),
    leave: (room) => void adapter.del(`session ${i}`, room),
  }));
}

async function memberships(): Promise<{ us: number; bytes: number }> {
  const empty = await memory(true);
  let cpu = -usage().cpu;
  const count = forEach((session, room) => session.join(room));
  cpu += usage().cpu;
  const joined = await memory(true);
  cpu -= usage().cpu;
  forEach((session, room) => session.leave(room));
  cpu += usage().cpu;
  return { us: cpu / count, bytes: (joined.heap - empty.heap) / count };
}

/** Returns the number of memberships. */
function forEach(change: (session: Joining, room: string) => void): number {
  let count = 0;
  for (const [i, session] of joining.entries()) {
    for (const room of roomsOf(i)) {
      change(session, room);
      count++;
    }
  }
  return count;
}

/** The hubs of all windows: the bytes of one are not those of another that ends. */
const opened: Hub[] = [];

async function openings({
  contender,
  count,
}: {
  contender: Opening;
  count: number;
}): Promise<{ us: number; bytes: number }> {
  opened.length = 0;
  const hub = new Hub();
  opened.push(hub);
  hub.on(
    'connect',
    contender === 'hub' ? (session) => void session.join(ROOM) : (session) => session.join(ROOM),
  );
  const conns = Array.from({ length: count }, () => connOf(new NullTransport()));
  const before = await memory(true);
  let cpu = -usage().cpu;
  for (const conn of conns) hub.add(conn);
  await nextTurn();
  cpu += usage().cpu;
  const after = await memory(true);
  if (hub.room(ROOM).members.size !== count) throw new Error('not all sessions are members');
  return { us: cpu / count, bytes: (after.heap - before.heap) / count };
}

async function resumes({
  members,
  messages,
}: ResumePlan): Promise<{ cpu: number; growth: number }> {
  const history = { size: messages };
  const hub = new Hub({
    rooms: {
      [ROOM]: { history, form: (message, { position }) => `${position!.offset} ${message.text()}` },
    },
  });
  opened.length = 0;
  opened.push(hub);
  for (let i = 0; i < messages; i++) await hub.room(ROOM).publish('x'.repeat(SIZE));
  const back = Array.from({ length: members }, () => new NullTransport());
  const conns = back.map(connOf);
  const before = await memory(true);
  let cpu = -usage().cpu;
  let isBack = false;
  const since = { epoch: '', offset: 0 };
  const all = Promise.all(conns.map((conn) => hub.add(conn).join(ROOM, { since }))).then(() => {
    isBack = true;
  });
  let highest = 0;
  while (!isBack) {
    await nextTurn();
    highest = Math.max(highest, process.memoryUsage.rss());
  }
  await all;
  await nextTurn();
  cpu += usage().cpu;
  if (back.some(({ written }) => written < messages * FRAME))
    throw new Error('messages are missing');
  return { cpu: cpu / 1e6, growth: (highest - before.resident) / MIB };
}

answer({ open, publish, sessions, memberships, openings, resumes } satisfies InMemoryAnswers);
