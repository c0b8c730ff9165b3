import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Lane, type LaneOwner, type Meddle } from './lane.ts';
import type { Cut, Plan } from './plan.ts';

/** Where a connection goes, and what becomes of it on the way. */
export interface Route {
  readonly port: number;
  readonly plan: Plan;
  readonly meddle?: {
    readonly toServer?: Meddle | undefined;
    readonly toClient?: Meddle | undefined;
  };
}

/** A proxied connection. */
export class Link implements LaneOwner {
  /** From the client to the server. */
  readonly toServer: Lane;
  readonly toClient: Lane;
  /** Settles when both sockets are closed and nothing is at work. */
  readonly over: Promise<void>;
  /** Ends that were dropped or reset, by us or by themselves: what they had not read yet may be lost. */
  readonly broken = new Set<'client' | 'server'>();
  /** How the plan has cut it, once it has. */
  cutBy: { readonly lane: Lane; readonly how: Cut } | undefined;

  constructor(client: Socket, server: Socket, { plan, meddle }: Route) {
    this.toServer = new Lane(client, server, plan.toServer, this, meddle?.toServer);
    this.toClient = new Lane(server, client, plan.toClient, this, meddle?.toClient);
    this.over = this.#over(client, server);
    this.#follow(client, server, 'client');
    this.#follow(server, client, 'server');
  }

  async #over(client: Socket, server: Socket): Promise<void> {
    await Promise.all([gone(client), gone(server)]);
    await Promise.all([this.toServer.idle, this.toClient.idle]);
  }

  /** The end of one socket is the other's too. */
  #follow(socket: Socket, other: Socket, end: 'client' | 'server'): void {
    const otherEnd = end === 'client' ? 'server' : 'client';
    socket.setNoDelay(true);
    socket.on('error', () => {
      this.broken.add(end);
      // A reset is passed on as one, unless the other end has been told of its end already.
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

  cut(lane: Lane, how: Cut): void {
    this.cutBy ??= { lane, how };
    const sender = lane === this.toServer ? 'client' : 'server';
    const receiver = lane === this.toServer ? 'server' : 'client';
    const { from, to } = lane;
    const other = lane === this.toServer ? this.toClient : this.toServer;
    lane.swallow();
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

/** Sends a RST. One whose FIN is on its way is dropped: Node cannot reset it, and would never say that it is closed. */
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
 * A TCP proxy that spoils connections as they were planned: the first line of a request, `GET /<number> …`, says which
 * one it is.
 */
export class ChaosProxy {
  readonly #server: Server;
  readonly #routeOf: (connection: number) => Route;
  readonly #links = new Map<number, Link>();

  private constructor(routeOf: (connection: number) => Route) {
    this.#routeOf = routeOf;
    const options = { allowHalfOpen: true, noDelay: true };
    this.#server = createServer(options, (socket) => this.#accept(socket));
  }

  static async start(routeOf: (connection: number) => Route): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(routeOf);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The connection of that number, once its request has come. */
  linkOf(connection: number): Link | undefined {
    return this.#links.get(connection);
  }

  /** Stops listening; resolves when all connections are over. */
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
      const connection = Number(/^GET \/(\d+) /.exec(head.toString('latin1'))?.[1]);
      const route = this.#routeOf(connection);
      const server = connect({ port: route.port, host: '127.0.0.1', allowHalfOpen: true });
      const link = new Link(client, server, route);
      this.#links.set(connection, link);
      server.once('connect', () => {
        link.toServer.start(head);
        link.toClient.start();
      });
    });
  }
}
