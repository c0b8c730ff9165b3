import type { Socket } from 'node:net';
import { BackpressureError, type Conn } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, stoppedClock, turn } from '../kit/index.ts';
import { Random } from '../kit/random.ts';
import { type Connector, SOCKETS, type WithRaw } from './connector.ts';
import { waysOfReading } from './messages.ts';
import { pattern } from './pattern.ts';

const BINARY = 2;
const PING = 9;
const PONG = 10;
const KIB = 1024;
const MIB = 1024 * KIB;

/** Counts later calls of `socket.write`. */
function writesOf(conn: Conn): () => number {
  const socket = conn.underlyingConn as Socket;
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let count = 0;
  socket.write = (...args: unknown[]) => {
    count++;
    return write(...args);
  };
  return () => count;
}

/** Counts chunks that the socket reads later. */
function readsOf(conn: Conn): () => number {
  let count = 0;
  (conn.underlyingConn as Socket).prependListener('data', () => count++);
  return () => count;
}

/** Waits for a frame for each size, and checks that frame n has `sizes[n]` bytes of pattern n + 1. */
async function expectPatterns({ peer }: WithRaw, sizes: readonly number[]): Promise<void> {
  await peer.frame(sizes.length - 1);
  const data = peer.frames.filter(({ opcode }) => opcode === BINARY);
  const same = data.map(({ payload }, i) => payload.equals(pattern(sizes[i]!, i + 1)));
  expect(same).toEqual(sizes.map(() => true));
}

/** Behaviour that needs a socket: backpressure and the number of reads and writes. */
export function flowSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(`our ${connector.role} over %s`, (_, carrier) => {
    nothingLeft();

    it('makes writes wait at the high-water mark and rejects them at maxBufferedAmount', async () => {
      const maxBufferedAmount = 2 * MIB;
      const ours = await connector.raw(carrier, { maxBufferedAmount });
      const { conn, peer } = ours;
      peer.stream.pause();
      const sizes: number[] = [];
      const waiting: Promise<void>[] = [];
      let settled = 0;
      // Fills the kernel's buffers, then the queue of the connection.
      for (;;) {
        const size = 40 * KIB + sizes.length;
        const write = conn.send(pattern(size, sizes.length + 1));
        const refused = await Promise.race([
          write.then(
            () => undefined,
            (error: unknown) => error,
          ),
          turn(),
        ]);
        expect(conn.bufferedAmount).toBeLessThanOrEqual(maxBufferedAmount + 14);
        if (refused !== undefined) {
          expect(refused).toBeInstanceOf(BackpressureError);
          break;
        }
        sizes.push(size);
        waiting.push(write.then(() => void settled++));
      }
      expect(conn.bufferedAmount).toBeGreaterThan(maxBufferedAmount - 2 * 64 * KIB);
      // Nearly all queued writes are above the mark, so they wait.
      expect(sizes.length - settled).toBeGreaterThan(30);
      // A small write still has room. It is sent last.
      sizes.push(10);
      waiting.push(conn.send(pattern(10, sizes.length)));
      peer.stream.resume();
      await Promise.all(waiting);
      await expectPatterns(ours, sizes);
      expect(conn.bufferedAmount).toBe(0);
      // The connection works as before.
      sizes.push(70_000);
      await conn.send(pattern(70_000, sizes.length));
      await expectPatterns(ours, sizes);
    });

    it('slows a loop of awaited writes to the speed of the peer', async () => {
      const ours = await connector.raw(carrier);
      const { conn, peer } = ours;
      const sizes = Array.from({ length: 300 }, (_, i) => (i % 7 === 0 ? 100_000 : 30_000) + i);
      let most = 0;
      const writing = (async () => {
        for (const [i, size] of sizes.entries()) {
          await conn.send(pattern(size, i + 1));
          most = Math.max(most, conn.bufferedAmount);
        }
      })();
      // The peer reads a little at a time.
      for (let reading = true; reading; ) {
        peer.stream.pause();
        await turn();
        peer.stream.resume();
        reading = await Promise.race([writing.then(() => false), turn().then(() => true)]);
      }
      await expectPatterns(ours, sizes);
      // The high-water mark plus one write.
      expect(most).toBeLessThan(64 * KIB + 64 * KIB + 100_000 + 1_000);
    });

    it('stops the peer while no read is pending, then reads all messages', async () => {
      const { conn, ws } = await connector.ws(carrier);
      const payloads = Array.from({ length: 16 }, (_, i) => pattern(60_000 + i, i + 1));
      const count = 640;
      for (let i = 0; i < count; i++) ws.send(payloads[i % 16]!);
      while (!(conn.underlyingConn as Socket).isPaused()) await turn();
      const paused = conn.stats.bytesIn;
      for (let i = 0; i < 50; i++) await turn();
      // The read-ahead plus chunks in flight.
      expect(paused).toBeLessThan(64 * KIB + 4 * 64 * KIB);
      expect(conn.stats.bytesIn).toBe(paused);
      // Of nearly 40 MB, the kernel holds a part and the peer holds the rest.
      expect(ws.bufferedAmount).toBeGreaterThan(8 * MIB);
      for (let i = 0; i < count; i++) {
        const { data } = await conn.readMessage();
        if (!payloads[i % 16]!.equals(data)) expect.fail(`message ${i} differs`);
      }
      expect(ws.bufferedAmount).toBe(0);
    });

    it('reads ahead up to readAhead while a handler runs', async () => {
      const { conn, ws } = await connector.ws(carrier, { readAhead: 16 * KIB });
      const count = 2_000;
      let handled = 0;
      let busy = 0;
      const finished = new Promise<void>((resolve, reject) => {
        const reading = conn.receive(async (message) => {
          busy++;
          expect(busy).toBe(1);
          expect(message.text()).toBe(`${handled}${'.'.repeat(handled % 900)}`);
          if (handled === 0) {
            while (!(conn.underlyingConn as Socket).isPaused()) await turn();
            expect(conn.stats.messagesIn).toBeLessThan(200);
          }
          if (handled % 50 === 0) await turn();
          busy--;
          if (++handled === count) resolve();
        });
        reading.catch(reject);
      });
      for (let i = 0; i < count; i++) ws.send(`${i}${'.'.repeat(i % 900)}`);
      await finished;
    });

    describe('with a clock that stands still,', () => {
      stoppedClock();

      it.each([
        ...waysOfReading.map(([name]) => [name, name] as const),
        ['receive, awaited', 'awaited'] as const,
      ])('answers all messages of one chunk with one write, by %s', async (_, way) => {
        const { conn, peer } = await connector.raw(carrier);
        const answer = async (): Promise<void> => {
          if (way === 'readMessage') for (;;) void conn.send((await conn.readMessage()).data);
          else if (way === 'for await')
            for await (const message of conn) void conn.send(message.data);
          else if (way === 'receive') await conn.receive((message) => void conn.send(message));
          else await conn.receive((message) => conn.send(message));
        };
        answer().catch(() => {});
        const writes = writesOf(conn);
        const reads = readsOf(conn);
        const frames = Array.from({ length: 200 }, (_, i) => peer.encode(BINARY, `message ${i}`));
        frames.splice(100, 0, peer.encode(PING, 'between'));
        await peer.write(Buffer.concat(frames));
        await peer.frame(200);
        const payloads = peer.frames.map(({ payload }) => payload.toString());
        const pong = peer.frames.findIndex(({ opcode }) => opcode === PONG);
        expect(payloads.splice(pong, 1)).toEqual(['between']);
        expect(payloads).toEqual(payloads.map((_, i) => `message ${i}`));
        expect(reads()).toBe(1);
        expect(writes()).toBe(1);
      });

      it('sends all messages of one turn with one write', async () => {
        const { conn, peer } = await connector.raw(carrier);
        const writes = writesOf(conn);
        for (let i = 0; i < 100; i++) {
          void conn.send(`message ${i}`);
          if (i % 10 === 0) await Promise.resolve();
        }
        await peer.frame(99);
        expect(writes()).toBe(1);
      });
    });

    it.each([
      ['message', false],
      ['bytes', true],
    ])('echoes a borrowed %s without awaiting, unchanged by the pool', async (_, bytes) => {
      const settings = { maxBufferedAmount: false, readLimit: 2 * MIB } as const;
      const sizes = [64 * KIB + 1, MIB, 65_535, 64 * KIB + 1, 1, MIB, 200_000, 126];
      // Three connections share a buffer pool.
      const connections = await Promise.all([1, 2, 3].map(() => connector.raw(carrier, settings)));
      const random = new Random(7);
      await Promise.all(
        connections.map(async ({ conn, peer }, at) => {
          conn
            .receive((message) => void conn.send(bytes ? message.borrow() : message))
            .catch(() => {});
          const seed = (i: number): number => 1 + at * 1_000 + i;
          for (let i = 0; i < 3 * sizes.length; i++) {
            // While the peer does not read, our writes wait and messages of the other connections arrive.
            if (random.below(3) === 0) peer.stream.pause();
            const frame = peer.encode(BINARY, pattern(sizes[i % sizes.length]!, seed(i)));
            await Promise.race([peer.write(frame), turn()]);
            if (random.below(3) === 0) peer.stream.resume();
          }
          peer.stream.resume();
          await peer.frame(3 * sizes.length - 1);
          const same = peer.frames.map(({ payload }, i) => {
            return payload.equals(pattern(sizes[i % sizes.length]!, seed(i)));
          });
          expect(same).toEqual(same.map(() => true));
        }),
      );
    });
  });
}
