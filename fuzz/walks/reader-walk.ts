import type { Conn, ConnOptions, Transport } from '@ws/conn';
import type { limitRate } from '@ws/conn/internal';
import { internalsOf } from '@ws/conn/internal';
import { NaiveDecoder } from '@ws/tests';
import { SmallConn, type SmallMessage } from '../oracles/small-conn.ts';
import type { Call, ReaderPlan, ReaderStep } from './reader-plan.ts';
import { WalkTime } from './walk-time.ts';

/** A build of the library. */
export interface ReaderBuild {
  readonly Conn: new (transport: Transport, options: ConnOptions) => Conn;
  readonly limitRate: typeof limitRate;
}

/** The calls of a walk: of a Conn or of the small connection. */
type Walked = {
  readMessage(options?: { signal?: AbortSignal }): Promise<SmallMessage>;
  nextReader(options?: { signal?: AbortSignal }): Promise<{
    read(into: Uint8Array): Promise<number>;
    bytes(): Promise<Uint8Array>;
  }>;
  [Symbol.asyncIterator](): AsyncIterableIterator<SmallMessage, undefined>;
  receive(handler: (message: SmallMessage) => Promise<void> | undefined): Promise<unknown>;
  discardReads(): Promise<unknown>;
  send(text: string): Promise<void>;
  close(code: number, reason?: string, options?: { discard?: boolean }): unknown;
  terminate(): void;
  readonly closed: Promise<{ code: number; wasClean: boolean }>;
  readonly stats: { readonly messagesDropped: number };
};

/** A connection, and the calls of its server around the handler of `serve`. */
type Ends = {
  readonly conn: Walked;
  readonly handler: { starts(): void; isDone(): void };
};

type Sink = { data(chunk: Uint8Array, end: number): void; end(): void };

class MyError extends Error {}

/** Microtasks until promises of promises have settled. */
const MICROTASKS = 24;
const MOST_TURNS = 60;

/**
 * One connection on its way through the steps of a plan, with a clock, a transport and turns of its own.
 * Writes down what both ends see in each step.
 */
export class ReaderWalk {
  readonly log: string[] = [];
  readonly plan: ReaderPlan;
  readonly #time = new WalkTime();
  #seen: string[] = [];
  readonly #gates: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #peer: NaiveDecoder;
  readonly #conn: Walked;
  readonly #handler: Ends['handler'];
  #sink!: Sink;
  #close!: () => void;
  #framesSeen = 0;
  #messages = 0;
  #calls = 0;
  #waiting = 0;
  #isPaused = false;
  #isDestroyed = false;
  #hasEnded = false;
  #finSent = false;
  #isGone = false;
  #abort: AbortController | undefined;
  #loop: AsyncIterableIterator<SmallMessage, undefined> | undefined;
  #reader: Awaited<ReturnType<Walked['nextReader']>> | undefined;

  /** @param build - The small connection, without one. */
  constructor(plan: ReaderPlan, build: ReaderBuild | undefined) {
    this.plan = plan;
    this.#peer = new NaiveDecoder(plan.role === 'server' ? 'client' : 'server');
    const { conn, handler } = build === undefined ? this.#small() : this.#product(build);
    this.#conn = conn;
    this.#handler = handler;
    void conn.closed.then(({ code, wasClean }) => this.#see(`closed ${code} ${wasClean}`));
  }

  #product({ Conn, limitRate }: ReaderBuild): Ends {
    const { role, closeTimeout, readAhead, rate, isObserved } = this.plan;
    const platform = this.#time.platform;
    const conn = new Conn(this.#transport(), {
      role,
      platform: isObserved ? { ...platform, observer: { messageIn() {} } } : platform,
      heartbeat: false,
      closeTimeout,
      readAhead,
      report: (error) => {
        if (String(error).includes('bug in the library')) this.#see(String(error));
      },
    });
    if (rate !== undefined) {
      const messages = { perMs: rate.perSecond / 1000, size: rate.burst };
      const bytes = { perMs: Infinity, size: Infinity };
      limitRate(conn as never, { messages, bytes, over: 'wait', text: 'rate' });
    }
    const internals = internalsOf(conn);
    const handler = {
      starts: () => internals.connHandlerStarted(),
      isDone: () => internals.connHandlerSettled(),
    };
    return { conn, handler };
  }

  #small(): Ends {
    const { role, closeTimeout, readAhead, rate } = this.plan;
    const transport = {
      ...this.#endOfTransport(),
      start: (conn: SmallConn) => {
        this.#sink = conn;
        this.#close = () => conn.gone();
      },
      frame: (b0: number, payload: Uint8Array) => this.#frameSent(b0 & 15, payload),
    };
    const platform = this.#time.platform;
    const conn = new SmallConn(transport, { role, closeTimeout, readAhead, platform });
    if (rate !== undefined) conn.limit(rate.perSecond, rate.burst);
    const handler = { starts: () => conn.willRead(), isDone: () => conn.handlerSettled() };
    return { conn, handler };
  }

  #transport(): Transport {
    return {
      bufferedAmount: 0,
      start: (sink) => {
        this.#sink = sink;
        this.#close = () => sink.close();
      },
      write: (bytes, release) => {
        if (!this.#isDestroyed) this.#bytesSent(bytes);
        release?.();
        return true;
      },
      ...this.#endOfTransport(),
    };
  }

  #endOfTransport(): { pause(): void; resume(): void; end(): void; destroy(): void } {
    return {
      pause: () => void (this.#isPaused = true),
      resume: () => void (this.#isPaused = false),
      end: () => {
        if (!this.#hasEnded && !this.#isDestroyed) this.#see('FIN');
        this.#hasEnded = true;
      },
      destroy: () => {
        if (this.#isDestroyed) return;
        this.#isDestroyed = true;
        this.#see('destroyed');
        this.#time.yielded.push(() => this.#gone());
      },
    };
  }

  // What both ends see

  #see(text: string): void {
    this.#seen.push(text);
  }

  #bytesSent(bytes: Uint8Array): void {
    this.#peer.push(bytes);
    for (const { opcode, payload } of this.#peer.frames.slice(this.#framesSeen)) {
      this.#frameSent(opcode, payload);
    }
    this.#framesSeen = this.#peer.frames.length;
  }

  #frameSent(opcode: number, payload: Uint8Array): void {
    if (this.#isDestroyed) return;
    const bytes = Buffer.from(payload);
    if (opcode !== 8) return this.#see(`< ${opcode} ${bytes.toString()}`);
    this.#see(`< close ${bytes.length === 0 ? 'empty' : bytes.readUInt16BE()}`);
  }

  #settles<T>(what: string, promise: Promise<T>, show: (value: T) => string): void {
    const id = ++this.#calls;
    this.#waiting++;
    promise
      .then(
        (value) => this.#see(`${what} ${id}: ${show(value)}`),
        (error: unknown) => this.#see(`${what} ${id}: ${failure(what, error)}`),
      )
      .finally(() => this.#waiting--);
  }

  // What this end does

  #do(call: Call): unknown {
    const conn = this.#conn;
    switch (call) {
      case 'read':
        this.#abort = new AbortController();
        return this.#settles('read', conn.readMessage({ signal: this.#abort.signal }), brief);
      case 'abort':
        return this.#abort?.abort();
      case 'next':
        this.#loop ??= conn[Symbol.asyncIterator]();
        return this.#settles('next', this.#loop.next(), (result) =>
          result.done === true ? 'done' : brief(result.value),
        );
      case 'next, next': {
        const loop = (this.#loop ??= conn[Symbol.asyncIterator]());
        // As a loop does it: the second read begins in the turn of the first message.
        const both = loop.next().then(async (first) => [first, await loop.next()]);
        return this.#settles('next, next', both, (results) =>
          results.map(({ done, value }) => (done === true ? 'done' : brief(value))).join(' '),
        );
      }
      case 'leave': {
        const loop = this.#loop;
        this.#loop = undefined;
        return void loop?.return?.();
      }
      case 'nextReader': {
        this.#abort = new AbortController();
        const reader = conn.nextReader({ signal: this.#abort.signal }).then((got) => {
          this.#reader = got;
        });
        return this.#settles('nextReader', reader, () => 'reader');
      }
      case 'part': {
        const into = new Uint8Array(2);
        const read = this.#reader?.read(into);
        const show = (n: number): string => `${n} ${Buffer.from(into.subarray(0, n)).toString()}`;
        return read && this.#settles('part', read, show);
      }
      case 'bytes': {
        const bytes = this.#reader?.bytes();
        return bytes && this.#settles('bytes', bytes, (all) => Buffer.from(all).toString());
      }
      case 'receive':
        return this.#settles(
          'receive',
          conn.receive((message) => this.#handle(message)),
          () => 'ended',
        );
      case 'discard':
        return this.#settles('discard', conn.discardReads(), () => 'ended');
      case 'settle':
        return this.#gates.shift()?.resolve();
      case 'fail':
        return this.#gates.shift()?.reject(new MyError());
      case 'answer':
        return this.#settles('send', conn.send('a'), () => 'ok');
      case 'handler starts':
        return this.#handler.starts();
      case 'handler is done':
        return this.#handler.isDone();
      case 'close':
        return void conn.close(4000);
      case 'close, discard':
        return void conn.close(4000, '', { discard: true });
      case 'terminate':
        return conn.terminate();
    }
  }

  #handle(message: SmallMessage): Promise<void> | undefined {
    const count = ++this.#messages;
    const text = brief(message);
    this.#see(`message ${text}`);
    const wait = (): Promise<void> =>
      new Promise((resolve, reject) => this.#gates.push({ resolve, reject }));
    switch (this.plan.handler) {
      case 'returns':
        return undefined;
      case 'throws at the second':
        if (count === 2) throw new MyError();
        return undefined;
      case 'closes at the second':
        if (count === 2) this.#conn.close(4001);
        return undefined;
      case 'starts and ends the handler of serve':
        if (count === 1) this.#handler.starts();
        if (count === 2) this.#handler.isDone();
        return count === 3 ? wait() : undefined;
      case 'closes and waits':
        if (count === 1) this.#conn.close(4001);
        return wait();
      case 'waits, then answers':
        return wait().then(() => this.#conn.send(`a ${text}`));
      case 'waits':
        return wait();
    }
  }

  // Steps

  async run(): Promise<string[]> {
    await this.#quiet();
    this.#mark('start');
    for (const step of this.plan.steps) {
      this.#begin(step);
      await this.#quiet();
      if (step.ms !== undefined) await this.#time.advance(step.ms, () => this.#quiet());
      this.#mark(`${step.name}${step.call === undefined ? '' : ` ${step.call}`}`);
    }
    return this.log;
  }

  #begin({ bytes, fin, gone, call }: ReaderStep): void {
    const isOpen = (): boolean => !this.#finSent && !this.#isDestroyed;
    if (bytes !== undefined && isOpen()) this.#sink.data(new Uint8Array(bytes), bytes.length);
    if (fin === true && isOpen()) {
      this.#finSent = true;
      this.#sink.end();
    }
    if (gone === true) this.#gone();
    if (call !== undefined) this.#do(call);
  }

  #gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#isDestroyed = true;
    this.#close();
  }

  /** Runs turns until nothing more happens. */
  async #quiet(): Promise<void> {
    await this.#settleAll();
    for (
      let i = 0;
      i < MOST_TURNS && this.#time.deferred.length + this.#time.yielded.length > 0;
      i++
    ) {
      while (this.#time.deferred.length > 0) {
        for (const callback of this.#time.deferred.splice(0)) callback();
        await this.#settleAll();
      }
      for (const callback of this.#time.yielded.splice(0)) callback();
      await this.#settleAll();
    }
  }

  async #settleAll(): Promise<void> {
    for (let i = 0; i < MICROTASKS; i++) await Promise.resolve();
    // An end of reading that is known before settles in later turns.
    for (let i = 0; i < 4 && this.#waiting > 0; i++) await new Promise(setImmediate);
  }

  #mark(name: string): void {
    const paused = this.#isPaused && !this.#isGone ? ', paused' : '';
    const { messagesDropped } = this.#conn.stats;
    const seen = this.#seen.splice(0).toSorted().join(', ');
    this.log.push(`${name}: ${seen}${paused}, dropped ${messagesDropped}`);
  }
}

function brief({ data }: SmallMessage): string {
  return data.length > 40 ? `${data.length} bytes` : Buffer.from(data).toString();
}

/** Both connections have errors of their own. The walk compares their kinds. */
function failure(what: string, error: unknown): string {
  if (what === 'send') return 'refused';
  if (error instanceof MyError) return 'my error';
  const { name } = error as Error;
  if (name === 'AbortError') return 'aborted';
  return name === 'ReadPendingError' ? 'pending' : 'error';
}
