import {
  BinaryMessage,
  Conn,
  PingMessage,
  type Platform,
  portablePlatform,
  type Role,
} from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import {
  FakePlatform,
  naiveDecode,
  naiveEncode,
  stoppedClock,
  TestTransport,
  turn,
} from '../kit/index.ts';
import { answering, MESSAGES, microtasks, payloads } from './answering.ts';

const ROLES = ['server', 'client'] as const;
const PLATFORMS = [
  { named: 'a test', platform: (): Platform => new FakePlatform() },
  { named: 'Node', platform: () => nodePlatform },
  { named: 'any runtime', platform: () => portablePlatform },
];

/** Counts the writes between `cork` and `uncork` as one, as a socket does. */
class CountingTransport extends TestTransport {
  joined = 0;

  override write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.corked === 0) this.joined++;
    return super.write(chunk, release);
  }

  override cork(): void {
    if (this.corked === 0) this.joined++;
    super.cork();
  }
}

function wired(
  role: Role,
  platform: Platform,
): {
  conn: Conn;
  transport: CountingTransport;
  feed: (
    frames: readonly (readonly [opcode: number, payload: Uint8Array, fin?: boolean])[],
  ) => void;
} {
  const transport = new CountingTransport();
  const mask = role === 'server' ? { mask: 0x01020304 } : {};
  return {
    conn: new Conn(transport, { role, platform, heartbeat: false }),
    transport,
    feed: (frames) => {
      transport.feed(
        Buffer.concat(
          frames.map(([opcode, payload, fin = true]) =>
            naiveEncode(opcode, payload, { ...mask, fin }),
          ),
        ),
      );
    },
  };
}

/** Waits for `frames` sent frames and some more turns. */
async function until(transport: TestTransport, role: Role, frames: number): Promise<void> {
  const sent = (): number =>
    naiveDecode(transport.sent, role === 'server' ? 'client' : 'server').frames.length;
  for (let i = 0; i < 1_000 && sent() < frames; i++) await turn();
  for (let i = 0; i < 3; i++) await turn();
  expect(sent()).toBe(frames);
}

describe.each(ROLES)('on a %s, with the platform of', (role) => {
  stoppedClock();

  describe.each(PLATFORMS)('$named, one write holds', ({ platform }) => {
    it.each(answering)('the answers to one chunk ($says)', async ({ run }) => {
      const { conn, transport, feed } = wired(role, platform());
      void run(conn).catch(() => {});
      await turn();
      feed(payloads().map((payload, i) => [1 + (i & 1), payload]));
      await until(transport, role, MESSAGES);
      expect(transport.joined).toBe(1);
      conn.terminate();
    });

    it.each(answering)(
      'the answers to a chunk of fragments and pings, and the pongs ($says)',
      async ({ run }) => {
        const { conn, transport, feed } = wired(role, platform());
        void run(conn).catch(() => {});
        await turn();
        feed(
          payloads().flatMap((payload) => [
            [BinaryMessage, payload.subarray(0, 5), false] as const,
            [PingMessage, payload.subarray(0, 3)] as const,
            [0, payload.subarray(5)] as const,
          ]),
        );
        await until(transport, role, 2 * MESSAGES);
        expect(transport.joined).toBe(1);
        conn.terminate();
      },
    );

    it.each([
      {
        says: 'one after another, none awaited',
        send: async (conn: Conn) => {
          for (const payload of payloads()) void conn.send(payload);
        },
      },
      {
        says: 'one after another, each awaited',
        send: async (conn: Conn) => {
          for (const payload of payloads()) await conn.send(payload);
        },
      },
      {
        says: 'by independent writers',
        send: async (conn: Conn) => {
          await Promise.all(
            payloads().map(async (payload, i) => {
              await microtasks(i % 7);
              await conn.send(payload);
            }),
          );
        },
      },
    ])('the messages of one turn $says', async ({ send }) => {
      const { conn, transport } = wired(role, platform());
      await send(conn);
      await until(transport, role, MESSAGES);
      expect(transport.joined).toBe(1);
      conn.terminate();
    });
  });
});
