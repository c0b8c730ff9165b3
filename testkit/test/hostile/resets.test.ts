// Peers that reset the connection while much is on its way to them.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Conn } from '@ws/conn';
import { nodeHost, socketTransport } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { turn } from '../../src/index.ts';
import { expectNoSockets, nothingLeft, whenOver } from '../../src/peers/index.ts';
import { only, ROLES } from './victim.ts';
import { warm } from './warm.ts';

/** More than the buffers of both sockets take. */
const SIZE = 10 * 1024 * 1024;

/** Both ends of a new TCP connection. */
async function sockets(server: Server): Promise<readonly [Socket, Socket]> {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(near, 'connect');
  const [far] = await accepted;
  return [near, far];
}

describe('a reset while 10 MiB are written', () => {
  nothingLeft();

  it('rejects the write, is told once, and reaches nobody else', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(() => new Promise((resolve) => server.close(resolve)));
    const message = Buffer.alloc(SIZE, 'm');
    const uncaught: unknown[] = [];
    const note = (error: unknown): unknown => uncaught.push(error);
    process.on('uncaughtException', note).on('unhandledRejection', note);
    whenOver(() => process.off('uncaughtException', note).off('unhandledRejection', note));
    const attack = await warm(async (watch: Watch): Promise<Outcome> => {
      const writes = [];
      const settled = [];
      for (const role of ROLES) {
        // A peer that reads some of it, and one that reads nothing.
        for (const reads of [true, false]) {
          const [ours, theirs] = await sockets(server);
          theirs.on('error', () => {});
          const conn = new Conn(socketTransport(ours), { role, host: nodeHost, heartbeat: false });
          let times = 0;
          void conn.closed.then(() => times++);
          const received = conn.receive(() => {}).catch((error: unknown) => error);
          const large = conn.send(message).then(
            () => 'resolves',
            () => 'rejects',
          );
          const behind = conn.send('behind it').then(
            () => 'resolves',
            () => 'rejects',
          );
          await turn();
          expect(ours.writableLength).toBeGreaterThan(0);
          if (reads) await once(theirs, 'data');
          theirs.resetAndDestroy();
          writes.push(await large, await behind);
          const { code, wasClean } = await conn.closed;
          expect([code, wasClean]).toEqual([1006, false]);
          expect(await received).toBeInstanceOf(Error);
          const late = await conn.send('too late').catch((reason: unknown) => reason);
          expect(late).toBeInstanceOf(Error);
          // Whatever the socket still says is said now.
          for (let i = 0; i < 5; i++) await turn();
          settled.push(times);
          expect([conn.bufferedAmount, ours.destroyed]).toEqual([0, true]);
          await expectNoSockets();
        }
      }
      // A client masks a copy of its own.
      watch.sent(SIZE);
      return { write: only(writes), settles: only(settled), uncaught: uncaught.length };
    }, 2);
    await survives(101, attack);
  });
});
