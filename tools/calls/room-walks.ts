// Walks of rooms and calls: one node without an engine, its clients in the same process. Both ends count.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/node-client';
import { type Conn, serve } from '@ws/node-server';
import { contract, method } from '@ws/rpc';
import { type Position, type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import * as v from 'valibot';
import { settled, type Walk } from './walk.ts';

const ROOM = 'chat/main';
const KEPT = 100;
/** Messages that a join has missed. */
const MISSED = 3;

type Loop = AsyncIterator<RoomMessage<unknown>>;

/**
 * A join of a room with a history of 100 messages, {@link MISSED} messages back: from the chunk of the request until
 * the client's loop has `live`. The client's own request is made before the step.
 */
export async function joins(): Promise<Walk> {
  const server = serveRooms({ 'chat/*': { history: { size: KEPT }, mayJoin: true } });
  const { clientOf, hold, release, end } = await started(server.handler);
  for (let i = 0; i < KEPT; i++) await server.hub.room(ROOM).publishJSON({ i });
  const rooms = roomsOf(clientOf());
  const since = await positionOf(rooms.join(ROOM, { last: MISSED + 1 })[Symbol.asyncIterator]());
  let loop: Loop | undefined;
  return {
    prepare: async () => {
      await loop?.return?.();
      await settled();
      const held = hold();
      loop = rooms.join(ROOM, { since })[Symbol.asyncIterator]();
      await held;
    },
    step: async () => {
      release();
      await until(loop!, 'live');
      await settled();
    },
    end,
  };
}

/**
 * A message of a client to two members, itself and another: from the chunk of the request until both loops have it
 * and the publisher its answer.
 */
export async function publishes(): Promise<Walk> {
  const server = serveRooms({ 'chat/*': { mayJoin: true, mayPublish: true } });
  const { clientOf, hold, release, end } = await started(server.handler);
  const member = roomsOf(clientOf()).join(ROOM)[Symbol.asyncIterator]();
  await until(member, 'live');
  const rooms = roomsOf(clientOf());
  const own = rooms.join(ROOM)[Symbol.asyncIterator]();
  await until(own, 'live');
  let published: Promise<unknown> | undefined;
  return {
    prepare: async () => {
      const held = hold();
      published = rooms.publish(ROOM, { text: 'hello' });
      await held;
    },
    step: async () => {
      release();
      await Promise.all([until(member, 'message'), until(own, 'message'), published]);
      await settled();
    },
    end,
  };
}

const calculator = contract({
  server: { add: method(v.tuple([v.number(), v.number()]), v.number()) },
});

/** A call of a method, until it resolves. */
export async function calls(): Promise<Walk> {
  const { clientOf, end } = await started(calculator.serve({ add: ([a, b]) => a + b }));
  const peer = calculator.connect(clientOf(), {});
  return {
    step: async () => {
      await peer.add([1, 2]);
      await settled();
    },
    end,
  };
}

/** The position of the first message of `loop`, which ends. */
async function positionOf(loop: Loop): Promise<Position | undefined> {
  const { value } = await loop.next();
  await loop.return?.();
  return value?.position;
}

async function until(loop: Loop, kind: RoomMessage<unknown>['kind']): Promise<void> {
  while ((await loop.next()).value?.kind !== kind);
}

/** A server behind a relay, which can hold what clients send. */
async function started(handler: (conn: Conn) => Promise<unknown>) {
  const server = await serve({ port: 0, host: '127.0.0.1' }, handler);
  let held: Buffer[] | undefined;
  let arrived = (): void => {};
  let pass = (): void => {};
  const relay = createServer((near) => {
    const far = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {});
    far.pipe(near.on('error', () => {}));
    near.on('data', (chunk) => {
      if (held === undefined) return void far.write(chunk);
      held.push(chunk);
      pass = () => void far.write(Buffer.concat(held!));
      arrived();
    });
    near.on('close', () => far.destroy());
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const url = `ws://127.0.0.1:${(relay.address() as AddressInfo).port}`;
  const clients: ReconnectingConn[] = [];
  return {
    clientOf: (): ReconnectingConn => {
      const client = new ReconnectingConn(url);
      clients.push(client);
      return client;
    },
    /** Holds the next chunk of a client. Resolves when it has come. */
    hold: (): Promise<void> => {
      held = [];
      return new Promise((resolve) => (arrived = resolve));
    },
    release: (): void => {
      pass();
      held = undefined;
    },
    end: async (): Promise<void> => {
      await Promise.all(clients.map((client) => client.close()));
      await server.close({ timeout: 1 });
      relay.close();
      await settled();
    },
  };
}
