import { once } from 'node:events';
import { Socket } from 'node:net';
import { describe } from 'vitest';
import { type Scene, sameTrace, urlOf } from '../trace.ts';

type Write = (...args: unknown[]) => boolean;

/** Delays every write by a turn, as programs do that simulate a slow network. */
function delayWrites(socket: Socket, keepsCallback: boolean): void {
  const write = socket.write.bind(socket) as Write;
  socket.write = ((bytes: Buffer, ...more: unknown[]) => {
    setImmediate(() => write(bytes, ...(keepsCallback ? more : [])));
    if (!keepsCallback) for (const one of more) if (typeof one === 'function') one();
    return true;
  }) as Socket['write'];
}

function socketOf(ws: object): Socket {
  return (ws as { _socket: Socket })._socket;
}

/** Sends messages while the socket still holds those before. The last one is 'end'. */
function sendMany(ws: InstanceType<Scene['ws']>, callback?: () => void): void {
  const send = (turn: number): void => {
    for (const i of [0, 1]) {
      ws.send(`${turn} ${i}`, callback);
      ws.send(Buffer.alloc(5_000, 2 * turn + i), callback);
    }
    if (turn < 5) setImmediate(send, turn + 1);
    else ws.send('end', callback);
  };
  send(0);
}

/** Logs the messages until 'end'. */
async function received(scene: Scene, party: string, ws: InstanceType<Scene['ws']>): Promise<void> {
  await new Promise<void>((resolve) => {
    ws.on('message', (data: Buffer) => {
      scene.log(party, data);
      if (String(data) === 'end') resolve();
    });
  });
}

/** Both ends, whose events other than messages are not compared. */
async function connect(scene: Scene, options: object = {}): Promise<InstanceType<Scene['ws']>[]> {
  const wss = await scene.serve();
  const client = new scene.ws(urlOf(wss), options);
  scene.cleanup(() => client.terminate());
  const [[server]] = await Promise.all([once(wss, 'connection'), once(client, 'open')]);
  return [server as InstanceType<Scene['ws']>, client];
}

describe('a socket that holds the bytes of a write', () => {
  for (const callback of [undefined, () => {}]) {
    for (const keepsCallback of [true, false]) {
      const title = `callbacks: ${callback !== undefined}, delayed: ${keepsCallback}`;
      sameTrace(`sends what was given to it (${title})`, async (scene) => {
        const [server, client] = await connect(scene);
        for (const ws of [server!, client!]) {
          delayWrites(socketOf(ws), keepsCallback);
          sendMany(ws, callback);
        }
        await Promise.all([received(scene, 'server', server!), received(scene, 'client', client!)]);
      });
    }
  }
});

describe('a class of sockets that holds the bytes of a write', () => {
  sameTrace('sends what was given to it', async (scene) => {
    class SlowSocket extends Socket {
      /** Without it, every chunk comes to `_write`. */
      override _writev = undefined as never;

      override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
        setImmediate(() => super._write(chunk, encoding, () => {}));
        done();
      }
    }
    const [server, client] = await connect(scene, {
      createConnection: ({ port, host }: { port: number; host: string }) =>
        new SlowSocket().connect(port, host),
    });
    sendMany(client!);
    await received(scene, 'server', server!);
  });
});
