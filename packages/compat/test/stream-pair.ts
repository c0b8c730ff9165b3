import { Duplex } from 'node:stream';
import type { Scene, Ws } from './trace.ts';

type Socketish = InstanceType<Ws>;

/**
 * One end of a pair of streams in memory. Unlike a socket, it reads what it was given when it sends
 * it, in a later turn, and then calls back.
 */
class End extends Duplex {
  peer: End | undefined;

  constructor() {
    super({ readableHighWaterMark: 2 ** 20 });
  }

  setTimeout(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    setImmediate(() => {
      this.#give(Buffer.from(chunk));
      callback();
    });
  }

  /** As a socket does: a header and its payload leave together. */
  override _writev(chunks: readonly { chunk: Buffer }[], callback: () => void): void {
    setImmediate(() => {
      this.#give(Buffer.concat(chunks.map(({ chunk }) => chunk)));
      callback();
    });
  }

  override _final(callback: () => void): void {
    setImmediate(() => {
      this.#give(null);
      callback();
    });
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    setImmediate(() => this.#give(null));
    callback(error);
  }

  #give(chunk: Buffer | null): void {
    if (!this.peer!.destroyed && !this.peer!.readableEnded) this.peer!.push(chunk);
  }
}

function streamPair(): [End, End] {
  const ends: [End, End] = [new End(), new End()];
  [ends[0].peer, ends[1].peer] = [ends[1], ends[0]];
  return ends;
}

/** A server and a client over {@link streamPair}, both watched, with masking keys of fives. */
export async function connectOverStreams(scene: Scene, options: object) {
  const [clientEnd, serverEnd] = streamPair();
  const wss = new scene.ws.WebSocketServer({ noServer: true, ...options });
  const client = new scene.ws('ws://memory/', {
    ...options,
    generateMask: (key: Buffer) => key.fill(5),
    createConnection: () => clientEnd,
  } as object);
  const opened = new Promise((resolve) => client.once('open', resolve));
  const server = await new Promise<Socketish>((resolve) => {
    serverEnd.once('data', (head: Buffer) => {
      const lines = String(head).trimEnd().split('\r\n').slice(1);
      const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(': ')));
      headers['sec-websocket-key'] = /key: (.*)/i.exec(String(head))![1]!;
      const request = { method: 'GET', url: '/', headers } as never;
      wss.handleUpgrade(request, serverEnd, Buffer.alloc(0), resolve);
    });
  });
  await opened;
  for (const [party, ws] of Object.entries({ client, server })) {
    ws.on('error', () => {});
    scene.watch(party, ws);
  }
  return { client, server, streams: { client: clientEnd, server: serverEnd } };
}
