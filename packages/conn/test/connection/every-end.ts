// Explores how a connection can end: all sequences of events, breadth-first. A sequence goes on only
// where it has reached a state that no shorter one has.
import type { Role } from '@ws/codec';
import { FakePlatform, inWords, naiveDecode, naiveEncode, TestTransport } from '@ws/tests';
import { expect } from 'vitest';
import { Conn, isCloseError, ProtocolError, TextMessage } from '../../src/index.ts';

/** Counts the calls that end a transport. */
class CountingTransport extends TestTransport {
  ends = 0;
  destroys = 0;

  override end(): void {
    this.ends++;
    super.end();
  }

  override destroy(error?: Error): void {
    this.destroys++;
    super.destroy(error);
  }
}

/** How a promise has settled: its error, `null` for a value; undefined while it is pending. */
class Outcome {
  error: unknown;

  constructor(promise: Promise<unknown>) {
    promise.then(
      () => (this.error = null),
      (error: unknown) => (this.error = error),
    );
  }

  get name(): string {
    if (this.error === undefined) return 'pending';
    return this.error === null ? 'done' : (this.error as Error).constructor.name;
  }
}

const CLOSE_TIMEOUT = 4_000;
/** The error of the handler. */
const MINE = new Error('mine');

/** A connection in the middle of its life: the first message of the peer is at its handler. */
class Subject {
  readonly conn: Conn;
  readonly platform = new FakePlatform();
  readonly transport = new CountingTransport();
  readonly received: Outcome;
  readonly written: Outcome;
  readonly closed: Outcome;
  /** The events so far. */
  readonly events: string[] = [];
  /** Whether an event has ended the connection. */
  mustEnd = false;
  /** What of the peer has arrived first: its close frame, or a frame that breaks a rule. */
  arrived: 'close' | 'fault' | undefined;
  readonly #role: Role;
  #blocked = true;
  #peerEnded = false;
  /** Ends the handlers at work: that of a message, and the close handler. */
  readonly #atWork: ((error?: Error) => void)[] = [];

  /** @param handles - The handler of the first message is still at work. */
  constructor(role: Role, handles: boolean) {
    const { platform, transport } = this;
    this.#role = role;
    this.conn = new Conn(transport, {
      role,
      platform,
      heartbeat: false,
      closeTimeout: CLOSE_TIMEOUT,
      report: () => {},
    });
    if (handles) this.conn.setCloseHandler(() => this.#work());
    let first = handles;
    const handler = (): Promise<void> | undefined => {
      if (!first) return undefined;
      first = false;
      return this.#work();
    };
    this.received = new Outcome(this.conn.receive(handler));
    this.feed(TextMessage, 'hello');
    transport.block();
    this.written = new Outcome(this.conn.send('x'.repeat(40_000)));
    this.closed = new Outcome(this.conn.closed);
  }

  /** A handler begins to work, until {@link endHandler}. */
  #work(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#atWork.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  feed(opcode: number, payload: string, rsv = 0): void {
    if (this.transport.closed || this.transport.destroyed || this.#peerEnded) return;
    if (opcode === 8) this.arrived ??= 'close';
    if (rsv !== 0) this.arrived ??= 'fault';
    const mask = this.#role === 'server' ? { mask: 0x01020304 } : {};
    this.transport.feed(naiveEncode(opcode, Buffer.from(payload, 'latin1'), { ...mask, rsv }));
  }

  feedEnd(): void {
    if (this.transport.closed || this.transport.destroyed || this.#peerEnded) return;
    this.#peerEnded = true;
    this.transport.feedEnd();
  }

  endHandler(error?: Error): void {
    const end = this.#atWork.shift();
    if (end !== undefined && error !== undefined) this.mustEnd = true;
    end?.(error);
  }

  /** Ends the handler, and the close handler that may follow it. */
  async endHandlers(): Promise<void> {
    while (this.#atWork.length > 0) {
      this.endHandler();
      await this.platform.settle();
    }
  }

  toggleSocket(): void {
    this.#blocked = !this.#blocked;
    if (this.#blocked) this.transport.block();
    else this.transport.drain();
  }

  get frames(): string[] {
    const peer = this.#role === 'server' ? 'client' : 'server';
    return naiveDecode(this.transport.sent, peer).frames.map((frame) =>
      inWords(frame).slice(0, 20),
    );
  }

  /** What an observer can see of the state. */
  get state(): string {
    const { conn, transport, platform } = this;
    return JSON.stringify([
      conn.state,
      this.frames,
      [transport.ends, transport.destroys, transport.closed, transport.paused, this.#blocked],
      [this.received.name, this.written.name, this.closed.name, this.#atWork.length],
      platform.nextTimer,
      conn.stats.messagesIn,
    ]);
  }

  /** What holds in every state. */
  check(): void {
    const { conn, transport, platform, frames } = this;
    const closes = frames.filter((frame) => frame.startsWith('close'));
    expect(closes.length, 'close frames').toBeLessThanOrEqual(1);
    if (closes.length === 1) expect(frames.at(-1), 'the last frame').toBe(closes[0]);
    expect(transport.ends, 'ends of the transport').toBeLessThanOrEqual(1);
    expect(transport.destroys, 'destroys of the transport').toBeLessThanOrEqual(1);
    expect(this.closed.error === null, 'closed').toBe(conn.state === 'closed');
    // RFC 6455, section 7.1.1: the server ends the TCP connection first.
    const both = closes.length === 1 && this.arrived !== undefined;
    if (both && this.#role === 'server') expect(transport.ends, 'the end of TCP').toBe(1);
    if (conn.state !== 'closed') return;
    expect(platform.timers, 'timers').toBe(0);
    expect(this.written.name, 'the write').not.toBe('pending');
  }

  /**
   * What holds once the connection has had its time to end.
   *
   * @param hangs - The handler at work never ends.
   */
  async finish(hangs: boolean): Promise<void> {
    const { conn, platform, transport } = this;
    if (this.#blocked) this.toggleSocket();
    await platform.settle();
    if (!hangs) await this.endHandlers();
    // Half of the time for readers, a quarter for a late close handler, all of it for the peer.
    await platform.advance(2 * CLOSE_TIMEOUT);
    // A connection that nobody has ended stays open.
    if (!this.mustEnd) transport.break();
    await platform.settle();
    expect(conn.state).toBe('closed');
    await this.endHandlers();
    this.check();
    expect(this.received.name, 'receive').not.toBe('pending');
    const info = await conn.closed;
    this.#checkCloseFrame(info.code);
    const failure = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => expect.fail('a read or write after the end was accepted'),
        (error: unknown) => error,
      );
    const reads = [
      failure(conn.readMessage()),
      failure(conn.readJSON()),
      failure(conn.nextReader()),
    ];
    const writes = [failure(conn.send('late')), failure(conn.writeJSON(1)), failure(conn.ping())];
    await platform.settle();
    const [read, ...otherReads] = await Promise.all(reads);
    for (const other of otherReads) expect(other).toBe(read);
    for (const write of await Promise.all(writes)) expect(write).toBeInstanceOf(Error);
    if (this.arrived === 'fault' && !this.#saw('fails', 'terminate', 'socket', 'stream')) {
      expect(read).toBeInstanceOf(ProtocolError);
    }
    // The handler has failed after the end.
    if (read === MINE) return;
    if (isCloseError(read)) expect(read.closeCode).toBe(info.code);
    else expect(info.error).toBe(read);
  }

  #saw(...words: string[]): boolean {
    return this.events.some((event) => words.some((word) => event.includes(word)));
  }

  /** Every end that leaves time for it has a close frame, with the code of section 7.4. */
  #checkCloseFrame(code: number): void {
    if (!this.mustEnd || this.#saw('time', 'terminate', 'socket closes', 'socket fails')) return;
    if (this.arrived === undefined && this.#saw('stream')) return;
    const close = this.frames.find((frame) => frame.startsWith('close'));
    const ours = [
      ...(this.#saw('we close') ? ['close 1000 ours'] : []),
      ...(this.arrived === 'close' ? ['close 1001'] : []),
      ...(this.#saw('a rule') ? ['close 1002'] : []),
      ...(this.#saw('handler fails') ? ['close 1011'] : []),
    ];
    expect(ours.some((frame) => close?.startsWith(frame))).toBe(true);
    if (this.arrived === 'close' && !this.#saw('stream')) expect(code).toBe(1001);
  }
}

/** What can happen to a connection. */
const EVENTS: Readonly<Record<string, (subject: Subject) => unknown>> = {
  'we close': ({ conn }) => void conn.close(1000, 'ours').catch(() => {}),
  'the peer closes': (subject) => subject.feed(8, '\x03\xe9theirs'),
  'the peer ends its stream': (subject) => subject.feedEnd(),
  'the peer breaks a rule': (subject) => subject.feed(1, 'x', 0x40),
  'a message arrives': (subject) => subject.feed(1, 'more'),
  'the socket closes': ({ transport }) => transport.break(),
  'the socket fails': ({ transport }) => transport.break(new Error('reset')),
  'we terminate': ({ conn }) => conn.terminate(),
  'the handler ends': (subject) => subject.endHandler(),
  'the handler fails': (subject) => subject.endHandler(MINE),
  'the socket blocks or drains': (subject) => subject.toggleSocket(),
  'time passes': ({ platform }) => platform.advance(CLOSE_TIMEOUT / 2),
};

const NAMES = Object.keys(EVENTS);
const ENDS = /closes|its stream|a rule|socket fails|terminate|we close/;

/** Runs `events`, checks after each, and returns the subject. */
async function run(role: Role, handles: boolean, events: readonly string[]): Promise<Subject> {
  const subject = new Subject(role, handles);
  await subject.platform.settle();
  for (const name of events) {
    subject.events.push(name);
    if (ENDS.test(name)) subject.mustEnd = true;
    EVENTS[name]!(subject);
    await subject.platform.settle();
    subject.check();
  }
  return subject;
}

/** Returns the number of different states. A failure names the shortest sequence to it. */
export async function explore(role: Role, handles: boolean, depth: number): Promise<number> {
  const known = new Set<string>();
  let edge: (readonly string[])[] = [[]];
  for (let length = 0; length <= depth; length++) {
    const next: (readonly string[])[] = [];
    for (const events of edge) {
      try {
        const subject = await run(role, handles, events);
        const { state } = subject;
        if (known.has(state)) continue;
        known.add(state);
        for (const name of NAMES) next.push([...events, name]);
        await subject.finish(false);
        if (handles) await (await run(role, handles, events)).finish(true);
      } catch (cause) {
        throw new Error(`after ${events.join(', ')}: ${(cause as Error).message}`, { cause });
      }
    }
    if (next.length === 0) break;
    edge = next;
  }
  return known.size;
}

/** Two events that differ little from others. */
const RARE = ['a message arrives', 'the socket fails'];

/** Runs every sequence of ten events. Returns the number of sequences. */
export async function everySequence(role: Role, handles: boolean, length: number): Promise<number> {
  const names = NAMES.filter((name) => !RARE.includes(name));
  let count = 0;
  const extend = async (events: readonly string[]): Promise<void> => {
    if (events.length < length) {
      for (const name of names) await extend([...events, name]);
      return;
    }
    count++;
    try {
      await (await run(role, handles, events)).finish(false);
    } catch (cause) {
      throw new Error(`after ${events.join(', ')}: ${(cause as Error).message}`, { cause });
    }
  };
  await extend([]);
  return count;
}
