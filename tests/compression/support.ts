import { constants, deflateRawSync } from 'node:zlib';
import {
  Conn,
  type ConnPairOptions,
  type ConnSettings,
  connPair,
  type DeflateJob,
  type Deflater,
  type DeflateSource,
  type History,
  type Host,
  type Inflater,
  type InflateStatus,
  type Role,
} from '@ws/conn';
import { type CompressionBackend, configureCompression, nodeDeflate, nodeHost } from '@ws/node-io';
import {
  type NaiveFrameOptions,
  naiveDecode,
  naiveEncode,
  TestTransport,
} from '../../src/index.ts';
import { Random } from '../../src/peers/index.ts';

export const BACKENDS: readonly CompressionBackend[] = ['handle', 'oneshot'];

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** What both ends agreed on, where nothing is said: each message compressed for itself, with a full window. */
export const SHARED = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};
export const TAKEOVER = {
  ...SHARED,
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
};

/** zlib as nodeHost lends it, with engines of its own on one backend, which counts what is done with it. */
export class CountingSource implements DeflateSource {
  generation = 0;
  memoryBudget = Infinity;
  /** Plain bytes that inflaters have put out, and bytes that they were given. */
  inflated = 0;
  used = 0;
  /** Plain bytes that were made once more. */
  again = 0;
  /** Engines that are not closed. */
  inflaters = 0;
  deflaters = 0;
  /** Jobs that have begun, and those that were neither done nor cancelled. */
  jobs = 0;
  pending = 0;
  /** Is called with each piece that was inflated. */
  onInflated: ((bytes: number) => void) | undefined;
  /** What making or driving an engine throws, while set. */
  failure: Error | undefined;
  readonly backend: CompressionBackend;

  constructor(backend: CompressionBackend) {
    this.backend = backend;
  }

  inflater(): Inflater {
    this.#fail();
    this.inflaters++;
    return new CountingInflater(
      this,
      this.#on(() => nodeDeflate.inflater()),
    );
  }

  deflater(level: number, windowBits: number): Deflater {
    this.#fail();
    this.deflaters++;
    return new CountingDeflater(
      this,
      this.#on(() => nodeDeflate.deflater(level, windowBits)),
    );
  }

  deflateLater(job: DeflateJob, done: (output: Uint8Array | undefined) => void): () => void {
    this.jobs++;
    this.pending++;
    let over = false;
    const end = (): void => {
      if (!over) this.pending--;
      over = true;
    };
    const ended = (output: Uint8Array | undefined): void => {
      end();
      done(this.failure === undefined ? output : undefined);
    };
    const cancel = nodeDeflate.deflateLater(job, ended);
    return () => {
      end();
      cancel();
    };
  }

  #on<T>(make: () => T): T {
    configureCompression({ backend: this.backend });
    try {
      return make();
    } finally {
      configureCompression({ backend: 'auto' });
    }
  }

  #fail(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

class CountingInflater implements Inflater {
  used = 0;
  produced = 0;
  readonly #source: CountingSource;
  readonly #engine: Inflater;

  constructor(source: CountingSource, engine: Inflater) {
    this.#source = source;
    this.#engine = engine;
  }

  get again(): number {
    return this.#engine.again;
  }

  get limit(): number {
    return this.#engine.limit;
  }

  set limit(bytes: number) {
    this.#engine.limit = bytes;
  }

  reset(history: History | undefined): void {
    this.#engine.reset(history);
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): InflateStatus {
    if (this.#source.failure !== undefined) throw this.#source.failure;
    if (at < 0 || end < at || end > output.length) throw new Error(`room [${at}, ${end})`);
    const status = this.#engine.write(input, from, to, last, output, at, end);
    this.used = this.#engine.used;
    this.#source.again += this.#engine.again;
    this.produced = this.#engine.produced;
    this.#source.used += this.used;
    this.#source.inflated += this.produced;
    this.#source.onInflated?.(this.produced);
    return status;
  }

  close(): void {
    this.#source.inflaters--;
    this.#engine.close();
  }
}

class CountingDeflater implements Deflater {
  used = 0;
  produced = 0;
  readonly #source: CountingSource;
  readonly #engine: Deflater;

  constructor(source: CountingSource, engine: Deflater) {
    this.#source = source;
    this.#engine = engine;
  }

  reset(history: History | undefined): void {
    this.#engine.reset(history);
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean {
    if (this.#source.failure !== undefined) throw this.#source.failure;
    const whole = this.#engine.write(input, from, to, flush, output, at, end);
    this.used = this.#engine.used;
    this.produced = this.#engine.produced;
    return whole;
  }

  close(): void {
    this.#source.deflaters--;
    this.#engine.close();
  }
}

/** nodeHost with another source of engines. */
export function hostOn(source: DeflateSource): Host {
  return { ...nodeHost, deflate: source };
}

/** A pair of Conns in memory that compresses with engines of `backend`. */
export function pairOn(
  backend: CompressionBackend,
  options: Omit<ConnPairOptions, 'host'> = {},
  source: CountingSource = new CountingSource(backend),
): { client: Conn; server: Conn; source: CountingSource } {
  const [client, server] = connPair({ compression: true, ...options, host: hostOn(source) });
  return { client, server, source };
}

/** A Conn whose peer is the test, which compresses by hand. */
export interface Wired {
  readonly conn: Conn;
  readonly source: CountingSource;
  readonly transport: TestTransport;
  /** The bytes of a frame as the peer sends it. */
  readonly frame: (opcode: number, payload?: Uint8Array, options?: NaiveFrameOptions) => Uint8Array;
  /** The peer sends frames, as one chunk. */
  readonly feed: (...frames: Uint8Array[]) => void;
  /** What was sent so far. */
  readonly sent: () => ReturnType<typeof naiveDecode>['frames'];
}

export interface WiredOptions extends ConnSettings {
  readonly role?: Role;
  /** What was agreed on; false: nothing. */
  readonly deflate?: typeof SHARED | false;
  readonly source?: CountingSource;
}

export function wiredOn(backend: CompressionBackend, options: WiredOptions = {}): Wired {
  const {
    role = 'server',
    deflate = SHARED,
    source = new CountingSource(backend),
    ...settings
  } = options;
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    heartbeat: false,
    compression: { threshold: 0 },
    ...settings,
    role,
    deflate: deflate === false ? undefined : deflate,
    host: hostOn(source),
  });
  const mask = role === 'server' ? { mask: 0x01020304 } : {};
  return {
    conn,
    source,
    transport,
    frame: (opcode, payload = new Uint8Array(0), more = {}) =>
      naiveEncode(opcode, payload, { ...mask, ...more }),
    feed: (...frames) => transport.feed(Buffer.concat(frames)),
    sent: () =>
      naiveDecode(transport.sent, role === 'server' ? 'client' : 'server', { allowedRsv: 0x40 })
        .frames,
  };
}

/** Lets the event loop turn. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Turns until `holds`. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turns(1);
}

/** The borders: of the header's forms, of a small history, of what is compressed on another thread, of a buffer. */
export const SIZES: readonly number[] = [
  0,
  1,
  125,
  126,
  255,
  256,
  KIB,
  4 * KIB,
  32_767,
  32_768,
  32_769,
  65_535,
  65_536,
  65_537,
  150_000,
];

const WORDS = 'the quick brown fox jumps over lazy dog {"id": "name": , true false null'.split(' ');
const FOREIGN = 'äöü 你好 世界 δέλτα 😀 🎉 مرحبا'.split(' ');

/** Kinds of text: of few words, of many scripts, one that repeats, and one that hardly gets smaller. */
export const KINDS = ['words', 'scripts', 'same', 'noise'] as const;
export type Kind = (typeof KINDS)[number];

/** Text of `size` UTF-16 units, roughly. */
export function someText(random: Random, size: number, kind: Kind): string {
  if (kind === 'same') return 'ab'.repeat(size / 2 + 1).slice(0, size);
  const pieces: string[] = [];
  for (let length = 0; length < size; length += pieces.at(-1)!.length) {
    if (kind === 'noise') pieces.push(random.word().toString(36));
    else if (kind === 'words') {
      pieces.push(`${WORDS[random.below(WORDS.length)]} `);
      if (random.below(4) === 0) pieces.push(String(random.below(100_000)));
    } else pieces.push(FOREIGN[random.below(FOREIGN.length)]!);
  }
  // A pair of surrogates that is cut would not come back as it was.
  return pieces
    .join('')
    .slice(0, size)
    .replace(/[\ud800-\udbff]$/, 'x');
}

/** Prints the seed of a random test, so that it can be run again: `COMPRESSION_SEED`. */
export function seeded(title: string): Random {
  const seed = Number(process.env['COMPRESSION_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${title}: COMPRESSION_SEED=${seed}`);
  return new Random(seed);
}

/** Compares without printing megabytes. */
export function isSame(got: Uint8Array | string, sent: Uint8Array | string): boolean {
  return Buffer.from(got as string).equals(Buffer.from(sent as string));
}

/** A message as a peer compresses it: flushed, and without the tail; `before`: what it may refer back to. */
export function pack(
  plain: Uint8Array | string,
  before: Uint8Array | string = '',
  level = 6,
): Buffer {
  const dictionary = Buffer.from(before as string).subarray(-32_768);
  const options = {
    finishFlush: constants.Z_SYNC_FLUSH,
    level,
    ...(dictionary.length > 0 ? { dictionary } : {}),
  };
  return deflateRawSync(plain, options).subarray(0, -4);
}
