import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { addressOf, RoomLoad } from '../../src/load/room-load.ts';
import { PROTOCOLS } from '../../src/load/room-messages.ts';
import { answerFirst, listening } from '../../src/rivals/echo-servers.ts';
import { listenRoom } from '../../src/rivals/room-servers.ts';

const SIZE = 100;
const ended: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ended.splice(0)) end();
});

/** A server that calls `onRequest` for each request of a member. */
async function fakeRoom(onRequest: (sockets: readonly Socket[]) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) =>
    answerFirst(socket, () => {
      sockets.push(socket);
      socket.on('data', () => onRequest(sockets));
    }),
  );
  ended.push(() => server.close());
  return listening(server);
}

async function loadOf(port: number, members = 2): Promise<RoomLoad> {
  const load = new RoomLoad();
  ended.push(() => load.drop());
  await load.open({ port, protocol: 'plain', members, size: SIZE });
  return load;
}

const { bytes, offsets } = PROTOCOLS.plain.frames(SIZE);
const frame = (i: number): Buffer => bytes.subarray(offsets[i], offsets[i + 1]);

describe('RoomLoad', () => {
  // These servers have no close: in the benchmark each ends with its own process.
  it.each(['hub', 'broadcast', 'ws', 'ws, corked', 'socket.io'] as const)(
    'verifies the messages of %s',
    async (contender) => {
      const { port } = await listenRoom({ contender, size: SIZE });
      const load = new RoomLoad();
      ended.push(() => load.drop());
      const protocol = contender === 'socket.io' ? 'socket.io' : 'plain';
      await load.open({ port, protocol, members: 3, size: SIZE });
      const published = await load.publish({ perTurn: 16, turns: 5 });
      expect(published).toMatchObject({ messages: 80, deliveries: 240 });
      expect(published.all.p99).toBeGreaterThan(0);
      const paced = await load.pace({ rate: 1000, ms: 50 });
      expect(paced).toMatchObject({ messages: 50, deliveries: 150 });
      expect(paced.each.most).toBeGreaterThan(0);
    },
  );

  it('does not wait for members that do not read', async () => {
    const { port } = await listenRoom({ contender: 'hub', size: SIZE });
    const load = await loadOf(port, 3);
    load.pause(1);
    expect(await load.publish({ perTurn: 1, turns: 2 })).toMatchObject({ deliveries: 4 });
  });

  it('rejects a message with a wrong byte', async () => {
    const wrong = Buffer.from(frame(0));
    wrong[50]! ^= 1;
    const load = await loadOf(await fakeRoom(([one]) => one!.write(wrong)));
    await expect(load.publish({ perTurn: 1, turns: 1 })).rejects.toThrow('message 0 differs');
  });

  it('rejects a message that one member lacks and another has twice', async () => {
    const port = await fakeRoom(([one]) => one!.write(Buffer.concat([frame(0), frame(1)])));
    const load = await loadOf(port);
    await expect(load.publish({ perTurn: 1, turns: 1 })).rejects.toThrow('lack a message');
  });

  it('rejects more messages than were requested', async () => {
    const port = await fakeRoom((sockets) => {
      for (const socket of sockets) socket.write(Buffer.concat([frame(0), frame(1)]));
    });
    const load = await loadOf(port);
    await expect(load.publish({ perTurn: 1, turns: 1 })).rejects.toThrow(/more messages|lack/);
  });

  it('rejects when the server closes a connection', async () => {
    const load = await loadOf(await fakeRoom(([, two]) => two!.destroy()));
    await expect(load.publish({ perTurn: 1, turns: 1 })).rejects.toThrow('closed the connection');
  });

  it('rejects a server that does not upgrade', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
    ended.push(() => server.close());
    await expect(loadOf(await listening(server), 1)).rejects.toThrow('HTTP/1.1 403 Forbidden');
  });
});

describe('addressOf', () => {
  it('returns another address for each 25,000 members', () => {
    expect([0, 24_999, 25_000, 99_999].map(addressOf)).toEqual([
      undefined,
      undefined,
      '127.0.0.2',
      '127.0.0.4',
    ]);
  });
});
