import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib';
import {
  Conn,
  type ConnPairOptions,
  type ConnSettings,
  connPair,
  type Platform,
  type Role,
} from '@ws/conn';
import { type DeflateEngines, type Deflater, type Inflater, perMessageDeflate } from '@ws/deflate';
import { type CompressionBackend, nodeDeflate, nodePlatform } from '@ws/node-io';
import { onTestFailed } from 'vitest';
import {
  type NaiveFrameOptions,
  naiveDecode,
  naiveEncode,
  Random,
  replaced,
  syncDeflate,
  TestTransport,
  whenOver,
} from '../kit/index.ts';

/** The suite runs on each of them. */
export const BACKENDS: readonly CompressionBackend[] = ['sync', 'handle'];
const SOURCES = { sync: syncDeflate, handle: nodeDeflate };

export const RSV1 = 0x40;
export const CONTINUATION = 0;
export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Default parameters of the tests: no context takeover, full windows. */
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

/** The engines of one backend, with counters. */
export class CountingSource implements DeflateEngines {
  generation = 0;
  memoryBudget = Infinity;
  /** Output and input bytes of the inflaters. */
  inflated = 0;
  used = 0;
  /** Open engines. */
  inflaters = 0;
  deflaters = 0;
  /** Calls of `write` of the deflaters. */
  deflates = 0;
  /** Called with the size of each inflated piece. */
  onInflated: ((bytes: number) => void) | undefined;
  /** Error of every operation while set. */
  failure: Error | undefined;
  readonly backend: CompressionBackend;
  readonly #engines: DeflateEngines;

  constructor(backend: CompressionBackend) {
    this.backend = backend;
    this.#engines = SOURCES[backend];
  }

  get inflates(): DeflateEngines['inflates'] {
    return this.#engines.inflates;
  }

  inflater(): Inflater {
    this.#fail();
    this.inflaters++;
    const engine = this.#engines.inflater();
    return replaced(engine, {
      write: (...args) => {
        this.#fail();
        const [, , , , output, at, end] = args;
        if (at < 0 || end < at || end > output.length) throw new Error(`room [${at}, ${end})`);
        const status = engine.write(...args);
        this.used += engine.used;
        this.inflated += engine.produced;
        this.onInflated?.(engine.produced);
        return status;
      },
      close: () => {
        this.inflaters--;
        engine.close();
      },
    });
  }

  deflater(level: number, windowBits: number): Deflater {
    this.#fail();
    this.deflaters++;
    const engine = this.#engines.deflater(level, windowBits);
    return replaced(engine, {
      write: (...args) => {
        this.#fail();
        this.deflates++;
        return engine.write(...args);
      },
      close: () => {
        this.deflaters--;
        engine.close();
      },
    });
  }

  #fail(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

/** `nodePlatform` with another source of engines. Each source has one platform. */
export function platformOn(source: DeflateEngines): Platform {
  let platform = platforms.get(source);
  if (platform === undefined) {
    platform = { ...nodePlatform, deflate: perMessageDeflate(source) };
    platforms.set(source, platform);
  }
  return platform;
}

const platforms = new WeakMap<DeflateEngines, Platform>();

/**
 * Closes a connection from the client. The server discards the rest: it would otherwise wait half of
 * `closeTimeout` for another read.
 */
export async function closePair({ client, server }: { client: Conn; server: Conn }): Promise<void> {
  server.discardReads().catch(() => {});
  await client.close();
}

/** Two connected Conns in memory that compress on `backend`. The client closes after the test. */
export function pairOn(
  backend: CompressionBackend,
  options: Omit<ConnPairOptions, 'platform'> = {},
  source: CountingSource = new CountingSource(backend),
): { client: Conn; server: Conn; source: CountingSource } {
  const [client, server] = connPair({
    compression: true,
    ...options,
    platform: platformOn(source),
  });
  void client.closed.then(whenOver(() => closePair({ client, server })));
  return { client, server, source };
}

/** A Conn whose peer is the test. Its transport breaks after the test. */
export interface Wired {
  readonly conn: Conn;
  readonly source: CountingSource;
  readonly transport: TestTransport;
  /** Encodes a frame of the peer. */
  readonly frame: (opcode: number, payload?: Uint8Array, options?: NaiveFrameOptions) => Uint8Array;
  /** Encodes a compressed message in one frame, or in fragments of `size` bytes. */
  readonly packed: (opcode: number, payload: Uint8Array, size?: number) => Uint8Array[];
  /** Delivers frames as one chunk. */
  readonly feed: (...frames: Uint8Array[]) => void;
  /** Sent frames. */
  readonly sent: () => ReturnType<typeof naiveDecode>['frames'];
}

export interface WiredOptions extends ConnSettings {
  readonly role?: Role;
  /** Negotiated parameters; false: no extension. */
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
    platform: platformOn(source),
  });
  void conn.closed.then(whenOver(() => transport.break()));
  const mask = role === 'server' ? { mask: 0x01020304 } : {};
  const frame: Wired['frame'] = (opcode, payload = new Uint8Array(0), more = {}) =>
    naiveEncode(opcode, payload, { ...mask, ...more });
  return {
    conn,
    source,
    transport,
    frame,
    packed(opcode, payload, size = Infinity) {
      const frames = [];
      let at = 0;
      do {
        const first = at === 0;
        const part = payload.subarray(at, at + size);
        at += size;
        const more = { rsv: first ? RSV1 : 0, fin: at >= payload.length };
        frames.push(frame(first ? opcode : CONTINUATION, part, more));
      } while (at < payload.length);
      return frames;
    },
    feed: (...frames) => transport.feed(Buffer.concat(frames)),
    sent: () =>
      naiveDecode(transport.sent, role === 'server' ? 'client' : 'server', { allowedRsv: 0x40 })
        .frames,
  };
}

/** Waits for turns of the event loop. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Waits for a condition, one turn at a time. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turns(1);
}

/** Sizes around limits: of the length field, of the history, of background compression, of a buffer. */
export const SIZES: readonly number[] = [
  0, 1, 125, 126, 255, 256, 1024, 4096, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 150_000,
];

const WORDS = 'the quick brown fox jumps over lazy dog {"id": "name": , true false null'.split(' ');
const FOREIGN = 'äöü 你好 世界 δέλτα 😀 🎉 مرحبا'.split(' ');

/** Kinds of text: few words, many scripts, repetition, hardly compressible. */
export const KINDS = ['words', 'scripts', 'same', 'noise'] as const;
export type Kind = (typeof KINDS)[number];

/** Text of about `size` UTF-16 units. */
export function someText(random: Random, size: number, kind: Kind): string {
  if (kind === 'same') return 'ab'.repeat(size / 2 + 1).slice(0, size);
  let text = '';
  while (text.length < size) {
    if (kind === 'noise') text += random.word().toString(36);
    else if (kind === 'words') {
      text += `${WORDS[random.below(WORDS.length)]} `;
      if (random.below(4) === 0) text += random.below(100_000);
    } else text += FOREIGN[random.below(FOREIGN.length)];
  }
  // Half of a surrogate pair would not survive UTF-8.
  return text.slice(0, size).replace(/[\ud800-\udbff]$/, 'x');
}

/** Random numbers of a test. Prints the seed when it fails; `COMPRESSION_SEED` sets it. */
export function seeded(title: string): Random {
  const seed = Number(process.env['COMPRESSION_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  onTestFailed(() => console.log(`${title}: COMPRESSION_SEED=${seed}`));
  return new Random(seed);
}

/** Compares without printing megabytes. */
export function isSame(got: Uint8Array | string, sent: Uint8Array | string): boolean {
  return Buffer.from(got as string).equals(Buffer.from(sent as string));
}

/** A fragment that ends with a flush, so it can be inflated alone. */
export function part(plain: Uint8Array | string, options: ZlibOptions = {}): Buffer {
  return deflateRawSync(plain, { finishFlush: constants.Z_SYNC_FLUSH, ...options });
}

/** Compresses a message as a peer does: flushed, without the tail, with references to `before`. */
export function pack(
  plain: Uint8Array | string,
  before: Uint8Array | string = '',
  level = 6,
): Buffer {
  const dictionary = Buffer.from(before as string).subarray(-32_768);
  return part(plain, { level, ...(dictionary.length > 0 ? { dictionary } : {}) }).subarray(0, -4);
}
