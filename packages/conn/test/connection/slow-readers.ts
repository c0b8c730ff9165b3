// A reader that is slow, at each way of reading and each way to end: it gets all messages, or an error.
import type { Role } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { type Conn, isCloseError, joinMessages } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);
export const SIZE = 1_000;
export const ALL = 40;

/** Reads to the end, calls `pause` after each piece. Adds the bytes to `got`. */
type Read = (conn: Conn, got: { bytes: number }, pause: () => Promise<void>) => Promise<unknown>;

export const WAYS: Readonly<Record<string, Read>> = {
  receive: (conn, got, pause) =>
    conn.receive((message) => {
      got.bytes += message.data.length;
      return pause();
    }),
  async 'for await'(conn, got, pause) {
    for await (const message of conn) {
      got.bytes += message.data.length;
      await pause();
    }
  },
  async readMessage(conn, got, pause) {
    for (;;) {
      got.bytes += (await conn.readMessage()).data.length;
      await pause();
    }
  },
  async nextReader(conn, got, pause) {
    for (;;) {
      const reader = await conn.nextReader();
      for await (const bytes of reader) {
        got.bytes += bytes.length;
        await pause();
      }
    }
  },
  async joinMessages(conn, got, pause) {
    for await (const bytes of joinMessages(conn)) {
      got.bytes += bytes.length;
      await pause();
    }
  },
  async toStreams(conn, got, pause) {
    await conn.toStreams().readable.pipeTo(
      new WritableStream({
        async write(data) {
          got.bytes += data.length;
          await pause();
        },
      }),
    );
  },
};

/** How the connection ends while the reader is slow. */
export const ENDS: Readonly<Record<string, (test: Wired) => void>> = {
  'we close': ({ conn, transport, frame }) => {
    void conn.close();
    flood(transport, frame);
    answer(transport, frame);
  },
  'we close with a timeout': ({ conn, transport, frame }) => {
    void conn.close(1000, '', { timeout: 2_000 });
    flood(transport, frame);
    answer(transport, frame);
  },
  'we send a close frame': ({ conn, transport, frame }) => {
    void conn.writeControl(8, CLOSE_1000);
    flood(transport, frame);
    answer(transport, frame);
  },
  'the peer closes': ({ transport, frame }) => {
    flood(transport, frame);
    answer(transport, frame);
  },
  'both close': ({ conn, transport, frame }) => {
    flood(transport, frame);
    void conn.close();
    answer(transport, frame);
  },
  'the peer closes and is gone': ({ transport, frame }) => {
    flood(transport, frame);
    transport.feed(frame(8, CLOSE_1000));
    transport.break();
  },
  'the peer ends its stream': ({ transport, frame }) => {
    flood(transport, frame);
    transport.feedEnd();
  },
  'the connection breaks': ({ transport, frame }) => {
    flood(transport, frame);
    transport.break(new Error('reset'));
  },
};

/** Whether the peer sends one message in fragments. */
let isOne = false;

export function flood(transport: Wired['transport'], frame: Wired['frame']): void {
  for (let i = 0; i < ALL; i++) {
    const options = isOne ? { fin: i === ALL - 1 } : {};
    transport.feed(frame(isOne && i > 0 ? 0 : 2, new Uint8Array(SIZE), options));
  }
}

export function answer(transport: Wired['transport'], frame: Wired['frame']): void {
  transport.feed(frame(8, CLOSE_1000));
  transport.feedEnd();
}

export const isNormal = (error: unknown): boolean => isCloseError(error, 1000, 1001, 1005);

/** @param pauses - How long the reader works, in ms. */
export function testSlowReaders(role: Role, pauses: readonly number[]): void {
  describe.each(Object.entries(WAYS))(`the reader of a ${role} by %s`, (_way, read) => {
    describe.each(Object.entries(ENDS))('when %s', (_end, ends) => {
      it.each(
        pauses.flatMap((ms) =>
          ['its first piece', 'each piece'].flatMap((which) => [
            [ms, which, 'many messages'] as const,
            [ms, which, 'one large message'] as const,
          ]),
        ),
      )('gets all or an error, with %i ms for %s of %s', async (ms, which, sends) => {
        isOne = sends === 'one large message';
        const test = wired(role, { readAhead: 3_000, report: () => {} });
        const { conn, platform } = test;
        const got = { bytes: 0 };
        let count = 0;
        const pause = (): Promise<void> => {
          const waits = ms > 0 && (which === 'each piece' || count++ === 0);
          return waits
            ? new Promise((done) => void platform.setTimer(ms, done))
            : Promise.resolve();
        };
        const end = read(conn, got, pause).then(
          () => undefined,
          (error: unknown) => error,
        );
        await platform.settle();
        ends(test);
        isOne = false;
        await platform.advance(20_000);
        await platform.advance(ALL * ms);
        const error = await end;
        // `readMessage`, `nextReader` and `joinMessages` reject at a normal end too.
        const isWhole = error === undefined || isNormal(error);
        if (isWhole) expect(got.bytes).toBe(ALL * SIZE);
        else expect(error).toBeInstanceOf(Error);
        if (conn.stats.messagesDropped > 0) expect(isWhole).toBe(false);
      });
    });
  });
}
