import {
  CloseError,
  type CloseInfo,
  Conn,
  type ConnOptions,
  type MessageWriter,
  ReadPendingError,
  type Role,
  TextMessage,
  type WaitOptions,
} from '@ws/conn';
import { FakePlatform, Random, turn } from '../kit/index.ts';
import { compressingPlatform, DEFLATE } from './compressing-platform.ts';
import { HIGH_WATER_MARK, type OpenWire, steppedWire, type Wire } from './wire.ts';

/** The settings of a run of a pair. */
export interface Variant {
  /** The end that runs the operations. */
  readonly role: Role;
  readonly compressed: boolean;
}

/** The error of every handler that throws. */
export const THROWN = new Error('the handler failed');
/** The reason of every signal that aborts. */
export const ABORTED = new Error('the caller gave up');

/** How often the wire moves bytes: more often than any pair needs. */
const ROUNDS = 8;

/** Text of `size` characters that does not compress to nothing. */
function someText(seed: number, size: number): string {
  const random = new Random(seed);
  return Array.from({ length: size }, () => random.below(16).toString(16)).join('');
}

/**
 * Every message, by its name. Each end sends its messages in this order. A fragment has 16 bytes, so
 * the first part of a stream is sent in two fragments.
 */
const TEXTS = {
  'message 0': someText(1, 100),
  'the stream': someText(2, 100),
  'message 1': someText(3, 100),
  'message 2': someText(4, 100),
  'earlier message': someText(5, 3 * HIGH_WATER_MARK),
  'message A': someText(6, 100),
  'stream A': someText(7, 100),
  'first part of stream A': someText(7, 40),
  'message B': someText(8, 100),
  'stream B': someText(9, 100),
} as const;
export type MessageName = keyof typeof TEXTS;

const NAMES = new Map<string, string>(
  Object.entries(TEXTS).map(([name, text]): [string, string] => [text, name]),
);

/** Whether the messages are whole, in the order of {@link TEXTS}, and none is repeated. */
export function isInOrder(names: readonly string[]): boolean {
  const order = Object.keys(TEXTS);
  return names.every((name, i) => {
    const before = i === 0 ? -1 : order.indexOf(names[i - 1]!);
    return order.indexOf(name) > before;
  });
}

export function textOf(name: MessageName): string {
  return TEXTS[name];
}

/** The first bytes of a message that is written as a stream, and its other bytes. */
export function partsOf(name: MessageName): [string, string] {
  return [TEXTS[name].slice(0, 40), TEXTS[name].slice(40)];
}

/**
 * Two Conns and the wire between them. `near` runs the operations of a pair. `far` reads
 * every message and answers pings and close frames. Bytes move only in `move`.
 */
export class Scene {
  readonly platform: FakePlatform;
  readonly near: Conn;
  readonly far: Conn;
  readonly wire: Wire;
  /** Options of the first operation, when the second one aborts its signal. */
  readonly wait: WaitOptions | undefined;
  readonly abort: AbortController | undefined;
  /** Names of the messages that each end received. */
  readonly nearGot: string[] = [];
  readonly farGot: string[] = [];
  /** Names of the messages that `far` has sent. */
  readonly farSent: MessageName[] = [];
  /** What the option `report` of each end got, in words. */
  readonly reports: string[] = [];
  /** Every promise of the operations. */
  readonly #promises: Promise<unknown>[] = [];

  /** @param open - Default: transports in memory. */
  static async open(
    variant: Variant,
    aborts: boolean,
    open: OpenWire = steppedWire,
  ): Promise<Scene> {
    const platform = variant.compressed ? compressingPlatform() : new FakePlatform();
    return new Scene(variant, aborts, platform, await open(platform, variant.role));
  }

  private constructor(
    { role, compressed }: Variant,
    aborts: boolean,
    platform: FakePlatform,
    wire: Wire,
  ) {
    this.platform = platform;
    this.wire = wire;
    const settings = {
      platform: this.platform,
      report: (error, { where }) =>
        void this.reports.push(
          error === THROWN ? `the error of ${where}` : `${where}: ${String(error)}`,
        ),
      heartbeat: false,
      highWaterMark: HIGH_WATER_MARK,
      writeBufferSize: 16,
      ...(compressed && { compression: { threshold: 0 }, deflate: DEFLATE }),
    } satisfies Omit<ConnOptions, 'role'>;
    this.near = new Conn(wire.near, { ...settings, role });
    this.far = new Conn(wire.far, { ...settings, role: role === 'client' ? 'server' : 'client' });
    void this.far.receive((message) => void this.farGot.push(nameOf(message.text())));
    this.abort = aborts ? new AbortController() : undefined;
    this.wait = this.abort && { signal: this.abort.signal };
  }

  /** Keeps a promise of an operation, to check that it settles. */
  keep<T>(promise: Promise<T>): Promise<T> {
    this.#promises.push(promise);
    return promise;
  }

  /** Counts the message as received by `near`, and returns its name. */
  took(text: string): string {
    const name = nameOf(text);
    this.nearGot.push(name);
    return name;
  }

  /** `far` sends a message. */
  sendFromFar(name: MessageName): void {
    this.farSent.push(name);
    void this.far.send(TEXTS[name]);
  }

  /** `far` sends the first fragments of a message. */
  async streamFromFar(name: MessageName): Promise<MessageWriter> {
    this.farSent.push(name);
    const writer = await this.far.nextWriter(TextMessage);
    await writer.write(partsOf(name)[0]);
    return writer;
  }

  /** Delivers the bytes of both ends until none are in transit. */
  async move(): Promise<void> {
    for (let i = 0; i < ROUNDS; i++) {
      await this.platform.settle();
      for (const to of ['far', 'near'] as const) {
        const moved = this.wire.step(to);
        if (moved !== undefined) await moved;
      }
    }
    await this.platform.settle();
  }

  /** How `promise` settled, in words; `waits` when it is pending. `resolved` words its value. */
  async fate<T>(promise: Promise<T>, resolved: (value: T) => string): Promise<string> {
    let words = 'waits';
    promise.then(
      (value) => {
        words = resolved(value);
      },
      (error: unknown) => {
        words = rejection(error);
      },
    );
    await this.platform.settle();
    return words;
  }

  /** Reads all messages that `near` has not read, unless a read is pending. */
  async readRest(): Promise<void> {
    for (let words = ''; words === '' || words.startsWith('message'); ) {
      const message = this.keep(this.near.readMessage());
      words = await this.fate(message, (read) => this.took(read.text()));
    }
  }

  /** How the connection ended after `closeTimeout`, or that it is open. */
  async connection(): Promise<string> {
    await this.platform.advance(5_000);
    await this.wire.rest();
    if (this.near.state === 'open') return 'stays open';
    const ended = await this.fate(this.near.closed, endOf);
    return ended === 'waits' ? 'is closing' : ended;
  }

  /**
   * Ends both connections.
   *
   * @returns What is left over, in words: pending promises, timers, buffered bytes.
   */
  async end(): Promise<string[]> {
    this.near.terminate();
    this.far.terminate();
    await this.move();
    await turn();
    await this.platform.settle();
    const left: string[] = [];
    for (const promise of [this.near.closed, this.far.closed, ...this.#promises]) {
      if ((await this.fate(promise, () => 'done')) === 'waits') left.push('a pending promise');
    }
    for (const conn of [this.near, this.far]) {
      if (conn.state !== 'closed') left.push(`state ${conn.state}`);
      if (conn.bufferedAmount > 0) left.push(`${conn.bufferedAmount} buffered bytes`);
    }
    if (this.platform.timers > 0) left.push(`${this.platform.timers} timers`);
    return left;
  }
}

function nameOf(text: string): string {
  return NAMES.get(text) ?? `${text.length} characters that are no message`;
}

function endOf({ code, wasClean }: CloseInfo): string {
  return `closes with ${code}${wasClean ? ', clean' : ''}`;
}

function rejection(error: unknown): string {
  if (error === THROWN) return 'rejects with the error of the handler';
  if (error === ABORTED) return 'rejects with the reason of the signal';
  if (error instanceof CloseError) return `rejects with CloseError ${error.closeCode}`;
  if (error instanceof ReadPendingError) {
    return `rejects with ReadPendingError, ${error.message.replace('websocket: ', '')}`;
  }
  return `rejects with ${(error as Error).name}`;
}
