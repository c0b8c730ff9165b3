import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Direction, type DirectionOwner, type Tamper } from './direction.ts';
import type { Cut, FaultPlan } from './fault-plan.ts';
import { MessageCounter } from './message-counter.ts';
import type { Over } from './script.ts';

/** Target and faults of a connection. */
export interface Route {
  readonly port: number;
  readonly plan: FaultPlan;
  readonly tamper?: {
    readonly toServer?: Tamper | undefined;
    readonly toClient?: Tamper | undefined;
  };
}

export class Link implements DirectionOwner {
  readonly toServer: Direction;
  readonly toClient: Direction;
  /** Settles when both sockets are closed and no transfer is pending. */
  readonly over: Promise<void>;
  /** Ends that were reset or dropped: bytes they had not read may be lost. */
  readonly broken = new Set<'client' | 'server'>();
  /** The cut of the plan, after it happened. */
  cutBy: { readonly direction: Direction; readonly how: Cut } | undefined;

  constructor(client: Socket, server: Socket, { plan, tamper }: Route, over: Over) {
    const counter = (): MessageCounter | undefined =>
      over === 'tcp' ? new MessageCounter() : undefined;
    this.toServer = new Direction(client, server, plan.toServer, this, counter(), tamper?.toServer);
    this.toClient = new Direction(server, client, plan.toClient, this, counter(), tamper?.toClient);
    this.over = this.#over(client, server);
    this.#follow(client, server, 'client');
    this.#follow(server, client, 'server');
  }

  async #over(client: Socket, server: Socket): Promise<void> {
    await Promise.all([gone(client), gone(server)]);
    await Promise.all([this.toServer.idle, this.toClient.idle]);
  }

  /** Passes the end of one socket to the other. */
  #follow(socket: Socket, other: Socket, end: 'client' | 'server'): void {
    const otherEnd = end === 'client' ? 'server' : 'client';
    socket.setNoDelay(true);
    socket.on('error', () => {
      this.broken.add(end);
      // Passes a reset on, unless a cut has ended the other socket already.
      if (this.cutBy !== undefined && this.cutBy.how !== 'half-close') return;
      if (!other.closed) this.broken.add(otherEnd);
      reset(other);
    });
    socket.on('close', () => {
      if (other.closed || other.writableEnded) return;
      this.broken.add(otherEnd);
      other.destroy();
    });
  }

  cut(direction: Direction, how: Cut): void {
    this.cutBy ??= { direction, how };
    const sender = direction === this.toServer ? 'client' : 'server';
    const receiver = direction === this.toServer ? 'server' : 'client';
    const { from, to } = direction;
    const other = direction === this.toServer ? this.toClient : this.toServer;
    direction.swallow();
    if (how !== 'half-close') other.swallow();
    if (how === 'reset' || how === 'reset-receiver') {
      this.broken.add(receiver);
      reset(to);
    } else if (how === 'drop') {
      this.broken.add(receiver);
      to.destroy();
    } else to.end();
    if (how === 'half-close') return;
    if (how === 'reset' || how === 'reset-sender') {
      this.broken.add(sender);
      reset(from);
    } else if (how === 'drop') {
      this.broken.add(sender);
      from.destroy();
    } else from.end();
  }
}

/**
 * Sends a RST. Destroys a socket with a pending FIN instead: Node cannot reset it and never emits
 * close.
 */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/**
 * A TCP proxy with planned faults. The first line of a request, `GET /<number> …`, names the
 * connection; over TLS the name of the server does, `c<number>.chaos.test`.
 */
export class ChaosProxy {
  readonly #server: Server;
  readonly #over: Over;
  readonly #routeOf: (connection: number) => Route;
  readonly #links = new Map<number, Link>();

  private constructor(over: Over, routeOf: (connection: number) => Route) {
    this.#over = over;
    this.#routeOf = routeOf;
    const options = { allowHalfOpen: true, noDelay: true };
    this.#server = createServer(options, (socket) => this.#accept(socket));
  }

  static async start(over: Over, routeOf: (connection: number) => Route): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(over, routeOf);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `${this.#over === 'tcp' ? 'ws' : 'wss'}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The connection of this number; undefined before its request. */
  linkOf(connection: number): Link | undefined {
    return this.#links.get(connection);
  }

  /** Stops listening. Resolves when all connections are over. */
  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
    await Promise.all([...this.#links.values()].map(({ over }) => over));
  }

  #accept(client: Socket): void {
    client.on('error', () => {});
    const leave = (): void => void client.end();
    client.once('end', leave);
    client.once('data', (head: Buffer) => {
      client.off('end', leave);
      client.pause();
      const name = /^GET \/(\d+) |c(\d+)\.chaos\.test/.exec(head.toString('latin1'));
      const connection = Number(name?.[1] ?? name?.[2]);
      const route = this.#routeOf(connection);
      const server = connect({ port: route.port, host: '127.0.0.1', allowHalfOpen: true });
      const link = new Link(client, server, route, this.#over);
      this.#links.set(connection, link);
      server.once('connect', () => {
        link.toServer.start(head);
        link.toClient.start();
      });
    });
  }
}
