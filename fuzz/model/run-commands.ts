import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import {
  BackpressureError,
  BinaryMessage,
  Conn,
  type ConnOptions,
  type MessageWriter,
  PongMessage,
  PreparedMessage,
  type Transport,
  WebSocketError,
} from '@ws/conn';
import { FakePlatform, SteppedTransport, turn } from '@ws/tests';
import { ensure, ensureSame } from '../harness/target.ts';
import type { Command, End, Setup } from './commands.ts';

/** Creates the Conns under test. */
export type MakeConn = (transport: Transport, options: ConnOptions) => Conn;

/** A message, in the order of the calls. Its promise decides its fate. */
interface SentMessage {
  bytes: Buffer;
  fate: 'pending' | 'accepted' | 'rejected';
}

const STATES = ['open', 'closing', 'closed'] as const;
const MAX_ROUNDS = 4_000;
/** Rounds in which almost no time passes. Later, deadlines may expire. */
const PROMPT_ROUNDS = 1_000;

/** A Conn with the state of its model: messages sent, messages received, and close code. */
class ModelConn {
  readonly sent: SentMessage[] = [];
  readonly received: Buffer[] = [];
  readonly conn: Conn;
  writer: { readonly writer: Promise<MessageWriter>; readonly sent: SentMessage } | undefined;
  /** Code of the first `close` call in the state open. */
  closeCode: number | undefined;
  /** The pending read. */
  reading: Promise<void> | undefined;
  readsEnded = false;
  /** A write that was not awaited failed with a BackpressureError: the connection fails. */
  overflowed = false;
  #state = 0;
  readonly #settled: Promise<unknown>[] = [];
  readonly #number: End;

  constructor(conn: Conn, number: End) {
    this.conn = conn;
    this.#number = number;
  }

  /** Bytes that identify the message and its end. */
  piece(size: number): Buffer {
    const n = this.sent.length;
    return Buffer.alloc(size, Buffer.from([n, this.#number, size & 255, 0x99, size >> 8]));
  }

  /** Tracks a promise of the library: it must settle, and reject only with a WebSocketError. */
  promise(made: Promise<unknown>, sent?: SentMessage): void {
    this.#settled.push(
      made.then(
        () => {
          if (sent?.fate === 'pending') sent.fate = 'accepted';
        },
        (error: unknown) => {
          if (sent !== undefined) sent.fate = 'rejected';
          ensure(
            error instanceof WebSocketError,
            `the error is a WebSocketError: ${String(error)}`,
          );
        },
      ),
    );
  }

  send(bytes: Buffer, write: (given: Buffer) => Promise<void>): void {
    const sent: SentMessage = { bytes: Buffer.from(bytes), fate: 'pending' };
    this.sent.push(sent);
    this.promise(write(bytes), sent);
  }

  open(): void {
    const sent: SentMessage = { bytes: Buffer.alloc(0), fate: 'pending' };
    this.sent.push(sent);
    const before = this.writer?.sent;
    const writer = this.conn.nextWriter(BinaryMessage);
    this.writer = { writer, sent };
    writer.catch(() => {
      sent.fate = 'rejected';
    });
    // The new writer finishes the earlier message, unless the connection ends first.
    this.promise(writer, before);
  }

  /** Calls `use` when the writer is ready. The calls keep their order. */
  async withWriter(
    use: (writer: MessageWriter, sent: SentMessage) => Promise<void>,
  ): Promise<void> {
    if (this.writer === undefined) return;
    const { writer, sent } = this.writer;
    try {
      await use(await writer, sent);
    } catch (error) {
      this.overflowed ||= error instanceof BackpressureError;
      throw error;
    }
  }

  write(size: number): void {
    const bytes = this.piece(size);
    this.promise(
      this.withWriter(async (writer, sent) => {
        await writer.write(bytes);
        sent.bytes = Buffer.concat([sent.bytes, bytes]);
      }),
    );
  }

  finish(): void {
    this.promise(
      this.withWriter((writer) => writer.close()),
      this.writer?.sent,
    );
    this.writer = undefined;
  }

  abort(): void {
    this.promise(
      this.withWriter(async (writer, sent) => {
        sent.fate = 'rejected';
        writer.abort();
      }),
    );
    this.writer = undefined;
  }

  read(stream: boolean): void {
    if (this.reading !== undefined || this.readsEnded) return;
    this.reading = this.#read(stream).then(
      () => {
        this.reading = undefined;
      },
      (error: unknown) => {
        this.reading = undefined;
        this.readsEnded = true;
        ensure(error instanceof WebSocketError, `the error is a WebSocketError: ${String(error)}`);
      },
    );
    this.#settled.push(this.reading);
  }

  async #read(stream: boolean): Promise<void> {
    const { conn } = this;
    const bytes = stream
      ? await (await conn.nextReader()).bytes()
      : (await conn.readMessage()).data;
    this.received.push(Buffer.from(bytes));
  }

  close(code: number): void {
    if (this.conn.state === 'open') this.closeCode ??= code;
    this.promise(this.conn.close(code, 'enough'));
  }

  /** Checks that the state never returns to an earlier one. */
  checkState(): void {
    const now = STATES.indexOf(this.conn.state);
    ensure(now >= this.#state, 'states follow their order');
    this.#state = now;
  }

  settled(): Promise<unknown> {
    return Promise.all(this.#settled);
  }
}

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
  const platform = new FakePlatform();
  const transports = setup.transports.map((options) => new SteppedTransport(platform, options)) as [
    SteppedTransport,
    SteppedTransport,
  ];
  transports[0].peer = transports[1];
  transports[1].peer = transports[0];
  const { readAhead, highWaterMark, maxBufferedAmount, writeBufferSize } = setup;
  const common = {
    readAhead,
    highWaterMark,
    maxBufferedAmount,
    writeBufferSize,
    heartbeat: false,
  } as const;
  const conns = transports.map((transport, i) => {
    const options = { ...common, role: i === 0 ? 'client' : 'server', platform } as const;
    return new ModelConn(make(transport, options), i as End);
  }) as [ModelConn, ModelConn];
  let faulty = false;
  for (const command of commands) {
    const { action } = command;
    faulty ||= action === 'terminate' || action === 'break' || action === 'abort';
    await runCommand(command, conns, transports, platform);
    await platform.settle();
    for (const model of conns) model.checkState();
  }
  for (const model of conns) if (model.writer !== undefined) model.finish();
  const rounds = new Rounds(platform, transports, conns);
  const closing = conns.some(({ closeCode }) => closeCode !== undefined);
  const overflowed = (): boolean => conns.some((model) => model.overflowed);
  if (!faulty && !closing) {
    await rounds.until(() => overflowed() || allReceived(conns), 'all messages arrive');
  }
  if (!closing) conns[0].close(4000);
  await rounds.until(() => conns.every(({ conn }) => conn.state === 'closed'), 'both ends close');
  await rounds.until(
    () => conns.every(({ readsEnded }) => readsEnded),
    'reads end with the connection',
  );
  await Promise.all(conns.map((model) => model.settled()));
  await checkOutcome(conns, platform, faulty || overflowed() || rounds.late);
}

async function runCommand(
  { action, end, size }: Command,
  conns: readonly [ModelConn, ModelConn],
  transports: readonly [SteppedTransport, SteppedTransport],
  platform: FakePlatform,
): Promise<void> {
  const model = conns[end];
  const { conn } = model;
  if (action === 'send') model.send(model.piece(size), (bytes) => conn.send(bytes));
  else if (action === 'prepared') {
    model.send(model.piece(size), (bytes) =>
      conn.writePreparedMessage(new PreparedMessage(BinaryMessage, bytes)),
    );
  } else if (action === 'open') model.open();
  else if (action === 'write') model.write(size);
  else if (action === 'finish') model.finish();
  else if (action === 'abort') model.abort();
  else if (action === 'ping') model.promise(conn.ping());
  else if (action === 'pong') model.promise(conn.writeControl(PongMessage, 'unasked'));
  else if (action === 'read' || action === 'stream') model.read(action === 'stream');
  else if (action === 'step') for (let i = 0; i <= size % 16; i++) transports[end].step();
  else if (action === 'pass') await platform.advance(size % 100);
  else if (action === 'close') model.close(4000 + end);
  else if (action === 'terminate') conn.terminate();
  else transports[end].break();
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
      ensure(round < MAX_ROUNDS, what);
      for (const model of this.#conns) model.read(false);
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
function allReceived([one, other]: readonly [ModelConn, ModelConn]): boolean {
  const isReceived = (from: ModelConn, to: ModelConn): boolean =>
    from.sent.filter(({ fate }) => fate !== 'rejected').length <= to.received.length;
  return isReceived(one, other) && isReceived(other, one);
}

async function checkOutcome(
  conns: readonly [ModelConn, ModelConn],
  platform: FakePlatform,
  faulty: boolean,
): Promise<void> {
  const [one, other] = conns;
  checkReceived(one, other, !faulty && other.closeCode === undefined);
  checkReceived(other, one, !faulty && one.closeCode === undefined);
  const closeCodes = conns.map((model) => model.closeCode).filter((code) => code !== undefined);
  for (const { conn } of conns) {
    ensureSame(conn.bufferedAmount, 0, 'buffered bytes after the end');
    const { code, wasClean } = await conn.closed;
    if (!faulty) ensureSame(wasClean, true, 'wasClean after an undisturbed close');
    if (!faulty && closeCodes.length === 1) ensureSame(code, closeCodes[0], 'close code');
    const late = await conn.send('late').then(
      () => 'accepted',
      (error: unknown) => error,
    );
    ensure(late instanceof WebSocketError, 'a message after the end is rejected');
  }
  await platform.settle();
  ensureSame(platform.timers, 0, 'timers left');
  ensureSame(sharedSlabPool().lent + sharedMessageBuffers().lent, 0, 'bytes still lent');
}

/**
 * Checks that the received messages are the sent ones, in order. Only rejected messages may be
 * missing; without `whole`, the end may be missing too. A rejected message may arrive: it was in
 * transit before the fault.
 */
function checkReceived(from: ModelConn, to: ModelConn, whole: boolean): void {
  const { sent } = from;
  // Possible positions in `sent`: equal messages leave more than one.
  let counts = new Set([0]);
  for (const [i, bytes] of to.received.entries()) {
    const next = new Set<number>();
    for (const start of counts) {
      for (let n = start; n < sent.length; n++) {
        if (sent[n]!.bytes.equals(bytes)) next.add(n + 1);
        if (sent[n]!.fate !== 'rejected') break;
      }
    }
    ensure(next.size > 0, `received message ${i} was sent, and no earlier message is missing`);
    counts = next;
  }
  const missing = [...counts].map(
    (n) => sent.slice(n).filter(({ fate }) => fate !== 'rejected').length,
  );
  if (whole) ensureSame(Math.min(...missing), 0, 'messages missing');
}
