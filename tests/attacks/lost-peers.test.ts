import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { sharedSlabPool } from '@ws/codec';
import { Conn } from '@ws/conn';
import { nodePlatform, socketTransport } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type RawPeer, rawClient, request, turn } from '../kit/index.ts';
import { expectNoSockets, nothingLeft, whenOver } from '../peers/index.ts';
import { atLeast, atMost, claim, lowestAtMost, survives } from './harness/index.ts';
import { frame, only, ROLES, type TargetConn, targetConn } from './target-conn.ts';
import {
  type Pace,
  SlowClient,
  sendRequest,
  targetServer,
  untilWholeReply,
} from './target-server.ts';

/** In ms. The server checks its connections four times in this time. */
const TIMEOUT = 100;

/** Returns the time in ms that a server gives a request head by default. */
async function defaultTimeout(): Promise<number | undefined> {
  let timeout: number | undefined;
  const target = await targetServer({
    authenticate: ({ socket }) => {
      timeout = (socket as { server?: { headersTimeout: number } }).server?.headersTimeout;
      return true;
    },
  });
  await sendRequest(undefined, target, {});
  return timeout;
}

describe('a peer', () => {
  nothingLeft();

  it.each<[string, string, Pace]>([
    ['its head one byte at a time', 'a request head sent one byte at a time', { ms: 10 }],
    ['nothing', 'a TCP connection that sends nothing', 'nothing'],
  ])('that sends %s is disconnected', async (_, attack, pace) => {
    const timeout = await defaultTimeout();
    const target = await targetServer({ handshakeTimeout: TIMEOUT });
    await survives(
      { attack, source: 'Slowloris, CWE-400' },
      {
        socket: 'destroyed',
        upgraded: 0,
        // The long test waits for this default.
        timeout: 10_000,
        // After the timeout, which is 100 ms here.
        lateMs: lowestAtMost(2_000),
      },
      async (watch) => {
        const client = await SlowClient.connect(target.port, pace);
        await turn();
        watch.weigh();
        const { ms, ...outcome } = await client.ended();
        return { ...outcome, timeout, lateMs: ms - TIMEOUT };
      },
    );
  });
});

const STEP = 100;
/** A heartbeat for clients. Servers have one by default. */
const BEATS = { interval: 20_000, timeout: 20_000 };

/**
 * The state of the connection when the peer disappears. The result runs on each step of the clock.
 */
const WAYS: Readonly<Record<string, (target: TargetConn) => (() => unknown) | undefined>> = {
  'an idle connection': () => undefined,
  'within a frame': ({ transport, role }) => {
    transport.feed(frame(role, 2, Buffer.alloc(1_000)).subarray(0, 500));
    return undefined;
  },
  'while we go on writing': ({ conn, transport }) => {
    return () => {
      void conn.send('are you there?');
      transport.takeSent();
    };
  },
  'with a socket that takes nothing any more': ({ conn, transport }) => {
    transport.block();
    void conn.send('in the way');
    return () => void conn.send('are you there?');
  },
};

it('a vanished peer is detected by the heartbeat, in any state', async () => {
  await survives(
    claim('a peer that vanishes', 'RFC 6455, 5.5.2'),
    {
      end: '1006 TimeoutError',
      // Timers have ticks of 64 ms, and two are between the last byte and the end. The test
      // counts steps of 100 ms.
      seconds: atMost(40.2),
      warmUps: 3,
    },
    async () => {
      let seconds = 0;
      const causes = new Set<string>();
      for (const role of ROLES) {
        for (const begin of Object.values(WAYS)) {
          const target = targetConn(role, { heartbeat: role === 'server' ? undefined : BEATS });
          const { conn, platform, transport } = target;
          const received = conn.receive(() => {}).catch((reason: unknown) => reason);
          await platform.settle();
          const each = begin(target);
          let ms = 0;
          for (; !transport.destroyed && ms < 120_000; ms += STEP) {
            each?.();
            await platform.advance(STEP);
          }
          seconds = Math.max(seconds, ms / 1_000);
          const { code, error } = await conn.closed;
          causes.add(`${code} ${(error as Error).name}`);
          expect(await received).toBeInstanceOf(Error);
          expect([platform.timers, conn.bufferedAmount]).toEqual([0, 0]);
          await target.end();
        }
      }
      return { end: [...causes].join(', '), seconds };
    },
  );
});

/** More bytes than the buffers of both sockets take. */
const SIZE = 10 * 1024 * 1024;

async function sockets(server: Server): Promise<readonly [Socket, Socket]> {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(near, 'connect');
  const [far] = await accepted;
  return [near, far];
}

describe('a reset while 10 MiB are written', () => {
  nothingLeft();

  it('rejects the write, closes once, and causes no uncaught error', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(() => new Promise((resolve) => server.close(resolve)));
    const message = Buffer.alloc(SIZE, 'm');
    const uncaught: unknown[] = [];
    const note = (error: unknown): unknown => uncaught.push(error);
    process.on('uncaughtException', note).on('unhandledRejection', note);
    whenOver(() => process.off('uncaughtException', note).off('unhandledRejection', note));
    const attack = claim('a TCP reset while 10 MiB are written', 'RFC 6455, 7.1.5');
    const bound = { write: 'rejects', settles: 1, uncaught: 0, warmUps: 2 };
    await survives(attack, bound, async (watch) => {
      const writes = [];
      const settled = [];
      for (const role of ROLES) {
        // One peer reads some of it, and one reads nothing.
        for (const reads of [true, false]) {
          const [ours, theirs] = await sockets(server);
          theirs.on('error', () => {});
          const conn = new Conn(socketTransport(ours), {
            role,
            platform: nodePlatform,
            heartbeat: false,
          });
          let times = 0;
          void conn.closed.then(() => times++);
          const received = conn.receive(() => {}).catch((error: unknown) => error);
          const sent = Promise.allSettled([conn.send(message), conn.send('behind it')]);
          await turn();
          expect(ours.writableLength).toBeGreaterThan(0);
          if (reads) await once(theirs, 'data');
          theirs.resetAndDestroy();
          writes.push(...(await sent).map(({ status }) => status.replace('rejected', 'rejects')));
          const { code, wasClean } = await conn.closed;
          expect([code, wasClean]).toEqual([1006, false]);
          expect(await received).toBeInstanceOf(Error);
          const late = await conn.send('too late').catch((reason: unknown) => reason);
          expect(late).toBeInstanceOf(Error);
          // The socket reports late errors in these turns.
          for (let i = 0; i < 5; i++) await turn();
          settled.push(times);
          expect([conn.bufferedAmount, ours.destroyed]).toEqual([0, true]);
          await expectNoSockets();
        }
      }
      // A client masks its own copy.
      watch.sent(SIZE);
      return { write: only(writes), settles: only(settled), uncaught: uncaught.length };
    });
  });
});

const SOCKETS = 1_000;
/** Further peers: half a head, or nothing. */
const OTHERS = 20;
const SHUTDOWN_TIMEOUT = 3_000;
const SHUTDOWN_STEP = 10;

describe('a server that shuts down', () => {
  nothingLeft();
  afterEach(() => void vi.useRealTimers());

  it('ends in time, although 1,000 peers never close', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const server = await serve({ host: '127.0.0.1' }, async (conn) => {
      await conn.receive(() => {});
    });
    whenOver(() => server.close());
    const port = Number(new URL(server.url).port);
    const peers: RawPeer[] = [];
    const open = async (bytes: Uint8Array | undefined): Promise<RawPeer> => {
      const peer = await rawClient(port);
      whenOver(() => peer.destroy());
      if (bytes !== undefined) peer.stream.write(bytes);
      return peer;
    };
    for (let i = 0; i < SOCKETS; i += 50) {
      const some = await Promise.all(Array.from({ length: 50 }, () => open(request())));
      await Promise.all(some.map(untilWholeReply));
      peers.push(...some);
    }
    for (let i = 0; i < OTHERS; i++) {
      peers.push(await open(i % 2 === 0 ? undefined : request().subarray(0, 30)));
    }
    while (server.connections.size < SOCKETS) await turn();
    // A one-time allocation of the process.
    sharedSlabPool().take(1).release();
    const over = Promise.all(peers.map(({ closed }) => closed));
    const attack = claim('1,000 peers that never close, during a shutdown', 'CWE-400');
    const bound = {
      shutdown: 'ends',
      told: atLeast(1000),
      late: atMost(100),
      left: 0,
      rounds: 1,
    };
    const { told } = await survives(attack, bound, async () => {
      let end = '';
      void server.close({ timeout: SHUTDOWN_TIMEOUT }).then(() => {
        end = 'ends';
      });
      let ms = 0;
      for (; end === '' && ms < 20_000; ms += SHUTDOWN_STEP) {
        for (let turns = 0; turns < 5; turns++) await turn();
        await vi.advanceTimersByTimeAsync(SHUTDOWN_STEP);
        // Due timers end connections now, over several turns.
        if (ms >= SHUTDOWN_TIMEOUT)
          for (let turns = 0; turns < 500 && end === ''; turns++) await turn();
      }
      for (const peer of peers) peer.destroy();
      await over;
      const told = peers.slice(0, SOCKETS).filter(({ received }) => {
        // An unmasked close frame with 1001 after the head.
        return received.includes(Buffer.of(0x88, 2, 0x03, 0xe9));
      });
      return {
        shutdown: end,
        late: ms - SHUTDOWN_TIMEOUT,
        told: told.length,
        left: server.connections.size,
      };
    });
    expect(told).toBe(SOCKETS);
  });
});
