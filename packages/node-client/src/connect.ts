import { connect as connectTcp, isIP, type NetConnectOpts, Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls';
import { TransportError } from '@ws/conn';
import { AddressRace, findAddresses, lookupOf } from './addresses.ts';
import type { DialScope } from './dial-scope.ts';
import { dialError, type PeerKind } from './errors.ts';
import { callNetDial, checkOpen, GuardedStream } from './guarded-stream.ts';
import type { DialerPlan, SocketOptions } from './options.ts';
import type { Proxy } from './proxy/proxy.ts';
import { openTunnel } from './proxy/tunnel.ts';
import { certificateAdvice } from './tls/certificate-advice.ts';
import { checkTls, guardedCallbacks, TlsOptions } from './tls/tls-options.ts';
import type { DialAddress, Target } from './url.ts';

/** The options that determine how streams are opened. */
type StreamOpeners = Pick<DialerPlan, 'netDial' | 'netDialTLS' | 'socket' | 'tls' | 'proxyTls'>;

/** The other end of a stream: the server, or a proxy on the way to it. */
interface Peer {
  readonly address: DialAddress;
  readonly secure: boolean;
  /** Name of the peer in messages. */
  readonly label: string;
  readonly kind: PeerKind;
  /** The protocols to offer by ALPN. */
  readonly protocols: readonly string[];
}

const HTTP1: readonly string[] = ['http/1.1'];

/**
 * Opens streams: over TCP or a Unix socket, by the caller's functions or through a proxy, and with
 * TLS if the URL requires it.
 */
export class Connector {
  readonly #openers: StreamOpeners;
  /** By the kind of the peer, when one was needed. */
  readonly #tlsByKind: Partial<Record<PeerKind, TlsOptions>> = {};
  #sessionKey: string | undefined;

  constructor(openers: StreamOpeners) {
    this.#openers = openers;
  }

  /**
   * Opens streams over TCP alone, or with TLS by these options.
   *
   * @throws TypeError that names the option.
   */
  static withTls(options: ConnectionOptions | undefined): Connector {
    const tls = options && checkTls('tls', options);
    const connector = new Connector({
      netDial: undefined,
      netDialTLS: undefined,
      socket: {},
      tls,
      proxyTls: undefined,
    });
    connector.readCertificates();
    return connector;
  }

  #tlsOf(kind: PeerKind): TlsOptions {
    const option = tlsName(kind);
    this.#tlsByKind[kind] ??= new TlsOptions(option, this.#openers[option], kind !== 'redirect');
    return this.#tlsByKind[kind];
  }

  /**
   * Reads keys and certificates before any dial needs them.
   *
   * @throws TypeError for TLS options that OpenSSL cannot use, and for options that conflict.
   */
  readCertificates(): void {
    const { tls, proxyTls } = this.#openers;
    if (tls !== undefined) this.#tlsOf('server').secureContext('');
    if (proxyTls !== undefined) this.#tlsOf('proxy').secureContext('');
  }

  /**
   * Two connectors have the same key only when the same options open and secure their streams: then
   * they share their sessions of HTTP/2.
   */
  sessionKey(): string {
    const { netDial, netDialTLS, socket, tls, proxyTls } = this.#openers;
    this.#sessionKey ??= JSON.stringify(
      [
        netDial,
        netDialTLS,
        ...Object.entries({ ...tls }).flat(),
        'proxyTls',
        ...Object.entries({ ...proxyTls }).flat(),
        'socket',
        ...Object.entries(socket).flat(),
      ].map(identityOf),
    );
    return this.#sessionKey;
  }

  /**
   * Opens the stream for a handshake.
   *
   * @param proxy - Undefined for a direct connection.
   * @param isNamedServer - Whether the caller named this server, rather than a redirect.
   * @param protocols - Those to offer by ALPN.
   * @throws TransportError, BadHandshakeError from a proxy, or the reason of `scope`. No stream
   *   stays open then.
   */
  async open(
    target: Target,
    proxy: Proxy | undefined,
    isNamedServer: boolean,
    scope: DialScope,
    protocols: readonly string[] = HTTP1,
  ): Promise<GuardedStream> {
    const kind = isNamedServer ? 'server' : 'redirect';
    const server: Peer = { ...target, label: String(target.address), kind, protocols };
    if (proxy === undefined) return this.#openTo(server, scope);
    const label = proxyLabel(proxy);
    scope.stage = `connecting to ${label}`;
    const guarded = await this.#openTo({ ...proxy, label, kind: 'proxy', protocols: HTTP1 }, scope);
    try {
      scope.stage = `waiting for ${label}`;
      await openTunnel(guarded, proxy, target.address, scope);
      return target.secure ? await this.#connectTls(server, guarded, scope) : guarded;
    } catch (error) {
      guarded.destroy();
      throw error;
    }
  }

  /**
   * Starts TLS over an open stream, unless the stream is a TLSSocket.
   *
   * @throws TransportError, or the reason of `scope`. Both streams are destroyed then.
   */
  async startTlsOver(
    guarded: GuardedStream,
    address: DialAddress,
    scope: DialScope,
  ): Promise<GuardedStream> {
    return this.#startTlsUnlessDone(
      guarded,
      { address, secure: true, label: String(address), kind: 'server', protocols: HTTP1 },
      scope,
    );
  }

  async #openTo(peer: Peer, scope: DialScope): Promise<GuardedStream> {
    const { netDial, netDialTLS } = this.#openers;
    const { secure } = peer;
    if (secure && netDialTLS !== undefined) {
      return callNetDial('netDialTLS', netDialTLS, peer, scope);
    }
    if (netDial !== undefined) {
      const guarded = await callNetDial('netDial', netDial, peer, scope);
      return secure ? this.#startTlsUnlessDone(guarded, peer, scope) : guarded;
    }
    const { host, path } = peer.address;
    // A Unix socket counts as one address.
    const isAddress = path !== undefined || isIP(host) !== 0;
    const addresses = isAddress ? [host] : await this.#lookUp(peer, scope);
    // A TLSSocket over a net.Socket takes 3 kB more than one that connects itself.
    if (secure && addresses.length === 1) return this.#connectTls(peer, addresses[0]!, scope);
    const guarded = await this.#race(peer, addresses, scope);
    return secure ? this.#startTlsUnlessDone(guarded, peer, scope) : guarded;
  }

  /** Finds the addresses of a name. */
  async #lookUp(peer: Peer, scope: DialScope): Promise<readonly string[]> {
    const { host } = peer.address;
    const ofTls = this.#socketOptionsOf(peer).lookup !== this.#openers.socket.lookup;
    const option = ofTls ? `${tlsName(peer.kind)}.lookup` : 'lookup';
    try {
      return await scope.race(findAddresses(host, this.#socketOptionsOf(peer), option));
    } catch (error) {
      throw scope.isAborted ? error : connectError(peer, error);
    }
  }

  /** The options of tls.connect include the options of net.connect. */
  #socketOptionsOf({ secure, kind }: Peer): SocketOptions {
    return { ...this.#openers.socket, ...(secure && this.#tlsOf(kind).given) };
  }

  async #race(peer: Peer, addresses: readonly string[], scope: DialScope): Promise<GuardedStream> {
    const { port, path } = peer.address;
    const options = this.#socketOptionsOf(peer);
    const race = new AddressRace(addresses, (host) => {
      return connectTcp({ ...options, host, port, path } as NetConnectOpts);
    });
    let winner: GuardedStream | undefined;
    try {
      winner = await scope.race(race.winner);
      return winner;
    } catch (error) {
      throw scope.isAborted ? error : connectError(peer, error);
    } finally {
      race.stop(winner);
    }
  }

  async #startTlsUnlessDone(
    guarded: GuardedStream,
    peer: Peer,
    scope: DialScope,
  ): Promise<GuardedStream> {
    if (guarded.stream instanceof TLSSocket) return guarded;
    try {
      return await this.#connectTls(peer, guarded, scope);
    } catch (error) {
      guarded.destroy();
      throw error;
    }
  }

  /** @param over - An open stream, or the address to connect to. */
  async #connectTls(
    peer: Peer,
    over: GuardedStream | string,
    scope: DialScope,
  ): Promise<GuardedStream> {
    const { label, kind } = peer;
    let failing = `connecting to ${label}`;
    const onTlsStart = (): void => {
      failing = `TLS handshake with ${label}`;
      scope.stage = `waiting for the ${failing}`;
    };
    if (typeof over !== 'string') {
      checkOpen(over.stream);
      onTlsStart();
    }
    const failure = (): string => `${failing} failed`;
    const secureContext = this.#tlsOf(kind).secureContext(label);
    const guarded = openTls(
      (fail) => connectTls({ ...this.#tlsOptions(peer, over, fail), secureContext }),
      failure,
    );
    const socket = guarded.stream;
    if (typeof over === 'string') socket.once('connect', onTlsStart);
    else {
      // Node links the ends of a TLSSocket and its net.Socket. It does not for another stream,
      // which may also fail without a 'close'.
      if (!(over.stream instanceof Socket)) {
        over.stream.once('error', (error) => socket.destroy(error));
      }
      socket.once('close', () => over.destroy());
    }
    await waitUntilSecure(guarded, scope, failure, kind);
    return guarded;
  }

  #tlsOptions(
    peer: Peer,
    over: GuardedStream | string,
    fail: (error: Error) => void,
  ): ConnectionOptions {
    const { address, kind, protocols } = peer;
    const { host, port, path } = address;
    const { given } = this.#tlsOf(kind);
    const opens = typeof over === 'string';
    return {
      // SNI allows names only, without a trailing dot (RFC 6066, section 3).
      servername: isIP(host) === 0 ? host.replace(/\.$/, '') : '',
      ALPNProtocols: [...protocols],
      ...this.#socketOptionsOf(peer),
      ...guardedCallbacks(given, fail, tlsName(kind)),
      // tls.connect checks the certificate against `host`, also on an open stream.
      host,
      port,
      path: opens ? path : undefined,
      lookup: opens ? lookupOf(over) : undefined,
      socket: opens ? undefined : over.stream,
    };
  }
}

const ids = new WeakMap<object, number>();
let lastId = 0;

/** A value that compares as `===`, for a key. */
export function identityOf(value: unknown): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value;
  let id = ids.get(value);
  if (id === undefined) {
    id = ++lastId;
    ids.set(value, id);
  }
  return { id };
}

function tlsName(kind: PeerKind): 'tls' | 'proxyTls' {
  return kind === 'proxy' ? 'proxyTls' : 'tls';
}

function connectError({ label, kind }: Peer, cause: unknown): TransportError {
  return dialError(`connecting to ${label} failed`, cause, kind);
}

function proxyLabel(proxy: Proxy): string {
  return `the proxy ${String(proxy.address)}`;
}

/**
 * Starts TLS.
 *
 * @param create - Gives `fail` to the functions of the caller: it ends the socket, also before
 *   `create` has returned.
 * @throws TransportError for an error that Node throws synchronously.
 */
function openTls(
  create: (fail: (error: Error) => void) => TLSSocket,
  failure: () => string,
): GuardedStream {
  let guarded: GuardedStream | undefined;
  let early: Error | undefined;
  try {
    const socket = create((error) => {
      early ??= error;
      guarded?.fail(error);
    });
    guarded = new GuardedStream(socket);
  } catch (cause) {
    throw dialError(failure(), cause);
  }
  if (early !== undefined) guarded.fail(early);
  return guarded;
}

/** Waits for the end of the TLS handshake. Destroys the stream when it fails or the scope ends. */
async function waitUntilSecure(
  guarded: GuardedStream,
  scope: DialScope,
  failure: () => string,
  kind: PeerKind,
): Promise<void> {
  const { stream } = guarded;
  let onOpen!: () => void;
  let onClose!: () => void;
  const open = new Promise<void>((resolve, reject) => {
    // A socket that has failed may still emit 'secureConnect' in the same turn.
    onOpen = () => {
      if (guarded.error === undefined) resolve();
    };
    // 'close' follows 'error', or comes without it.
    onClose = () => {
      const { error } = guarded;
      const advice = certificateAdvice(error, kind);
      reject(
        advice === ''
          ? dialError(failure(), error, kind)
          : new TransportError(failure() + advice, { cause: error }),
      );
    };
    stream.once('secureConnect', onOpen);
    stream.once('close', onClose);
    stream.once('error', onClose);
  });
  try {
    await scope.race(open);
  } catch (error) {
    guarded.destroy();
    throw error;
  } finally {
    stream.off('secureConnect', onOpen);
    stream.off('close', onClose);
    stream.off('error', onClose);
  }
}
