import type { Server as NetServer, Socket } from 'node:net';
import type { SecureContextOptions, Server as TlsServer } from 'node:tls';
import { checked } from '@ws/codec/internal';
import type { Conn } from '@ws/conn';
import { addHabits, type Facts, type Habits } from '@ws/conn/internal';
import { prepareReadBuffer, withReadableKeys } from '@ws/node-io/internal';
import type { Acceptor, ServerStats } from './acceptor.ts';
import {
  AS_LISTENER,
  type CloseOptions,
  type ClosePlan,
  type CloseResult,
} from './close-options.ts';
import { SERVER_FACTS, SERVER_HABITS, SERVER_URL } from './habits.ts';
import { listenOn, maxSockets, urlOf } from './http-server.ts';
import type { UpgraderOptions } from './options.ts';
import type { ServerPhase } from './phase.ts';
import { peerGroup, SocketLimits } from './policies/limits.ts';
import { type ListenAddress, withCertificate } from './serve-options.ts';
import { paceSockets } from './socket-pace.ts';

/**
 * A running server, whatever reads its requests.
 *
 * @typeParam Auth - The type of `data` of its connections.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export interface RunningServer<Auth = any>
  extends AsyncDisposable,
    Habits<typeof SERVER_HABITS>,
    Facts<typeof SERVER_FACTS> {
  /**
   * The URL that the server listens on, for example `ws://127.0.0.1:8080`. It is `''` until your
   * own `server` listens, and for a socket without an address: a Unix socket that came as a file
   * descriptor.
   */
  readonly url: string;
  /** The connections that are not closed yet. The set is live. */
  readonly connections: ReadonlySet<Conn<Auth>>;
  /** Counters, as they are now. */
  readonly stats: ServerStats;
  /**
   * `'ready'`; `'busy'` while handshakes wait for their turn, or after two turns of the event loop that
   * were late by 200 ms within a second, until 5 s without either; `'draining'` from the call of `close`,
   * then `'closed'`. A readiness probe fails in the last two only: when all servers are busy, an
   * orchestrator would take all of them out. A liveness probe does not ask.
   */
  readonly phase: ServerPhase;
  /**
   * Replaces the certificate for new connections. Options that are left out keep their values. Open
   * connections keep theirs.
   *
   * @throws TypeError on a server without TLS, and for options without a certificate; the error of
   *   node:tls for an invalid one. The server then keeps its certificate.
   */
  reload(tls: SecureContextOptions): void;
  /**
   * After the time `drain`, stops accepting and sends every connection a close frame. Resolves when all connections are
   * closed, pending answers are sent and the promises of all handlers have settled, at the latest
   * `timeout` ms after the last close frame; the remaining connections are terminated then. A
   * second call returns the same promise. Do not await `close` in a handler: each would wait for
   * the other until `timeout`.
   *
   * @param options - Default: the option `close`.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options?: CloseOptions): Promise<CloseResult>;
}

/** The options that both servers read. */
export type BaseOptions = ListenAddress &
  Pick<UpgraderOptions, 'clientAddress' | 'trustProxy' | 'maxConnections' | 'maxHandshakes'>;

/**
 * The common part of `serve` and `serveRaw`: the sockets and their limits, listening,
 * the certificate and the close.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the same
export abstract class ServerBase<Auth> implements RunningServer<Auth> {
  protected readonly acceptor: Acceptor;
  readonly #owner: string;
  readonly #net: NetServer;
  readonly #options: BaseOptions;
  /** TCP connections, also during their TLS handshake, if {@link keepsSockets}. */
  readonly #sockets = new Set<Socket>();
  /** The options of the certificate in use. */
  #tls: SecureContextOptions;
  #url = '';

  /**
   * @param owner - The function that made the server, for messages.
   * @param tls - The options of the certificate.
   */
  constructor(
    owner: 'serve' | 'serveRaw',
    net: NetServer,
    acceptor: Acceptor,
    options: BaseOptions,
    tls: SecureContextOptions,
  ) {
    hasHabits ||= addHabits(ServerBase.prototype, 'server', SERVER_HABITS, {
      ...SERVER_FACTS,
      ...SERVER_URL,
    });
    this.#owner = owner;
    this.acceptor = acceptor;
    this.#net = net;
    this.#options = options;
    this.#tls = tls;
    acceptor.phase.server = this;
  }

  get url(): string {
    return this.#url;
  }

  get connections(): ReadonlySet<Conn<Auth>> {
    return this.acceptor.work.connections as ReadonlySet<Conn<Auth>>;
  }

  get stats(): ServerStats {
    return this.acceptor.stats;
  }

  get phase(): ServerPhase {
    return this.acceptor.phase.now;
  }

  reload(tls: SecureContextOptions): void {
    checked(() => this.#reload(tls), this, 'reload');
  }

  close(options: CloseOptions = {}): Promise<CloseResult> {
    // `process.on('SIGTERM', server.close)` calls it without its object.
    if (!((this as unknown) instanceof ServerBase))
      return Promise.reject(new TypeError(`close: ${AS_LISTENER}`));
    return this.acceptor.close(options, this, (plan) => this.#close(plan));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Listens by the options of the address, on a server that was created for this one. */
  protected async listenOnOwn(): Promise<void> {
    await this.listenOnAddress();
    // Node emits 'error' when it cannot accept a connection, for example without free file
    // descriptors.
    const { reporter } = this.acceptor.plan;
    this.#net.on('error', (error) => reporter.failed(error, { where: 'server' }));
  }

  protected async listenOnAddress(): Promise<void> {
    // So that the first connections use it too. The promise never rejects.
    if (this.acceptor.plan.readBuffer) await prepareReadBuffer();
    await listenOn(this.#net, this.#options);
    this.noteUrl();
  }

  /** Notes where the server listens. */
  protected noteUrl(): void {
    this.#url = urlOf(this.#net, this.#options);
  }

  /** Bounds the sockets of a server that was created for this one, each client's, and their pace. */
  protected limitSockets(): void {
    const { clientAddress, trustProxy } = this.#options;
    this.#net.maxConnections = maxSockets(this.#options);
    const entries = this.acceptor.plan.limits.entries.filter(({ by }) => by === 'address');
    // With either option, only a request shows the client. Sockets are not counted then.
    const isClientPeer = !clientAddress && !trustProxy && entries.length > 0;
    const most = Math.min(...entries.map(({ connections }) => connections));
    const limits = new SocketLimits(most);
    const pace = this.#secure && this.acceptor.paceOfSockets();
    const begin = pace && paceSockets(this.#net, pace);
    if (!this.keepsSockets && (!isClientPeer || most === Infinity)) return;
    this.#net.on('connection', (socket: Socket) => {
      const group = isClientPeer ? peerGroup(socket) : undefined;
      if (group !== undefined && !limits.add(socket, group)) return void socket.destroy();
      if (this.keepsSockets) this.#keepForClose(socket);
      begin?.(socket, group);
    });
  }

  /** Ends the intake of requests, before the connections are closed. */
  protected abstract stopAccepting(): void;

  /** Destroys the sockets without a request, after the connections are closed. */
  protected abstract destroyIdleSockets(): void | Promise<void>;

  /** Whether the server knows its TCP connections: Node does not know those under TLS. */
  protected get keepsSockets(): boolean {
    return this.#secure !== undefined;
  }

  /** Whether `close` waits for all sockets. On an HTTP server of the user they stay open. */
  protected abstract readonly closesAllSockets: boolean;

  async #close(plan: ClosePlan): Promise<CloseResult> {
    const { closesAllSockets } = this;
    // `once` of node:events would reject at an 'error' of the server.
    const closed = new Promise((done) => closesAllSockets && this.#net.once('close', done));
    this.stopAccepting();
    const result = await this.acceptor.work.close(plan);
    await this.destroyIdleSockets();
    if (!closesAllSockets) return result;
    // Node does not know sockets with a pending TLS handshake.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    return result;
  }

  #reload(tls: SecureContextOptions): void {
    const server = this.#secure;
    if (server === undefined) {
      throw new TypeError(`reload: the server has no TLS; pass the option tls to ${this.#owner}`);
    }
    const renewed = withCertificate(this.#tls, tls);
    withReadableKeys('reload', () => server.setSecureContext(renewed));
    this.#tls = renewed;
  }

  /** The server with its TLS. In Bun an https.Server is no tls.Server. */
  get #secure(): TlsServer | undefined {
    const server = this.#net as TlsServer;
    return typeof server.setSecureContext === 'function' ? server : undefined;
  }

  #keepForClose(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** Names that a server lacks, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line no-unused-vars -- as the class
export interface ServerBase<Auth>
  extends Habits<typeof SERVER_HABITS>,
    Facts<typeof SERVER_FACTS> {}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;
