import { formatExtensions, negotiateDeflate, offerDeflate } from '@ws/codec';
import { Conn } from './conn.ts';
import { copyOf } from './copy.ts';
import { deflateLimits } from './deflate/compression.ts';
import type { Host } from './host.ts';
import { type ConnOptions, type ConnSettings, kind, resolveSettings } from './options.ts';
import { portableHost } from './portable-host.ts';
import type { Transport, TransportSink } from './transport.ts';

/** What both ends of a {@link connPair} are made with. */
export interface ConnPairOptions extends ConnSettings {
  /** What the platform lends. Default: `portableHost`, which has no engine: nothing is compressed then. */
  readonly host?: Host | undefined;
  /** Default: `''`. */
  readonly subprotocol?: string | undefined;
  /** Settings of the client alone; they win over the common ones. */
  readonly client?: ConnSettings | undefined;
  /** Settings of the server alone; they win over the common ones. */
  readonly server?: ConnSettings | undefined;
}

/**
 * Two connected Conns in memory, `[client, server]`, for tests: real frames, real closing handshakes, real
 * backpressure, no sockets.
 *
 * @throws TypeError, RangeError for bad options.
 */
export function connPair(options: ConnPairOptions = {}): [client: Conn, server: Conn] {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`connPair: expected options, got ${kind(options)}`);
  }
  const { client, server, ...common } = options;
  const { host = portableHost } = common;
  const near = { ...common, ...client, host };
  const far = { ...common, ...server, host };
  const agreed = agree(near, far, host);
  const [one, other] = transportPair(host);
  return [
    new Conn(one, { ...near, ...agreed, role: 'client' }),
    new Conn(other, { ...far, ...agreed, role: 'server' }),
  ];
}

/** The part of the opening handshake that makes a difference for frames. */
function agree(
  client: ConnSettings,
  server: ConnSettings,
  host: Host,
): Pick<ConnOptions, 'deflate' | 'extensions'> {
  const wanted = deflateLimits(resolveSettings(client, 'client').compression, 'client', host);
  const granted = deflateLimits(resolveSettings(server, 'server').compression, 'server', host);
  if (wanted === undefined || granted === undefined) return {};
  const { parameters, answer } = negotiateDeflate([offerDeflate(wanted)], granted)!;
  return { deflate: parameters, extensions: formatExtensions([answer]) };
}

const HIGH_WATER_MARK = 65_536;

/**
 * Two transports, each delivering what the other is given. Delivery is never within the call: it is deferred, as a
 * socket's is.
 */
export function transportPair(host: Host): [Transport, Transport] {
  const near = new MemoryTransport(host, 'near');
  const far = new MemoryTransport(host, 'far');
  near.peer = far;
  far.peer = near;
  return [near, far];
}

class MemoryTransport implements Transport {
  readonly localAddr: string;
  peer!: MemoryTransport;
  readonly #host: Host;
  #sink: TransportSink | undefined;
  /** Bytes on their way here, and whether the peer's end comes behind them. */
  readonly #arriving: Uint8Array[] = [];
  #arrivingBytes = 0;
  #peerEnded = false;
  #endDelivered = false;
  #ended = false;
  #destroyed = false;
  #paused = false;
  #scheduled = false;
  #writerWaits = false;

  constructor(host: Host, localAddr: string) {
    this.#host = host;
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
    this.#arriving.length = 0;
    this.#arrivingBytes = 0;
    if (!this.#ended) {
      this.peer.#peerEnded = true;
      this.peer.#schedule();
    }
    this.#host.defer(() => {
      this.#sink?.close(error);
      // What is written to nobody is gone at once.
      this.peer.#room();
    });
  }

  #arrive(chunk: Uint8Array): void {
    if (this.#destroyed) return;
    this.#arriving.push(chunk);
    this.#arrivingBytes += chunk.length;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#sink === undefined) return;
    this.#scheduled = true;
    this.#host.defer(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    const sink = this.#sink!;
    while (!this.#paused && !this.#destroyed) {
      const chunk = this.#arriving.shift();
      if (chunk === undefined) break;
      this.#arrivingBytes -= chunk.length;
      sink.data(chunk);
    }
    if (this.#destroyed) return;
    this.peer.#room();
    if (this.#paused || this.#arriving.length > 0 || !this.#peerEnded) return;
    if (!this.#endDelivered) {
      this.#endDelivered = true;
      sink.end();
    }
    if (this.#ended) this.destroy();
  };

  #room(): void {
    if (this.#destroyed || !this.#writerWaits || this.bufferedAmount >= HIGH_WATER_MARK) return;
    this.#writerWaits = false;
    this.#sink?.drain();
  }
}
