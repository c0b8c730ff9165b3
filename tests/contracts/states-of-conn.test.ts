// A Conn moves through the table of states of the codec: a bare one over a test transport, and one under
// `serve` over sockets. `packages/codec/test/endpoint/states.test.ts` holds the table against RFC 6455.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { formatCloseMessage, parseCloseMessage, type Role } from '@ws/codec';
import { type CloseInfo, Conn } from '@ws/conn';
import { serve } from '@ws/node-server';
import { NaiveDecoder, naiveEncode, TestTransport, upgradeRequest } from '@ws/tests';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as states from '../../packages/codec/src/endpoint/states.ts';
import { EVENT_NAMES, STATE_NAMES } from '../../packages/codec/test/endpoint/state-names.ts';

const { DESTROYED, ECHO, endsOurSide, OURS, OVER, TABLE } = states;

/** A connection whose handler has one message and works on it. */
interface Subject {
  readonly conn: Conn;
  readonly role: Role;
  /** The handler is done, or fails. */
  readonly settle: (error?: Error) => void;
  /** What the peer did. */
  readonly peer: { sent: number; ended: boolean; broke: boolean };
  readonly feed: (bytes: Uint8Array) => void;
  readonly fin: () => void;
  readonly breakDown: () => void;
  /** All that the peer got. */
  readonly got: () => Uint8Array;
  /** Whether our side of the transport has ended. */
  readonly ended: () => boolean;
}

/** How each event of the table comes to a Conn. */
const ACTS: Readonly<Record<(typeof EVENT_NAMES)[number], (subject: Subject) => void>> = {
  'we close': ({ conn }) => void conn.close(4000),
  'we fail': ({ settle }) => settle(new Error('mine')),
  "the peer's close frame": (subject) => send(subject, 8, formatCloseMessage(3001)),
  "the peer's end": ({ fin, peer }) => {
    peer.ended = true;
    fin();
  },
  'a broken rule': (subject) => send(subject, 3),
  'our answer is due': ({ settle }) => settle(),
  destroy: ({ conn }) => conn.terminate(),
  'the transport has closed': ({ breakDown, peer }) => {
    peer.broke = true;
    breakDown();
  },
};

/** The events that lead to each state. A destroyed transport closes at once, and so does one that is over. */
const WAYS: Partial<Record<(typeof STATE_NAMES)[number], readonly (typeof EVENT_NAMES)[number][]>> =
  {
    OPEN: [],
    CLOSE_RECEIVED: ["the peer's close frame"],
    PEER_ENDED: ["the peer's end"],
    RECEIVED_ENDED: ["the peer's close frame", "the peer's end"],
    CLOSE_SENT: ['we close'],
    BOTH: ['we close', "the peer's close frame"],
    FAILED: ['a broken rule'],
    CLOSED: ['the transport has closed'],
  };

/** In these states, a rule is broken by input before an end that was seen ahead: `ends-and-reads.test.ts` of conn. */
const AHEAD = ['CLOSE_RECEIVED', 'PEER_ENDED', 'RECEIVED_ENDED'];

const CELLS = Object.keys(WAYS)
  .flatMap((state) => EVENT_NAMES.map((event) => ({ state, event })))
  .filter(({ state, event }) => event !== 'a broken rule' || !AHEAD.includes(state));

function send({ feed, peer, role }: Subject, opcode: number, payload = new Uint8Array(0)): void {
  const bytes = naiveEncode(opcode, payload, role === 'server' ? { mask: 0x01020304 } : {});
  // A peer sends nothing after its FIN.
  if (peer.ended) return;
  peer.sent += bytes.length;
  feed(bytes);
}

/** A promise that the test settles. */
class Gate {
  readonly promise: Promise<void>;
  #settle: ((error: Error | undefined) => void) | undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.promise.catch(() => {});
  }

  open(error: Error | undefined): void {
    this.#settle!(error);
  }
}

/** Waits until the connection has seen what the peer did, and has finished its turn. */
async function settled({ conn, peer }: Subject): Promise<void> {
  const { machine } = conn['@ws/internals'].connection;
  const isSeen = (): boolean => {
    if (machine.state === states.CLOSED) return true;
    const { bytesIn } = conn.stats;
    return bytesIn >= peer.sent && !peer.broke && (machine.peerEnded || !peer.ended);
  };
  for (let i = 0; i < 10_000 && !isSeen(); i++) await new Promise(setImmediate);
  for (let i = 0; i < 12; i++) await new Promise(setImmediate);
}

function bare(role: Role): Subject {
  const transport = new TestTransport();
  const conn = new Conn(transport, { role, heartbeat: false, report: () => {} });
  const gate = new Gate();
  void conn.receive(() => gate.promise).catch(() => {});
  return {
    conn,
    role,
    peer: { sent: 0, ended: false, broke: false },
    settle: (error) => gate.open(error),
    feed: (bytes) => transport.feed(bytes),
    fin: () => transport.feedEnd(),
    breakDown: () => transport.break(),
    got: () => transport.sent,
    ended: () => transport.ended,
  };
}

let server: Awaited<ReturnType<typeof serve>>;
let arrived: (conn: Conn) => Promise<void> = async () => {};
const sockets: Socket[] = [];

beforeAll(async () => {
  const options = { port: 0, host: '127.0.0.1', heartbeat: false, report: () => {} } as const;
  server = await serve(options, (conn) => arrived(conn));
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await server.close({ timeout: 1 });
});

/** The handler of `serve` reads one message, and works until it settles. */
async function served(): Promise<Subject> {
  const gate = new Gate();
  let accept: (conn: Conn) => void = () => {};
  const accepted = new Promise<Conn>((resolve) => (accept = resolve));
  arrived = async (conn) => {
    accept(conn);
    await conn.readMessage();
    await gate.promise;
  };
  const port = Number(new URL(server.url).port);
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  sockets.push(peer);
  let ended = false;
  const chunks: Buffer[] = [];
  peer.on('error', () => {});
  peer.on('end', () => (ended = true));
  peer.write(upgradeRequest());
  await once(peer, 'data');
  peer.on('data', (chunk) => chunks.push(chunk));
  const conn = await accepted;
  return {
    conn,
    role: 'server',
    peer: { sent: 0, ended: false, broke: false },
    settle: (error) => gate.open(error),
    feed: (bytes) => void peer.write(bytes),
    fin: () => void peer.end(),
    breakDown: () => void peer.resetAndDestroy(),
    got: () => Buffer.concat(chunks),
    ended: () => ended,
  };
}

/** Runs one cell, and compares it with the table. */
async function walk(subject: Subject, state: string, event: string): Promise<void> {
  const { conn, role } = subject;
  const { machine } = conn['@ws/internals'].connection;
  let info: CloseInfo | undefined;
  void conn.closed.then((end) => (info = end));
  await settled(subject);
  send(subject, 1, Uint8Array.of(0x61));
  await settled(subject);
  for (const step of WAYS[state as 'OPEN']!) {
    ACTS[step](subject);
    await settled(subject);
  }
  expect(STATE_NAMES[machine.state]).toBe(state);
  const before = subject.got().length;
  ACTS[event as 'destroy'](subject);
  await settled(subject);
  const from = STATE_NAMES.indexOf(state as 'OPEN') as states.State;
  const cell = TABLE[from]![EVENT_NAMES.indexOf(event as 'destroy') as states.StateEvent];
  const to = cell?.to ?? from;
  // A destroyed transport closes soon, and so does one that is over.
  if (to >= OVER) expect(machine.state).toBeGreaterThanOrEqual(to);
  else expect(STATE_NAMES[machine.state]).toBe(STATE_NAMES[to]);
  const codes = { 'we close': 4000, 'we fail': 1011, 'a broken rule': 1002 } as const;
  const ours = codes[event as 'we close'];
  const code = cell?.frame === OURS ? ours : cell?.frame === ECHO ? 3001 : undefined;
  expect(closeCodes(role, subject.got().subarray(before))).toEqual(
    code === undefined ? [] : [code],
  );
  if (to < DESTROYED) {
    expect(subject.ended()).toBe(endsOurSide(to, role));
    const accepts = await conn.send('z').then(
      () => true,
      () => false,
    );
    expect(accepts).toBe(states.maySend(to));
  }
  subject.settle();
  conn.terminate();
  subject.breakDown();
  await settled(subject);
  const { received, failed } = machine;
  expect(info?.code).toBe(received?.code ?? failed?.code ?? 1006);
  if (failed !== undefined) expect(info).toMatchObject({ wasClean: false, error: failed.error });
}

function closeCodes(role: Role, bytes: Uint8Array): number[] {
  const peer = new NaiveDecoder(role === 'server' ? 'client' : 'server');
  peer.push(bytes);
  return peer.frames.map(({ payload }) => parseCloseMessage(payload).code);
}

describe.each<Role>(['server', 'client'])('the states of a bare Conn of a %s', (role) => {
  it.each(CELLS)('$state, $event', async ({ state, event }) => {
    await walk(bare(role), state, event);
  });
});

/** After the peer's FIN, Node reports no reset of a socket that it neither reads nor writes. */
const SEEN = CELLS.filter(
  ({ state, event }) => !(state.endsWith('_ENDED') && event === 'the transport has closed'),
);

describe('the states of a Conn under serve', () => {
  it.each(SEEN)('$state, $event', async ({ state, event }) => {
    await walk(await served(), state, event);
  });
});
