import type { Conn, ConnOptions, MessageWriter, PreparedMessage, Transport } from '@ws/conn';
import { NaiveDecoder, naiveEncode } from '@ws/tests';
import { type SmallFrame, type SmallMessageWriter, SmallWriter } from '../oracles/small-writer.ts';
import { RSV2, SlowExtension } from '../targets/slow-extension.ts';
import { WalkTime } from './walk-time.ts';
import type { WriterPlan, WriterStep } from './writer-plan.ts';

/** A build of the library. */
export interface WriterBuild {
  readonly Conn: new (transport: Transport, options: ConnOptions) => Conn;
  readonly PreparedMessage: typeof PreparedMessage;
}

type SendOptions = { compress?: boolean; signal?: AbortSignal };

/** The calls of a walk: of a Conn or of the small one. */
type Walked = {
  send(text: string, options?: SendOptions): Promise<void>;
  sendPrepared(text: string): Promise<void>;
  nextWriter(options: { queue: boolean; compress?: boolean }): Promise<WalkedWriter>;
  control(opcode: number, text: string): Promise<void>;
  setDeadline(ms: number | null): void;
  close(): void;
  peerPings(text: string): void;
  peerCloses(): void;
  fault(): void;
  drained(): void;
  gone(): void;
};
type WalkedWriter = Pick<MessageWriter | SmallMessageWriter, 'write' | 'close' | 'abort'>;

/** Microtasks until promises of promises have settled. */
const MICROTASKS = 24;
const MOST_TURNS = 60;
const WRITE_BUFFER_SIZE = 8;
/** In ms. The walk sets it by the clock of the machine, and waits for it by its own clock. */
const DEADLINE = 600_000;
const LONG = 100_000_000;

/** Inverts what this end sends, unless the caller opts out. */
class InvertingExtension extends SlowExtension {
  override wants(_size?: number, compress?: boolean): boolean {
    return compress !== false;
  }

  override encode(bytes?: Uint8Array, start?: number, end?: number): number {
    this.output = inverted(bytes!.subarray(start, end));
    return this.output.length;
  }
}

function inverted(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ~byte);
}

/**
 * The way out of one connection through the steps of a plan, with a clock, a transport and turns of its
 * own. Writes down the frames of each step, and how calls settle.
 */
export class WriterWalk {
  readonly log: string[] = [];
  readonly plan: WriterPlan;
  readonly #time = new WalkTime();
  #frames: string[] = [];
  #settled: string[] = [];
  readonly #conn: Walked;
  readonly #writers: WalkedWriter[] = [];
  readonly #aborts: AbortController[] = [];
  #calls = 0;
  #waiting = 0;
  #isFull = false;
  #isDestroyed = false;
  #isGone = false;

  /** @param build - The small connection, without one. */
  constructor(plan: WriterPlan, build: WriterBuild | undefined) {
    this.plan = plan;
    this.#conn = build === undefined ? this.#small() : this.#product(build);
  }

  #product({ Conn, PreparedMessage: Prepared }: WriterBuild): Walked {
    const { role, encodes, highWaterMark, maxBufferedAmount } = this.plan;
    const peer = new NaiveDecoder(role === 'server' ? 'client' : 'server', { allowedRsv: RSV2 });
    let framesSeen = 0;
    let sink!: Parameters<Transport['start']>[0];
    const transport: Transport = {
      bufferedAmount: 0,
      start: (given) => {
        sink = given;
      },
      write: (bytes, release) => {
        peer.push(bytes);
        for (const { opcode, fin, rsv, payload } of peer.frames.slice(framesSeen)) {
          const isEncoded = rsv !== 0;
          const isClose = opcode === 8;
          const plain = this.#isEncoding(opcode, isEncoded) ? inverted(payload) : payload;
          const text = isClose ? String(Buffer.from(payload).readUInt16BE()) : latin1(plain);
          this.#frameSent({ opcode, fin, isEncoded, text });
        }
        framesSeen = peer.frames.length;
        release?.();
        return !this.#isFull;
      },
      pause() {},
      resume() {},
      end() {},
      destroy: () => this.#destroyed(),
    };
    const conn = new Conn(transport, {
      role,
      platform: this.#time.platform,
      heartbeat: false,
      closeTimeout: LONG,
      writeBufferSize: WRITE_BUFFER_SIZE,
      highWaterMark,
      maxBufferedAmount,
      report: () => {},
      ...(encodes && { extension: new InvertingExtension() }),
    });
    void conn.discardReads().catch(() => {});
    const arrive = (opcode: number, payload: Uint8Array): void => {
      if (this.#isDestroyed || this.#isGone) return;
      const bytes = naiveEncode(opcode, payload, { ...(role === 'server' && { mask: 1 }) });
      sink.data(new Uint8Array(bytes), bytes.length);
    };
    return {
      send: (text, options) => conn.send(text, options),
      sendPrepared: (text) => conn.writePreparedMessage(new Prepared(1, text)),
      nextWriter: (options) => conn.nextWriter(1, options),
      control: (opcode, text) => conn.writeControl(opcode, text),
      setDeadline: (ms) => conn.setWriteDeadline(ms === null ? null : Date.now() + ms),
      close: () => void conn.close(4000),
      peerPings: (text) => arrive(9, Buffer.from(text)),
      peerCloses: () => arrive(8, Buffer.from([0x03, 0xe9])),
      fault: () => arrive(3, Buffer.alloc(0)),
      drained: () => sink.drain(),
      gone: () => sink.close(),
    };
  }

  /** Whether the extension has encoded the message under way. */
  #encoding = false;

  #isEncoding(opcode: number, isEncoded: boolean): boolean {
    if (opcode > 7) return false;
    if (opcode > 0) this.#encoding = isEncoded;
    return this.#encoding;
  }

  #small(): Walked {
    const { role, encodes, highWaterMark, maxBufferedAmount } = this.plan;
    let hasInput = true;
    let cancelDeadline: (() => void) | undefined;
    const wire = {
      write: (frames: readonly SmallFrame[]) => {
        for (const frame of frames) this.#frameSent(frame);
        return !this.#isFull;
      },
      yield: (callback: () => void) => void this.#time.yielded.push(callback),
      destroy: () => this.#destroyed(),
    };
    const options = {
      encodes,
      highWaterMark,
      maxBufferedAmount,
      writeBufferSize: WRITE_BUFFER_SIZE,
    };
    const writer = new SmallWriter(wire, { ...options, masks: role === 'client' });
    this.#turnEnds = () => writer.turnEnds();
    const arrive = (handle: () => void): void => {
      if (this.#isDestroyed || this.#isGone || !hasInput) return;
      handle();
    };
    return {
      send: (text, sendOptions) => writer.send(text, sendOptions),
      sendPrepared: (text) => writer.send(text),
      nextWriter: (writerOptions) => writer.nextWriter(writerOptions),
      control: (opcode, text) => writer.control(opcode, text),
      setDeadline: (ms) => {
        cancelDeadline?.();
        cancelDeadline = undefined;
        writer.removeDeadline();
        if (ms !== null) cancelDeadline = this.#time.setTimer(ms, () => writer.expire());
      },
      close: () => writer.close(4000),
      peerPings: (text) => arrive(() => writer.peerPings(text)),
      peerCloses: () =>
        arrive(() => {
          hasInput = false;
          writer.close(1001);
          writer.passEnded();
        }),
      fault: () =>
        arrive(() => {
          hasInput = false;
          writer.fail(1002);
          writer.passEnded();
        }),
      drained: () => writer.drained(),
      gone: () => writer.gone(),
    };
  }

  #turnEnds: () => void = () => {};

  #destroyed(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#time.yielded.push(() => this.#gone());
  }

  #gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#isDestroyed = true;
    this.#conn.gone();
  }

  // What both ends see

  #frameSent({ opcode, fin, isEncoded, text }: SmallFrame): void {
    if (this.#isDestroyed) return;
    const brief = text.length > 40 ? `${text.slice(0, 8)}… (${text.length})` : text;
    this.#frames.push(`${opcode}${fin ? '' : ' part'}${isEncoded ? ' encoded' : ''} ${brief}`);
  }

  #settles<T>(id: number, promise: Promise<T>, use?: (value: T) => void): void {
    this.#waiting++;
    promise
      .then(
        (value) => {
          use?.(value);
          this.#settled.push(`${id} ok`);
        },
        (error: unknown) => {
          const isAbort =
            error instanceof Error && /abort/i.test(error.name + error.constructor.name);
          this.#settled.push(`${id} ${isAbort ? 'aborted' : 'refused'}`);
        },
      )
      .finally(() => this.#waiting--);
  }

  // Steps

  async run(): Promise<string[]> {
    await this.#turn();
    for (const step of this.plan.steps) {
      this.#do(step);
      await this.#settleAll();
      this.#mark(step.call);
    }
    this.#isFull = false;
    this.#conn.drained();
    await this.#turn();
    this.#mark('the end');
    return this.log;
  }

  #do({ call, which }: WriterStep): void {
    const conn = this.#conn;
    const id = ++this.#calls;
    const writer = this.#writers.at(-1 - which);
    switch (call) {
      case 'send':
        return this.#settles(id, conn.send(`m${id}`));
      case 'send, unencoded':
        return this.#settles(id, conn.send(`u${id}`, { compress: false }));
      case 'send, large':
        return this.#settles(id, conn.send(`l${id}`.padEnd(300)));
      case 'many sends':
        for (let i = 0; i < 1_100; i++) {
          const sent = conn.send(`n${i}`);
          if (i % 100 === 0) this.#settles(id + i / 10_000, sent);
          else sent.catch(() => {});
        }
        return;
      case 'prepared':
        return this.#settles(id, conn.sendPrepared(`p${id}`));
      case 'signal': {
        const abort = new AbortController();
        this.#aborts.push(abort);
        return this.#settles(id, conn.send(`s${id}`, { signal: abort.signal }));
      }
      case 'abort':
        return this.#aborts.at(-1 - which)?.abort();
      case 'writer':
      case 'queued writer':
      case 'unencoded writer': {
        const options = {
          queue: call === 'queued writer',
          ...(call === 'unencoded writer' && { compress: false }),
        };
        const opened = conn.nextWriter(options);
        return this.#settles(id, opened, (got) => void this.#writers.push(got));
      }
      case 'write':
      case 'write, long':
        if (writer === undefined) return;
        return this.#settles(id, writer.write(`w${id}`.padEnd(call === 'write' ? 0 : 30)));
      case 'end':
        return writer && this.#settles(id, writer.close());
      case 'give up':
        return writer?.abort();
      case 'ping':
        return this.#settles(id, conn.control(9, `i${id}`));
      case 'pong':
        return this.#settles(id, conn.control(10, `o${id}`));
      case 'peer pings':
        return conn.peerPings(`a${id}`);
      case 'peer closes':
        return conn.peerCloses();
      case 'fault':
        return conn.fault();
      case 'the transport closes':
        return this.#gone();
      case 'close':
        return conn.close();
      case 'deadline':
        return conn.setDeadline(DEADLINE);
      case 'no deadline':
        return conn.setDeadline(null);
      case 'block':
        this.#isFull = true;
        return;
      case 'drain':
        if (!this.#isFull) return;
        this.#isFull = false;
        return conn.drained();
      case 'turn':
      case 'time':
        this.#isInTurn = call;
    }
  }

  #isInTurn: 'turn' | 'time' | undefined;

  /** The turn ends, and later turns run what waits for them. */
  async #turn(): Promise<void> {
    await this.#settleMicrotasks();
    for (let i = 0; i < MOST_TURNS; i++) {
      this.#turnEnds();
      for (const callback of this.#time.deferred.splice(0)) callback();
      await this.#settleMicrotasks();
      const yielded = this.#time.yielded.splice(0);
      if (yielded.length + this.#time.deferred.length === 0) return;
      for (const callback of yielded) callback();
      await this.#settleMicrotasks();
    }
  }

  async #settleMicrotasks(): Promise<void> {
    for (let i = 0; i < MICROTASKS; i++) await Promise.resolve();
  }

  async #settleAll(): Promise<void> {
    await this.#settleMicrotasks();
    const passes = this.#isInTurn;
    this.#isInTurn = undefined;
    if (passes !== undefined) await this.#turn();
    if (passes === 'time') await this.#time.advance(2 * DEADLINE, () => this.#turn());
    // A call that is refused settles in a later turn if others were refused before.
    for (let i = 0; i < 4 && this.#waiting > 0; i++) await new Promise(setImmediate);
  }

  #mark(name: string): void {
    const frames = this.#frames.splice(0).join(', ');
    const settled = this.#settled.splice(0).toSorted().join(', ');
    this.log.push(`#${this.#calls} ${name}: ${frames} | ${settled}`);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
