import { formatExtensions, negotiateDeflate, offerDeflate } from '@ws/codec';
import { checked } from '@ws/codec/internal';
import { Conn } from '../conn.ts';
import { copyOf } from '../memory/copy.ts';
import { Fifo } from '../memory/fifo.ts';
import {
  type ConnOptions,
  type ConnSettings,
  connSettingNames,
  resolveSettings,
} from '../options/conn-options.ts';
import { deflateLimits } from '../options/deflate.ts';
import type { Platform } from '../platform/platform.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import { type Scheduler, schedulerOf } from '../scheduler/scheduler.ts';
import { TurnCallback, type TurnTask } from '../scheduler/task-queue.ts';
import type { Transport, TransportSink } from '../transport.ts';
import { checkOptionNames } from '../validate.ts';

/** Options of {@link connPair}, for both ends. */
export interface ConnPairOptions extends ConnSettings {
  /** The services of the runtime. Default: `portablePlatform`, which declines compression. */
  readonly platform?: Platform | undefined;
  /** The subprotocol of both ends. Default: `''`. */
  readonly subprotocol?: string | undefined;
  /** Settings of the client only, which override those for both ends. */
  readonly client?: ConnSettings | undefined;
  /** Settings of the server only, which override those for both ends. */
  readonly server?: ConnSettings | undefined;
}

const CONN_PAIR_OPTION_NAMES: readonly string[] = /* @__PURE__ */ pairOptionNames();

function pairOptionNames(): (keyof ConnPairOptions)[] {
  return ['platform', 'subprotocol', 'client', 'server', ...connSettingNames];
}

/**
 * Creates two connected Conns in memory, for tests: real frames, real closing handshakes, real
 * backpressure, no sockets.
 *
 * @returns `[client, server]`.
 * @throws TypeError, RangeError for bad options.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * await client.send('hello');
 * console.log((await server.readMessage()).text()); // hello
 * ```
 */
export function connPair(options: ConnPairOptions = {}): [client: Conn, server: Conn] {
  return checked(() => makePair(options), connPair);
}

function makePair(options: ConnPairOptions): [client: Conn, server: Conn] {
  checkOptionNames('connPair', options, CONN_PAIR_OPTION_NAMES, 'ignore');
  const { client, server, ...common } = options;
  if (client !== undefined) checkOptionNames('client', client, connSettingNames, 'ignore');
  if (server !== undefined) checkOptionNames('server', server, connSettingNames, 'ignore');
  const { platform = portablePlatform } = common;
  const clientOptions = { ...common, ...client, platform };
  const serverOptions = { ...common, ...server, platform };
  const agreed = agree(clientOptions, serverOptions, platform);
  const [near, far] = transportPair(platform);
  return [
    new Conn(near, { ...clientOptions, ...agreed, role: 'client' }),
    new Conn(far, { ...serverOptions, ...agreed, role: 'server' }),
  ];
}

/** Negotiates compression as a handshake does. */
function agree(
  client: ConnSettings,
  server: ConnSettings,
  platform: Platform,
): Pick<ConnOptions, 'deflate' | 'extensions'> {
  const clientLimits = deflateLimits(resolveSettings(client, 'client'), 'client', platform);
  const serverLimits = deflateLimits(resolveSettings(server, 'server'), 'server', platform);
  if (clientLimits === undefined || serverLimits === undefined) return {};
  const { parameters, answer } = negotiateDeflate([offerDeflate(clientLimits)], serverLimits)!;
  return { deflate: parameters, extensions: formatExtensions([answer]) };
}

/** In bytes. */
const HIGH_WATER_MARK = 65_536;
/** After this many deliveries to one end, timers and I/O run. */
const DELIVERIES_PER_TURN = 64;

/** Creates two transports that deliver to each other, never within a `write`. */
export function transportPair(platform: Platform): [Transport, Transport] {
  const near = new MemoryTransport(platform, 'near');
  const far = new MemoryTransport(platform, 'far');
  near.peer = far;
  far.peer = near;
  return [near, far];
}

class MemoryTransport implements Transport, TurnTask {
  awaitsTurn = false;
  readonly localAddr: string;
  peer!: MemoryTransport;
  readonly #scheduler: Scheduler;
  #sink: TransportSink | undefined;
  /** Undelivered chunks. If `#peerEnded`, the end of the peer follows them. */
  #arriving = new Fifo<Uint8Array>();
  #arrivingBytes = 0;
  #peerEnded = false;
  #endDelivered = false;
  #ended = false;
  #destroyed = false;
  #paused = false;
  #writerWaits = false;
  /** Number of deliveries to this end, including the next one. */
  #deliveries = 1;

  constructor(platform: Platform, localAddr: string) {
    this.#scheduler = schedulerOf(platform);
    this.localAddr = localAddr;
  }

  get remoteAddr(): string {
    return this.peer.localAddr;
  }

  get bufferedAmount(): number {
    return this.#destroyed ? 0 : this.peer.#arrivingBytes;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
    this.#schedule();
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (!this.#ended && !this.#destroyed) this.peer.#arrive(copyOf(chunk));
    release?.();
    this.#writerWaits = this.bufferedAmount >= HIGH_WATER_MARK;
    return !this.#writerWaits;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    if (this.#ended || this.#destroyed) return;
    this.#ended = true;
    this.peer.#peerEnded = true;
    this.peer.#schedule();
    this.#schedule();
  }

  destroy(error?: Error): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#arriving = new Fifo();
    this.#arrivingBytes = 0;
    if (!this.#ended) {
      this.peer.#peerEnded = true;
      this.peer.#schedule();
    }
    const closed = new TurnCallback(() => {
      this.#sink?.close(error);
      // Bytes to a destroyed transport are dropped, so the peer can continue to write.
      this.peer.#drainIfRoom();
    });
    this.#scheduler.endOfTurn.add(closed);
  }

  #arrive(chunk: Uint8Array): void {
    if (this.#destroyed) return;
    this.#arriving.add(chunk);
    this.#arrivingBytes += chunk.length;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#sink === undefined) return;
    const { endOfTurn, laterTurn } = this.#scheduler;
    // In Node.js the end of a turn comes before timers and I/O. A later turn lets timers and I/O run.
    const yields = this.#deliveries % DELIVERIES_PER_TURN === 0;
    (yields ? laterTurn : endOfTurn).add(this);
  }

  onTurn(): void {
    this.#deliveries++;
    const sink = this.#sink!;
    while (!this.#paused && !this.#destroyed) {
      const chunk = this.#arriving.shift();
      if (chunk === undefined) break;
      this.#arrivingBytes -= chunk.length;
      sink.data(chunk);
    }
    if (this.#destroyed) return;
    this.peer.#drainIfRoom();
    if (this.#paused || this.#arriving.length > 0 || !this.#peerEnded) return;
    if (!this.#endDelivered) {
      this.#endDelivered = true;
      sink.end();
    }
    if (this.#ended) this.destroy();
  }

  #drainIfRoom(): void {
    if (this.#destroyed || !this.#writerWaits || this.bufferedAmount >= HIGH_WATER_MARK) return;
    this.#writerWaits = false;
    this.#sink?.drain();
  }
}
