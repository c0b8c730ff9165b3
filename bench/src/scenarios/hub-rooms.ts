import { Child } from '../harness/child.ts';
import type { Contest, ContestResult, Reading } from '../harness/runner.ts';
import { hasPortsFor, type Published, type PublishRequest } from '../load/room-load.ts';
import type { RoomLoadAnswers } from '../load/room-load-worker.ts';
import type { RoomServerAnswers } from '../rivals/room-server-worker.ts';
import type { RoomContender } from '../rivals/room-servers.ts';
import { type Environment, lackOfFiles, startChild, startProcesses } from './scenario.ts';

/** All contenders. `ws` masks nothing that a server sends, so native masks are the same. */
const ALL: readonly string[] = ['hub', 'broadcast', 'ws', 'ws, corked', 'socket.io', 'bun'];
/** The contenders of the largest room, whose processes take long to start. */
const FEW: readonly string[] = ['hub', 'broadcast', 'ws, corked', 'bun'];

/** Members, and the contenders that have so many. */
const MEMBERS: readonly (readonly [members: number, contenders: readonly string[]])[] = [
  [1000, ALL],
  [10_000, ALL],
  [100_000, FEW],
];
/** From this size on, the contenders run one after the other. */
const LARGE = 100_000;
/** Messages in a turn. */
const PER_TURN: readonly number[] = [1, 16];
const SIZE = 100;

/** A server and the members of its room. */
export interface Room {
  readonly load: Child<RoomLoadAnswers>;
  readonly server: Child<RoomServerAnswers>;
  /** Microseconds of CPU. */
  cpu(): Promise<number>;
  /** The p99 of the delay of the event loop in ms, since the last call. */
  delay(): Promise<number>;
}

/** A contest for each size of a room. */
export function roomContests(environment: Environment): Contest[] {
  return MEMBERS.map(([members, contenders]) => roomContest(environment, members, contenders));
}

/** A contest of rooms with so many members. */
export function roomContest(
  environment: Environment,
  members: number,
  contenders: readonly string[],
): Contest {
  const name = `${members.toLocaleString('en')} members`;
  return {
    name,
    contenders,
    lacks: lackOfFiles(members) ?? lackOfPorts(members),
    alone: members >= LARGE,
    once: members >= LARGE,
    start: (contender) =>
      startProcesses(async (ends) => {
        const room = await startRoom(environment, name, contender, { members, size: SIZE }, ends);
        return { window: (ms) => roomWindows(room, ms, members >= LARGE) };
      }),
  };
}

/** @param cold - Whether no window came before: the first turns compile the code. */
async function roomWindows(room: Room, ms: number, cold: boolean): Promise<Reading> {
  const readings: [string, number][] = [];
  for (const perTurn of PER_TURN) {
    if (cold) await room.load.ask('publish', { perTurn, turns: 1 });
    const reading = await roomWindow(room, { perTurn, ms });
    for (const [metric, value] of Object.entries(reading)) {
      readings.push([`${perTurn} ${metric}`, value]);
    }
  }
  return Object.fromEntries(readings);
}

/** Each room contest as one result for each number of messages in a turn. */
export function byTurn(results: readonly ContestResult[]): ContestResult[] {
  return results.flatMap((result) =>
    PER_TURN.flatMap((perTurn) => {
      const prefix = `${perTurn} `;
      const readings = Object.entries(result.readings).flatMap(([contender, metrics]) => {
        const own = Object.entries(metrics).filter(([metric]) => metric.startsWith(prefix));
        const named = own.map(([metric, values]) => [metric.slice(prefix.length), values]);
        return own.length === 0 ? [] : [[contender, Object.fromEntries(named)]];
      });
      if (readings.length === 0) return [];
      const name = `${result.name}, ${perTurn} a turn`;
      return [{ ...result, name, readings: Object.fromEntries(readings) }];
    }),
  );
}

async function roomWindow(room: Room, request: PublishRequest): Promise<Reading> {
  await room.delay();
  const before = await room.cpu();
  const ran = await room.load.ask('publish', request);
  const cpu = (await room.cpu()) - before;
  return { ...deliveryReading(ran, cpu), delay: await room.delay() };
}

/** @param cpu - CPU of the server in µs. */
export function deliveryReading(ran: Published, cpu: number): Reading {
  return {
    us: cpu / ran.deliveries,
    /** Seconds of CPU that one message to all members takes. */
    message: cpu / ran.messages / 1e6,
    p99: ran.all.p99,
    each: ran.each.p99,
    busy: ran.cpu / 1000 / ran.ms,
  };
}

/** Starts a server and connects the members. */
export async function startRoom(
  environment: Environment,
  contest: string,
  contender: string,
  { members, size }: { readonly members: number; readonly size: number },
  ends: (() => Promise<unknown>)[],
): Promise<Room> {
  const load = new Child<RoomLoadAnswers>('./room-load-worker.js', environment.cores.load);
  ends.push(() => load.end());
  const { port, ...server } = await startServer(environment, contest, contender, size, ends);
  const protocol = contender.startsWith('socket.io') ? 'socket.io' : 'plain';
  await load.ask('open', { port, protocol, members, size });
  return { ...server, load };
}

async function startServer(
  environment: Environment,
  contest: string,
  contender: string,
  size: number,
  ends: (() => Promise<unknown>)[],
): Promise<Omit<Room, 'load'> & { readonly port: number }> {
  const script = './room-server-worker.js';
  const { child, name } = startChild<RoomServerAnswers>(script, contender, contest, environment);
  ends.push(() => child.end());
  return {
    port: await child.ask('listen', { contender: name as RoomContender, size }),
    server: child,
    cpu: async () => (await child.ask('usage', undefined)).cpu,
    delay: () => child.ask('delay', undefined),
  };
}

function lackOfPorts(members: number): string | undefined {
  return hasPortsFor(members)
    ? undefined
    : 'one address has too few ports for the clients, and only Linux has 127.0.0.2 and more';
}
