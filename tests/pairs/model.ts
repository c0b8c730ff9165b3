import { strict as assert } from 'node:assert';
import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import {
  BinaryMessage,
  Conn,
  type ConnOptions,
  PreparedMessage,
  type Transport,
  WebSocketError,
} from '@ws/conn';
import { checkRate, limitRate } from '@ws/conn/internal';
import { FakePlatform, SteppedTransport, turn } from '../kit/index.ts';
import type { Command, End, Setup } from './commands.ts';
import { compressingPlatform, DEFLATE } from './compressing-platform.ts';
import { ModelConn, type ReceivedMessage, type SentMessage } from './model-conn.ts';

/** Creates the Conns under test. */
export type MakeConn = (transport: Transport, options: ConnOptions) => Conn;

type Both<T> = readonly [T, T];

/** Commands whose effect depends on whether a read is pending. */
const READS: readonly Command['action'][] = ['read', 'stream', 'part', 'receive', 'loop'];
/** Commands after which a message may be missing, and an end not clean. */
const FAULTS: readonly Command['action'][] = [
  'terminate',
  'break',
  'abort',
  'end',
  'writeDeadline',
];
const MAX_ROUNDS = 4_000;
/** Longer than all rounds, in ms. */
const HEARTBEAT_TIMEOUT = 1_000_000;
/** Rounds in which almost no time passes. Later, deadlines may expire. */
const PROMPT_ROUNDS = 1_000;

/**
 * Runs the commands on two Conns, connects them in memory, and compares the outcome with the model.
 *
 * @throws Error for the first difference.
 */
export async function runCommands(
  setup: Setup,
  commands: readonly Command[],
  make: MakeConn = (transport, options) => new Conn(transport, options),
): Promise<void> {
  const lentBefore = lentBytes();
  const { compression } = setup;
  const platform = compression === false ? new FakePlatform() : compressingPlatform();
  const transports = setup.transports.map((options) => new SteppedTransport(platform, options)) as [
    SteppedTransport,
    SteppedTransport,
  ];
  transports[0].peer = transports[1];
  transports[1].peer = transports[0];
  const options = optionsOf(setup);
  const conns = transports.map((transport, i) => {
    const role = i === 0 ? 'client' : 'server';
    return new ModelConn(
      limited(make(transport, { ...options, role, platform, report: () => {} }), setup.rate),
      platform,
      i as End,
    );
  }) as [ModelConn, ModelConn];
  let faulty = false;
  for (const command of commands) {
    faulty ||= FAULTS.includes(command.action);
    if (READS.includes(command.action)) await settle(conns, platform);
    await runCommand(command, conns, transports, platform);
    if (!command.sameTurn) await settle(conns, platform);
  }
  await settle(conns, platform);
  for (const model of conns) if (model.writer !== undefined) model.finish();
  const rounds = new Rounds(platform, transports, conns);
  const closing = conns.some(({ closeCode }) => closeCode !== undefined);
  const failed = (): boolean => conns.some((model) => model.overflowed || model.failed);
  if (!faulty && !closing) {
    await rounds.until(() => failed() || allReceived(conns), 'all messages arrive');
  }
  if (!closing) conns[0].close(4000, 0);
  await rounds.until(() => conns.every(({ conn }) => conn.state === 'closed'), 'both ends close');
  await rounds.until(
    () => conns.every(({ readsEnded }) => readsEnded),
    'reads end with the connection',
  );
  await Promise.all(conns.map((model) => model.settled()));
  await checkOutcome(conns, platform, faulty || failed() || rounds.late);
  assert.equal(lentBytes() - lentBefore, 0, 'bytes still lent');
}

function limited(conn: Conn, messages: number | false = false): Conn {
  if (messages !== false) limitRate(conn, checkRate({ messages, per: 1 }));
  return conn;
}

async function settle(conns: Both<ModelConn>, platform: FakePlatform): Promise<void> {
  await platform.settle();
  for (const model of conns) model.checkState();
}

function optionsOf(setup: Setup): Omit<ConnOptions, 'role'> {
  const { readAhead, highWaterMark, maxBufferedAmount, writeBufferSize } = setup;
  const { compression, heartbeat } = setup;
  const common = {
    readAhead,
    highWaterMark,
    maxBufferedAmount,
    writeBufferSize,
    heartbeat: heartbeat !== false && { interval: heartbeat, timeout: HEARTBEAT_TIMEOUT },
  } as const;
  if (compression === false) return common;
  const takeover = compression === 'takeover';
  return {
    ...common,
    compression: { mode: compression, threshold: 50 },
    deflate: {
      ...DEFLATE,
      serverNoContextTakeover: !takeover,
      clientNoContextTakeover: !takeover,
    },
  };
}

async function runCommand(
  { action, end, size }: Command,
  conns: Both<ModelConn>,
  transports: Both<SteppedTransport>,
  platform: FakePlatform,
): Promise<void> {
  const model = conns[end];
  const { conn } = model;
  switch (action) {
    case 'send':
      return model.send(model.piece(size), (bytes) => conn.send(bytes, model.wait(size)));
    case 'prepared':
      return model.send(model.piece(size), (bytes) =>
        conn.writePreparedMessage(new PreparedMessage(BinaryMessage, bytes)),
      );
    case 'open':
      return model.open();
    case 'write':
      return model.write(size);
    case 'finish':
      return model.finish();
    case 'abort':
      return model.abortWriter();
    case 'ping':
      return model.ping(size);
    case 'pong':
      return model.pong();
    case 'read':
      return model.readMessage(size);
    case 'stream':
      return model.readStream(size);
    case 'part':
      return model.readPart(size);
    case 'receive':
      return model.receive();
    case 'loop':
      return model.readLoop();
    case 'cancel':
      // A message may arrive in the turn of the abort.
      transports[1 - end]!.step();
      return model.cancel();
    case 'deadline':
      return model.setReadDeadline(size);
    case 'writeDeadline':
      return model.setWriteDeadline(size);
    case 'fail':
      return model.failHandler();
    case 'step':
      for (let i = 0; i <= size % 16; i++) transports[end].step();
      return;
    case 'pass':
      return platform.advance(size % 100);
    case 'close':
      return model.close(4000 + end, size);
    case 'terminate':
      return model.terminate();
    case 'end':
      // The FIN comes from below the Conn of this end.
      return transports[end].end();
    case 'break':
      return transports[end].break();
  }
}

/** Rounds in which time passes, bytes arrive and both ends read. */
class Rounds {
  readonly #platform: FakePlatform;
  readonly #transports: readonly SteppedTransport[];
  readonly #conns: readonly ModelConn[];
  /** Whether deadlines may have expired. */
  late = false;

  constructor(
    platform: FakePlatform,
    transports: readonly SteppedTransport[],
    conns: readonly ModelConn[],
  ) {
    this.#platform = platform;
    this.#transports = transports;
    this.#conns = conns;
  }

  /** @throws Error with `what` if `done` stays false. */
  async until(done: () => boolean, what: string): Promise<void> {
    let idle = 0;
    for (let round = 0; !done(); round++) {
      assert(round < MAX_ROUNDS, what);
      for (const model of this.#conns) if (model.reading === undefined) model.readMessage(0);
      // Chunks grow: a reader with a small buffer takes one chunk in a round.
      for (const transport of this.#transports) move(transport, 8 + round / 4, (round >> 4) ** 2);
      idle = this.#transports.some(({ bufferedAmount }) => bufferedAmount > 0) ? 0 : idle + 1;
      this.late ||= round >= PROMPT_ROUNDS;
      // Without bytes in transit, only time can make progress.
      await this.#platform.advance(this.late || idle > 20 ? 100 : 0.25);
      if (round % 16 === 15) await turn();
      for (const model of this.#conns) model.checkState();
    }
  }
}

/** Delivers chunks of at least `size` bytes until no bytes move. */
function move(transport: SteppedTransport, steps: number, size: number): void {
  let before = -1;
  for (let i = 0; i < steps && transport.bufferedAmount !== before; i += 8) {
    before = transport.bufferedAmount;
    for (let j = 0; j < 8; j++) transport.step(size);
  }
}

/** Whether all messages arrived that were not rejected. */
function allReceived([one, other]: Both<ModelConn>): boolean {
  const isReceived = (from: ModelConn, to: ModelConn): boolean =>
    to.hasDeadline ||
    from.sent.filter(({ fate }) => fate !== 'rejected').length <= to.received.length;
  return isReceived(one, other) && isReceived(other, one);
}

async function checkOutcome(
  conns: Both<ModelConn>,
  platform: FakePlatform,
  faulty: boolean,
): Promise<void> {
  const [one, other] = conns;
  checkReceived(one, other, !faulty && other.closeCode === undefined && !other.hasDeadline);
  checkReceived(other, one, !faulty && one.closeCode === undefined && !one.hasDeadline);
  const closeCodes = conns.map((model) => model.closeCode).filter((code) => code !== undefined);
  for (const { conn, violation } of conns) {
    assert.equal(violation, undefined);
    assert.equal(conn.bufferedAmount, 0, 'buffered bytes after the end');
    const { code, wasClean } = await conn.closed;
    if (!faulty) assert(wasClean, 'an undisturbed close is clean');
    if (!faulty && closeCodes.length === 1) assert.equal(code, closeCodes[0]);
    const late = await conn.send('late').then(
      () => 'accepted',
      (error: unknown) => error,
    );
    assert(late instanceof WebSocketError, 'a message after the end is rejected');
  }
  await platform.settle();
  assert.equal(platform.timers, 0, 'timers left');
}

function lentBytes(): number {
  return sharedSlabPool().lent + sharedMessageBuffers().lent;
}

/**
 * Checks that the received messages are the sent ones, in order. Only rejected messages may be
 * missing; without `whole`, the end may be missing too. A rejected message may arrive: it was in
 * transit before the fault.
 */
function checkReceived({ sent }: ModelConn, { received }: ModelConn, whole: boolean): void {
  // Possible positions in `sent`: equal messages leave more than one.
  let counts = new Set([0]);
  for (const [i, message] of received.entries()) {
    const next = new Set<number>();
    for (const start of counts) {
      for (let n = start; n < sent.length; n++) {
        if (isSame(sent[n]!, message)) next.add(n + 1);
        if (sent[n]!.fate !== 'rejected') break;
      }
    }
    assert(next.size > 0, `received message ${i} was sent, and no earlier message is missing`);
    counts = next;
  }
  if (!whole) return;
  const missing = [...counts].map(
    (n) => sent.slice(n).filter(({ fate }) => fate !== 'rejected').length,
  );
  assert.equal(Math.min(...missing), 0, 'messages missing');
}

/** Whether `received` is `sent`, or the beginning of it. */
function isSame(sent: SentMessage, received: ReceivedMessage): boolean {
  const { bytes, whole } = received;
  return whole ? sent.bytes.equals(bytes) : sent.offered.subarray(0, bytes.length).equals(bytes);
}
