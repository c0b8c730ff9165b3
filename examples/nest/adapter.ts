import type { IncomingMessage, Server } from 'node:http';
import type { INestApplication, WebSocketAdapter, WsMessageHandler } from '@nestjs/common';
import { type Conn, type UpgradeListener, Upgrader } from '@ws/node-server';
import type { Observable } from 'rxjs';

type Connected = (conn: Conn, req: IncomingMessage) => void;
type Dispatch = (event: unknown, data: unknown) => void;

/** Runs the gateways of Nest on the port of the application. A message is `{ event, data }`. */
export class ConnAdapter implements WebSocketAdapter<Connected[], Conn, { path?: string }> {
  readonly #http: Server;
  readonly #upgrader = new Upgrader();
  readonly #routes: Record<string, (conn: Conn, req: IncomingMessage) => Promise<void>> = {};
  readonly #dispatch = new WeakMap<Conn, Dispatch[]>();
  #listener: UpgradeListener | undefined;

  constructor(app: INestApplication) {
    this.#http = app.getHttpServer();
  }

  /** @returns The functions of the gateways on this path: each gets every connection. */
  create(_port: number, { path = '/' } = {}): Connected[] {
    const gateways: Connected[] = [];
    this.#routes[path] = async (conn, req) => {
      this.#dispatch.set(conn, []);
      for (const connected of gateways) connected(conn, req);
      await conn.receive((message) => {
        const { event, data } = parse(message.text());
        for (const dispatch of this.#dispatch.get(conn)!) dispatch(event, data);
      });
    };
    if (this.#listener !== undefined) this.#http.off('upgrade', this.#listener);
    this.#listener = this.#upgrader.handler(this.#routes);
    this.#http.on('upgrade', this.#listener);
    return gateways;
  }

  bindClientConnect(gateways: Connected[], connected: Connected): void {
    gateways.push(connected);
  }

  bindClientDisconnect(conn: Conn, disconnected: () => void): void {
    void conn.closed.then(disconnected);
  }

  bindMessageHandlers(
    conn: Conn,
    handlers: WsMessageHandler[],
    transform: (result: unknown) => Observable<unknown>,
  ): void {
    this.#dispatch.get(conn)!.push((event, data) => {
      const handler = handlers.find(({ message }) => message === event);
      if (handler === undefined) return;
      transform(handler.callback(data, event))
        .forEach((answer) => void (answer !== undefined && conn.send(JSON.stringify(answer))))
        .catch((error: unknown) => void conn.close(1011, String(error)));
    });
  }

  /** Nest calls it for each gateway. */
  async close(): Promise<void> {
    await this.#upgrader.close();
  }

  /** Nest calls it at the end. The interface does not name it. */
  async dispose(): Promise<void> {}
}

/** Returns an empty object for a text that is no JSON object. */
function parse(text: string): { event?: unknown; data?: unknown } {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
