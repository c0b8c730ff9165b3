// One end of a series of items, in its own process. See `ItemsAnswers`.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Conn, StandardSchema } from '@ws/conn';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { contract, stream } from '@ws/rpc';
import { answer } from '../harness/child.ts';
import { usage } from '../harness/usage.ts';
import { SESSIONS } from '../load/session.ts';
import { IO_OPTIONS, socketIo } from './socket-io.ts';

/** The ways to send items to one reader. */
export type ItemsName = 'rpc stream' | 'conn.send' | 'socket.io, events';

/** The requests that the process answers. */
export type ItemsAnswers = {
  /** Starts a server. Returns the port. */
  listen: (name: ItemsName) => Promise<number>;
  connect: (server: { readonly name: ItemsName; readonly port: number }) => Promise<void>;
  /** Reads so many items. */
  read: (count: number) => Promise<void>;
  usage: (nothing?: undefined) => ReturnType<typeof usage>;
};

interface Item {
  readonly i: number;
  readonly text: string;
}

/** 100 bytes in JSON. */
const TEXT = 'x'.repeat(79);
const itemOf = (i: number): Item => ({ i: 10_000 + (i % 10_000), text: TEXT });
/** Items that socket.io gets in one turn: it has no backpressure. */
const RUN = 64;
const END = 'end';

function schema<T>(): StandardSchema<T> {
  return {
    '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value: value as T }) },
  };
}

const feed = contract({ server: { items: stream(schema<number>(), schema<Item>()) } });

async function sendItems(conn: Conn, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await conn.send(JSON.stringify(itemOf(i)));
  await conn.send(END);
}

async function listen(name: ItemsName): Promise<number> {
  if (name === 'socket.io, events') return listenSocketIo();
  const handler =
    name === 'conn.send'
      ? (conn: Conn) => conn.receive((message) => sendItems(conn, Number(message.text())))
      : feed.serve({
          async *items(count) {
            for (let i = 0; i < count; i++) yield itemOf(i);
          },
        });
  const { url } = await serve({ port: 0, host: '127.0.0.1' }, handler);
  return Number(new URL(url).port);
}

async function listenSocketIo(): Promise<number> {
  const Server = await socketIo();
  const io = new Server(0, IO_OPTIONS);
  io.on('connection', (socket) => {
    socket.on('items', async (count: number) => {
      for (let i = 0; i < count; i++) {
        socket.emit('item', itemOf(i));
        if (i % RUN === RUN - 1) await nextTurn();
      }
      socket.emit(END);
    });
  });
  return (io.httpServer.address() as { port: number }).port;
}

let read: (count: number) => Promise<void>;

async function connect({ name, port }: { name: ItemsName; port: number }): Promise<void> {
  const { path, answers } = SESSIONS['socket.io'];
  const isSocketIo = name === 'socket.io, events';
  const conn = await dial(`ws://127.0.0.1:${port}${isSocketIo ? path : ''}`);
  if (name === 'rpc stream') {
    const peer = feed.connect(conn, {});
    read = async (count) => {
      let got = 0;
      for await (const { i } of peer.items(count)) got += i > 0 ? 1 : 0;
      check(got, count);
    };
    return;
  }
  if (isSocketIo) {
    await conn.readMessage();
    await conn.send(answers[0]!);
    await conn.readMessage();
  }
  const end = isSocketIo ? `42["${END}"]` : END;
  read = async (count) => {
    await conn.send(isSocketIo ? `42["items",${count}]` : String(count));
    for (let got = 0; ; got++) {
      const text = (await conn.readMessage()).text();
      if (text === end) return check(got, count);
      JSON.parse(isSocketIo ? text.slice(2) : text);
    }
  };
}

function check(got: number, count: number): void {
  if (got !== count) throw new Error(`${got} of ${count} items have arrived`);
}

answer({ listen, connect, read: (count) => read(count), usage } satisfies ItemsAnswers);
