import type { Conn } from '@ws/conn';

/** A way to answer each message with a message. */
export interface Answering {
  readonly says: string;
  /** Runs until the connection ends. */
  readonly run: (conn: Conn) => Promise<unknown>;
}

/** Small messages of one read: they fit one TLS record and one TCP segment of the loopback. */
export const MESSAGES = 60;

export function payloads(): Buffer[] {
  return Array.from({ length: MESSAGES }, (_, i) => Buffer.alloc(16 + i, `${i}, `));
}

/** Microtasks before the answer, such as a cache look-up. */
export async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

/** Every way of reading, with awaited and unawaited writes. */
export const answering: readonly Answering[] = [
  {
    says: 'receive, a handler that returns nothing',
    run: (conn) => conn.receive((message) => void conn.send(message)),
  },
  {
    says: 'receive, a handler that returns the promise of the write',
    run: (conn) => conn.receive((message) => conn.send(message)),
  },
  {
    says: 'receive, an async handler that awaits the write',
    run: (conn) =>
      conn.receive(async (message) => {
        await conn.send(message);
      }),
  },
  {
    says: 'receive, an async handler that awaits a microtask before it writes',
    run: (conn) =>
      conn.receive(async (message) => {
        await microtasks(3);
        await conn.send(message);
      }),
  },
  {
    says: 'for await, each write awaited',
    run: async (conn) => {
      for await (const { type, data } of conn) await conn.writeMessage(type, data);
    },
  },
  {
    says: 'for await, no write awaited',
    run: async (conn) => {
      for await (const { type, data } of conn) void conn.writeMessage(type, data);
    },
  },
  {
    says: 'readMessage in a loop',
    run: async (conn) => {
      for (;;) {
        const { type, data } = await conn.readMessage();
        await conn.writeMessage(type, data);
      }
    },
  },
  {
    says: 'readMessage in a loop, a microtask before each write',
    run: async (conn) => {
      for (;;) {
        const { type, data } = await conn.readMessage();
        await microtasks(3);
        await conn.writeMessage(type, data);
      }
    },
  },
  {
    says: 'nextReader and nextWriter in a loop',
    run: async (conn) => {
      for (;;) {
        const reader = await conn.nextReader();
        const writer = await conn.nextWriter(reader.type);
        await writer.write(await reader.bytes());
        await writer.close();
      }
    },
  },
];
