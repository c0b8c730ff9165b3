import { connect as connectTcp, isIP, Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls';
import { TransportError } from '@ws/conn';
import type { Bounds } from './bounds.ts';
import { certificateAdvice } from './certificate-advice.ts';
import type { ProxyPlan } from './choose-proxy.ts';
import { connectTunnel } from './connect-tunnel.ts';
import { callDial, type NetDial } from './given-stream.ts';
import { checkOpen, Guard } from './guard.ts';
import type { Proxy } from './proxy.ts';
import { socksTunnel } from './socks.ts';
import { guardedCallbacks } from './tls-callbacks.ts';
import { TlsOptions } from './tls-options.ts';
import type { DialAddress, Target } from './url.ts';

/** By what means streams are opened. */
export interface Means {
  readonly netDial: NetDial | undefined;
  readonly netDialTLS: NetDial | undefined;
  readonly tls: ConnectionOptions | undefined;
  readonly proxy: ProxyPlan;
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

  /** @throws what `tls.createSecureContext` throws for bad TLS options; TypeError for those that do not go together. */
  constructor(means: Means) {
    const { tls, proxy, netDialTLS } = means;
    this.#means = means;
    this.#forNamed = new TlsOptions(tls, true);
    this.#forOthers = new TlsOptions(tls, false);
    // What is wrong with the options shows before any dial.
    if (tls === undefined) return;
    this.#forNamed.secureContext('');
    if (typeof proxy === 'object' && proxy.secure && netDialTLS === undefined) {
      this.#forOthers.secureContext(labelOf(proxy));
    }
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
    const label = labelOf(proxy);
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
    const failure = (): string => `connecting to ${label} failed`;
    const line = new Guard(created(() => connectTcp(address), failure));
    await opened(line, 'connect', bounds, failure);
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
    const { label, named } = peer;
    let failing = `connecting to ${label}`;
    const shaking = (): void => {
      failing = `TLS handshake with ${label}`;
      bounds.stage = `waiting for the ${failing}`;
    };
    const failure = (): string => `${failing} failed`;
    let line: Guard | undefined;
    let early: Error | undefined;
    const options = this.#tlsOptions(peer, over, (error) => {
      early ??= error;
      line?.fail(error);
    });
    const socket = created(() => connectTls(options), failure);
    line = new Guard(socket);
    if (early !== undefined) line.fail(early);
    if (over === undefined) socket.once('connect', shaking);
    else {
      shaking();
      // One's end is not in every case the end of the other. Of sockets Node sees to it; another stream may fail without
      // a 'close'.
      if (!(over.stream instanceof Socket)) {
        over.stream.once('error', (error) => socket.destroy(error));
      }
      socket.once('close', () => over.drop());
    }
    await opened(line, 'secureConnect', bounds, failure, named);
    return line;
  }

  /** @throws TypeError for a `secureContext` that is not for this peer. */
  #tlsOptions(
    { address, label, named }: Peer,
    over: Guard | undefined,
    fail: (error: Error) => void,
  ): ConnectionOptions {
    const { host, port, path } = address;
    const options = named ? this.#forNamed : this.#forOthers;
    return {
      // SNI carries names only (RFC 6066, section 3).
      servername: isIP(host) === 0 ? host : '',
      ALPNProtocols: ['http/1.1'],
      ...options.given,
      ...guardedCallbacks(options.given, fail),
      secureContext: options.secureContext(label),
      // The certificate is checked against `host`, also where the stream came from elsewhere.
      host,
      port,
      path: over === undefined ? path : undefined,
      socket: over?.stream,
    };
  }
}

function labelOf(proxy: Proxy): string {
  return `the proxy ${String(proxy.address)}`;
}

/** @throws TransportError for what Node finds wrong before it begins. */
function created<T>(create: () => T, failure: () => string): T {
  try {
    return create();
  } catch (cause) {
    throw new TransportError(failure(), { cause });
  }
}

/**
 * Waits until a stream is open. When it fails, or the bounds end, it is destroyed.
 *
 * @param named - It leads to the server that the caller named.
 */
async function opened(
  line: Guard,
  event: 'connect' | 'secureConnect',
  bounds: Bounds,
  failure: () => string,
  named = true,
): Promise<void> {
  const { stream } = line;
  let onOpen!: () => void;
  let onClose!: () => void;
  const open = new Promise<void>((resolve, reject) => {
    // Node goes on for a turn with what has failed already.
    onOpen = () => {
      if (line.error === undefined) resolve();
    };
    // 'close' comes after the 'error', or without one.
    onClose = () => {
      const { error } = line;
      reject(new TransportError(failure() + certificateAdvice(error, named), { cause: error }));
    };
    stream.once(event, onOpen);
    stream.once('close', onClose);
    stream.once('error', onClose);
  });
  try {
    await bounds.race(open);
  } catch (error) {
    line.drop();
    throw error;
  } finally {
    stream.off(event, onOpen);
    stream.off('close', onClose);
    stream.off('error', onClose);
  }
}
