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
import { FakeHost, turn } from '@ws/testkit';
import { must, same } from '../harness/target.ts';
import type { Command, End, Stage } from './commands.ts';
import { Wire } from './wire.ts';

/** What makes the Conns under test. */
export type MakeConn = (transport: Transport, options: ConnOptions) => Conn;

/** A message in the order of the calls. What became of its promise says what may have become of it. */
interface Said {
  bytes: Buffer;
  fate: 'pending' | 'taken' | 'refused';
}

const STATES = ['open', 'closing', 'closed'] as const;
const MAX_ROUNDS = 4_000;
/** Rounds in which hardly any time passes: what takes more may meet a deadline. */
const PROMPT_ROUNDS = 1_000;

/** One end, with what a model has to know of it: what was said, what was heard, and how far it has got. */
class Player {
  readonly said: Said[] = [];
  readonly heard: Buffer[] = [];
  readonly conn: Conn;
  writer: { readonly writer: Promise<MessageWriter>; readonly said: Said } | undefined;
  closes: number | undefined;
  /** A read that waits, if there is one. */
  reading: Promise<void> | undefined;
  over = false;
  /** A message under way could not go on for want of room, which fails the connection: its writes were not awaited. */
  overrun = false;
  #state = 0;
  readonly #settled: Promise<unknown>[] = [];
  readonly #number: End;

  constructor(conn: Conn, number: End) {
    this.conn = conn;
    this.#number = number;
  }

  /** Bytes that nobody else says, the same ones for the same message. */
  piece(size: number): Buffer {
    const n = this.said.length;
    return Buffer.alloc(size, Buffer.from([n, this.#number, size & 255, 0x99, size >> 8]));
  }

  /** A promise of the library's: it settles, and its errors are ours. */
  promise(made: Promise<unknown>, said?: Said): void {
    this.#settled.push(
      made.then(
        () => {
          if (said?.fate === 'pending') said.fate = 'taken';
        },
        (error: unknown) => {
          if (said !== undefined) said.fate = 'refused';
          must(error instanceof WebSocketError, `an error of ours, and not ${String(error)}`);
        },
      ),
    );
  }

  say(bytes: Buffer, write: (given: Buffer) => Promise<void>): void {
    const said: Said = { bytes: Buffer.from(bytes), fate: 'pending' };
    this.said.push(said);
    this.promise(write(bytes), said);
  }

  open(): void {
    const said: Said = { bytes: Buffer.alloc(0), fate: 'pending' };
    this.said.push(said);
    const before = this.writer?.said;
    const writer = this.conn.nextWriter(BinaryMessage);
    this.writer = { writer, said };
    writer.catch(() => {
      said.fate = 'refused';
    });
    // It finishes the one before, unless the connection is about to end, which has cut that one.
    this.promise(writer, before);
  }

  /** Calls of a writer go out in the order in which they were made, though it may be late in coming. */
  async withWriter(use: (writer: MessageWriter, said: Said) => Promise<void>): Promise<void> {
    if (this.writer === undefined) return;
    const { writer, said } = this.writer;
    try {
      await use(await writer, said);
    } catch (error) {
      this.overrun ||= error instanceof BackpressureError;
      throw error;
    }
  }

  write(size: number): void {
    const bytes = this.piece(size);
    this.promise(
      this.withWriter(async (writer, said) => {
        await writer.write(bytes);
        said.bytes = Buffer.concat([said.bytes, bytes]);
      }),
    );
  }

  finish(): void {
    this.promise(
      this.withWriter((writer) => writer.close()),
      this.writer?.said,
    );
    this.writer = undefined;
  }

  abort(): void {
    this.promise(
      this.withWriter(async (writer, said) => {
        said.fate = 'refused';
        writer.abort();
      }),
    );
    this.writer = undefined;
  }

  read(stream: boolean): void {
    if (this.reading !== undefined || this.over) return;
    this.reading = this.#read(stream).then(
      () => {
        this.reading = undefined;
      },
      (error: unknown) => {
        this.reading = undefined;
        this.over = true;
        must(error instanceof WebSocketError, `an error of ours, and not ${String(error)}`);
      },
    );
    this.#settled.push(this.reading);
  }

  async #read(stream: boolean): Promise<void> {
    const { conn } = this;
    const bytes = stream
      ? await (await conn.nextReader()).bytes()
      : (await conn.readMessage()).data;
    this.heard.push(Buffer.from(bytes));
  }

  close(code: number): void {
    if (this.conn.state === 'open') this.closes ??= code;
    this.promise(this.conn.close(code, 'enough'));
  }

  /** A state is never left for an earlier one. */
  look(): void {
    const now = STATES.indexOf(this.conn.state);
    must(now >= this.#state, 'states come in their order');
    this.#state = now;
  }

  settled(): Promise<unknown> {
    return Promise.all(this.#settled);
  }
}

/** Plays the commands to two Conns on a wire in memory, and compares them with what the model says must have come of it. */
export async function play(
  stage: Stage,
  commands: readonly Command[],
  make: MakeConn = (transport, options) => new Conn(transport, options),
): Promise<void> {
  const host = new FakeHost();
  const wires = stage.wires.map((options) => new Wire(host, options)) as [Wire, Wire];
  wires[0].peer = wires[1];
  wires[1].peer = wires[0];
  const { readAhead, highWaterMark, maxBufferedAmount, writeBufferSize } = stage;
  const common = {
    readAhead,
    highWaterMark,
    maxBufferedAmount,
    writeBufferSize,
    heartbeat: false,
  } as const;
  const players = wires.map((wire, i) => {
    const options = { ...common, role: i === 0 ? 'client' : 'server', host } as const;
    return new Player(make(wire, options), i as End);
  }) as [Player, Player];
  let faulty = false;
  for (const command of commands) {
    const { deed } = command;
    faulty ||= deed === 'terminate' || deed === 'break' || deed === 'abort';
    await act(command, players, wires, host);
    await host.settle();
    for (const player of players) player.look();
  }
  for (const player of players) if (player.writer !== undefined) player.finish();
  const rounds = new Rounds(host, wires, players);
  const closing = players.some(({ closes }) => closes !== undefined);
  const overrun = (): boolean => players.some((player) => player.overrun);
  if (!faulty && !closing) {
    await rounds.until(() => overrun() || allHeard(players), 'all messages arrive');
  }
  if (!closing) players[0].close(4000);
  await rounds.until(
    () => players.every(({ conn }) => conn.state === 'closed'),
    'both ends are closed',
  );
  await rounds.until(() => players.every(({ over }) => over), 'reads end when the connection does');
  await Promise.all(players.map((player) => player.settled()));
  await judge(players, host, faulty || overrun() || rounds.late);
}

async function act(
  { deed, end, size }: Command,
  players: readonly [Player, Player],
  wires: readonly [Wire, Wire],
  host: FakeHost,
): Promise<void> {
  const player = players[end];
  const { conn } = player;
  if (deed === 'send') player.say(player.piece(size), (bytes) => conn.send(bytes));
  else if (deed === 'prepared') {
    player.say(player.piece(size), (bytes) =>
      conn.writePreparedMessage(new PreparedMessage(BinaryMessage, bytes)),
    );
  } else if (deed === 'open') player.open();
  else if (deed === 'write') player.write(size);
  else if (deed === 'finish') player.finish();
  else if (deed === 'abort') player.abort();
  else if (deed === 'ping') player.promise(conn.ping());
  else if (deed === 'pong') player.promise(conn.writeControl(PongMessage, 'unasked'));
  else if (deed === 'read' || deed === 'stream') player.read(deed === 'stream');
  else if (deed === 'step') for (let i = 0; i <= size % 16; i++) wires[end].step();
  else if (deed === 'pass') await host.advance(size % 100);
  else if (deed === 'close') player.close(4000 + end);
  else if (deed === 'terminate') conn.terminate();
  else wires[end].break();
}

/** Time and bytes that go on, with both ends reading. */
class Rounds {
  readonly #host: FakeHost;
  readonly #wires: readonly Wire[];
  readonly #players: readonly Player[];
  /** Whether it took so long that deadlines may have struck. */
  late = false;

  constructor(host: FakeHost, wires: readonly Wire[], players: readonly Player[]) {
    this.#host = host;
    this.#wires = wires;
    this.#players = players;
  }

  /** @throws Error that says `what` does not come to be. */
  async until(done: () => boolean, what: string): Promise<void> {
    let idle = 0;
    for (let round = 0; !done(); round++) {
      must(round < MAX_ROUNDS, what);
      for (const player of this.#players) player.read(false);
      // Longer and longer chunks: a reader with little room takes one in a round.
      for (const wire of this.#wires) move(wire, 8 + round / 4, (round >> 4) ** 2);
      idle = this.#wires.some(({ bufferedAmount }) => bufferedAmount > 0) ? 0 : idle + 1;
      this.late ||= round >= PROMPT_ROUNDS;
      // With nothing on its way it is time that is waited for.
      await this.#host.advance(this.late || idle > 20 ? 100 : 0.25);
      if (round % 16 === 15) await turn();
      for (const player of this.#players) player.look();
    }
  }
}

/** Lets bytes arrive, as long as they do, in chunks of at least `size`. */
function move(wire: Wire, steps: number, size: number): void {
  let before = -1;
  for (let i = 0; i < steps && wire.bufferedAmount !== before; i += 8) {
    before = wire.bufferedAmount;
    for (let j = 0; j < 8; j++) wire.step(size);
  }
}

/** The messages that must arrive, each of them whole. */
function allHeard([one, other]: readonly [Player, Player]): boolean {
  const isHeard = (from: Player, to: Player): boolean =>
    from.said.filter(({ fate }) => fate !== 'refused').length <= to.heard.length;
  return isHeard(one, other) && isHeard(other, one);
}

async function judge(
  players: readonly [Player, Player],
  host: FakeHost,
  faulty: boolean,
): Promise<void> {
  const [one, other] = players;
  compare(one, other, !faulty && other.closes === undefined);
  compare(other, one, !faulty && one.closes === undefined);
  const closes = players.map((player) => player.closes).filter((code) => code !== undefined);
  for (const { conn } of players) {
    same(conn.bufferedAmount, 0, 'bytes that wait when all is over');
    const { code, wasClean } = await conn.closed;
    if (!faulty) same(wasClean, true, 'a close that nothing disturbed is clean');
    if (!faulty && closes.length === 1) same(code, closes[0], 'close code');
    const late = await conn.send('late').then(
      () => 'taken',
      (error: unknown) => error,
    );
    must(late instanceof WebSocketError, 'what is sent when all is over is refused');
  }
  await host.settle();
  same(host.timers, 0, 'timers that are left');
  same(sharedSlabPool().lent + sharedMessageBuffers().lent, 0, 'memory that is still lent');
}

/**
 * What was heard is what was said, in order; what was left out was refused. With `whole` nothing is missing at the end. A
 * message that was refused may have left all the same, when it was on its way before something broke.
 */
function compare(from: Player, to: Player, whole: boolean): void {
  const { said } = from;
  // How many may have been said when so much was heard: of two that are alike, either may be the one that came.
  let behind = new Set([0]);
  for (const [i, bytes] of to.heard.entries()) {
    const next = new Set<number>();
    for (const start of behind) {
      for (let n = start; n < said.length; n++) {
        if (said[n]!.bytes.equals(bytes)) next.add(n + 1);
        if (said[n]!.fate !== 'refused') break;
      }
    }
    must(
      next.size > 0,
      `message ${i} that was heard had been said, and none was left out before it`,
    );
    behind = next;
  }
  const missing = [...behind].map(
    (n) => said.slice(n).filter(({ fate }) => fate !== 'refused').length,
  );
  if (whole) same(Math.min(...missing), 0, 'messages that never came');
}
