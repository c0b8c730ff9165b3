import { connect as connectTcp, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls';
import { type Transport, TransportError } from '@ws/conn';
import { hasTransport } from '@ws/node-io';
import type { Bounds } from './bounds.ts';
import { certificateAdvice } from './certificate-advice.ts';
import { connectTunnel } from './connect-tunnel.ts';
import { checkOpen, Guard } from './guard.ts';
import type { Proxy } from './proxy.ts';
import { socksTunnel } from './socks.ts';
import { TlsOptions, withoutIdentity } from './tls-options.ts';
import { TransportDuplex } from './transport-duplex.ts';
import type { DialAddress, Target } from './url.ts';

/**
 * Opens a stream to `address`.
 *
 * @param address - `net.connect(address)` takes it as it is; as a string it reads `host:port`.
 * @param context - `signal` aborts when the dial is given up; a stream that comes after that is destroyed.
 * @returns A Duplex, open or still connecting, or a Transport that was not started. It belongs to the dialer, which
 *   destroys it when the handshake fails.
 */
export type NetDial = (
  address: DialAddress,
  context: { readonly signal: AbortSignal },
) => Duplex | Transport | PromiseLike<Duplex | Transport>;

/** By what means streams are opened. */
export interface Means {
  readonly netDial: NetDial | undefined;
  readonly netDialTLS: NetDial | undefined;
  readonly tls: ConnectionOptions | undefined;
}

/** The other end of a stream: the server, or a proxy on the way to it. */
interface Peer {
  readonly address: DialAddress;
  readonly secure: boolean;
  /** For messages. */
  readonly label: string;
  /** It is the server that the caller named, for whom the options of TLS that say who we are were given. */
  readonly named: boolean;
}

/** Opens streams: over TCP or a Unix socket, by the caller's own functions, through a proxy, with TLS where the URL asks. */
export class Connector {
  readonly #means: Means;
  readonly #forNamed: TlsOptions;
  readonly #forOthers: TlsOptions;

  /** @throws what `tls.createSecureContext` throws for bad TLS options. */
  constructor(means: Means) {
    this.#means = means;
    this.#forNamed = new TlsOptions(means.tls);
    this.#forOthers = new TlsOptions(means.tls && withoutIdentity(means.tls));
    // What is wrong with the options shows before any dial.
    if (means.tls !== undefined) void this.#forNamed.secureContext;
  }

  /**
   * Opens the stream that the handshake goes over.
   *
   * @param proxy - To go through; undefined: directly.
   * @param named - Whether the caller named the server, and no redirect did.
   * @throws TransportError, BadHandshakeError from a proxy, or the reason of `bounds`; nothing is left open then.
   */
  async open(
    target: Target,
    proxy: Proxy | undefined,
    named: boolean,
    bounds: Bounds,
  ): Promise<Guard> {
    const server = { ...target, label: String(target.address), named };
    if (proxy === undefined) return this.#reach(server, bounds);
    const label = `the proxy ${String(proxy.address)}`;
    bounds.stage = `connecting to ${label}`;
    const line = await this.#reach({ ...proxy, label, named: false }, bounds);
    try {
      bounds.stage = `waiting for ${label}`;
      if (proxy.protocol === 'socks5') await socksTunnel(line, proxy, target.address, bounds);
      else await connectTunnel(line.stream, proxy, target.address, bounds.signal);
      return target.secure ? await this.#openTls(server, line, bounds) : line;
    } catch (error) {
      line.drop();
      throw error;
    }
  }

  /**
   * Lays TLS over a stream that is open, unless it is TLS already.
   *
   * @throws TransportError, or the reason of `bounds`; both streams are destroyed then.
   */
  async secure(line: Guard, address: DialAddress, bounds: Bounds): Promise<Guard> {
    return this.#secure(
      line,
      { address, secure: true, label: String(address), named: true },
      bounds,
    );
  }

  async #reach(peer: Peer, bounds: Bounds): Promise<Guard> {
    const { netDial, netDialTLS } = this.#means;
    const { address, secure, label } = peer;
    if (secure && netDialTLS !== undefined) {
      return callDial('netDialTLS', netDialTLS, peer, bounds);
    }
    if (netDial !== undefined) {
      const line = await callDial('netDial', netDial, peer, bounds);
      return secure ? this.#secure(line, peer, bounds) : line;
    }
    if (secure) return this.#openTls(peer, undefined, bounds);
    const line = new Guard(connectTcp(address));
    await opened(line, 'connect', bounds, () => `connecting to ${label} failed`);
    return line;
  }

  async #secure(line: Guard, peer: Peer, bounds: Bounds): Promise<Guard> {
    if (line.stream instanceof TLSSocket) return line;
    try {
      return await this.#openTls(peer, line, bounds);
    } catch (error) {
      line.drop();
      throw error;
    }
  }

  async #openTls(peer: Peer, over: Guard | undefined, bounds: Bounds): Promise<Guard> {
    if (over !== undefined) checkOpen(over.stream);
    const { address, label, named } = peer;
    const { host, port, path } = address;
    let failing = `connecting to ${label}`;
    const shaking = (): void => {
      failing = `TLS handshake with ${label}`;
      bounds.stage = `waiting for the ${failing}`;
    };
    const options = named ? this.#forNamed : this.#forOthers;
    const socket = connectTls({
      // SNI carries names only (RFC 6066, section 3).
      servername: isIP(host) === 0 ? host : '',
      ALPNProtocols: ['http/1.1'],
      ...options.given,
      secureContext: options.secureContext,
      // The certificate is checked against `host`, also where the stream came from elsewhere.
      host,
      port,
      path: over === undefined ? path : undefined,
      socket: over?.stream,
    });
    const line = new Guard(socket);
    if (over === undefined) socket.once('connect', shaking);
    else {
      shaking();
      // The TLSSocket's end is not in every case the end of what lies under it.
      socket.once('close', () => over.drop());
    }
    await opened(line, 'secureConnect', bounds, () => `${failing} failed`);
    return line;
  }
}

/** Waits until a stream is open. When it fails, or the bounds end, it is destroyed. */
async function opened(
  line: Guard,
  event: 'connect' | 'secureConnect',
  bounds: Bounds,
  failure: () => string,
): Promise<void> {
  const { stream } = line;
  let onOpen!: () => void;
  let onClose!: () => void;
  const open = new Promise<void>((resolve, reject) => {
    onOpen = () => resolve();
    // 'close' comes after the 'error', or without one.
    onClose = () => {
      const { error } = line;
      reject(new TransportError(failure() + certificateAdvice(error), { cause: error }));
    };
    stream.once(event, onOpen);
    stream.once('close', onClose);
  });
  try {
    await bounds.race(open);
  } catch (error) {
    line.drop();
    throw error;
  } finally {
    stream.off(event, onOpen);
    stream.off('close', onClose);
  }
}

/** Calls the caller's way of opening a stream. What it opens too late is destroyed. */
async function callDial(
  name: string,
  dial: NetDial,
  { address, label }: Peer,
  bounds: Bounds,
): Promise<Guard> {
  // Called from a microtask: the stream that it returns then gets its guard before any event of its can fire.
  const dialed = Promise.resolve()
    .then(() => dial(address, { signal: bounds.signal }))
    .then((stream) => guarded(name, stream));
  try {
    return await bounds.race(dialed);
  } catch (error) {
    if (bounds.signal.aborted) {
      void dialed.then(
        (late) => late.drop(),
        () => {},
      );
    } else if (!(error instanceof NoStream)) {
      throw new TransportError(`${name} to ${label} failed`, { cause: error });
    }
    throw error;
  }
}

/** What a dial has had. A second one would write into the first one's connection. */
const taken = new WeakSet<Duplex | Transport>();

/**
 * A stream of the caller's under guard, as node:http can use it.
 *
 * @throws NoStream when it is no stream of bytes, and is destroyed then; or when it is in use, and is left alone.
 */
export function guarded(name: string, stream: Duplex | Transport): Guard {
  const transport = isTransport(stream);
  if (!transport && !isDuplex(stream)) {
    throw new NoStream(`${name}: expected a Duplex or a Transport`);
  }
  if (taken.has(stream) || (!transport && hasTransport(stream))) {
    throw new NoStream(`${name}: the stream is in use; a connection needs one of its own`);
  }
  taken.add(stream);
  if (transport) return new Guard(new TransportDuplex(stream));
  const line = new Guard(stream);
  if (stream.readableObjectMode || stream.readableEncoding !== null) {
    line.drop();
    throw new NoStream(`${name}: the stream has an encoding or object mode set and reads no bytes`);
  }
  // Whoever corked it gave it away before they could uncork it.
  while (stream.writableCorked > 0) stream.uncork();
  return line;
}

/** What was given is no stream of bytes, or not free. */
class NoStream extends TypeError {
  override get name(): string {
    return 'TypeError';
  }
}

function isDuplex(stream: unknown): stream is Duplex {
  const duplex = stream as Partial<Duplex> | null | undefined;
  return typeof duplex?.pipe === 'function' && typeof duplex.write === 'function';
}

function isTransport(stream: unknown): stream is Transport {
  const transport = stream as Partial<Transport> | null | undefined;
  return (
    typeof transport?.start === 'function' &&
    typeof transport.write === 'function' &&
    !isDuplex(stream)
  );
}
