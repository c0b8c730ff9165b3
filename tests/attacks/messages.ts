import { CloseError, type Conn, type MessageReader } from '@ws/conn';

/** Reads until the connection ends; notes the size of every message it got whole. Rejects with what ended it badly. */
export type WayOfReading = (conn: Conn, seen: number[]) => Promise<unknown>;

/** A message read as a stream, as whole text: what a reader gives is that or nothing. */
type WayOfDraining = (reader: MessageReader) => Promise<number>;

const draining: readonly (readonly [name: string, way: WayOfDraining])[] = [
  ['bytes', async (reader) => (await reader.bytes()).length],
  ['text', async (reader) => (await reader.text()).length],
  ['json', async (reader) => JSON.stringify(await reader.json()).length],
  [
    'read',
    async (reader) => {
      const into = new Uint8Array(1_000);
      let size = 0;
      for (let n = await reader.read(into); n > 0; n = await reader.read(into)) size += n;
      return size;
    },
  ],
  [
    'for await of a reader',
    async (reader) => {
      let size = 0;
      for await (const piece of reader) size += piece.length;
      return size;
    },
  ],
  [
    'a web stream',
    async (reader) => {
      let size = 0;
      for await (const piece of reader.readable()) size += piece.length;
      return size;
    },
  ],
];

/** One message after the other. */
function repeated(next: (conn: Conn) => Promise<number>): WayOfReading {
  return async (conn, seen) => {
    try {
      for (;;) seen.push(await next(conn));
    } catch (error) {
      if (!(error instanceof CloseError && error.closeCode === 1000)) throw error;
    }
  };
}

/** Every way in which a Conn gives messages of JSON text. */
export const waysOfReading: readonly (readonly [name: string, way: WayOfReading])[] = [
  ['readMessage', repeated(async (conn) => (await conn.readMessage()).data.length)],
  ['readJSON', repeated(async (conn) => JSON.stringify(await conn.readJSON()).length)],
  [
    'for await',
    async (conn, seen) => {
      for await (const { data } of conn) seen.push(data.length);
    },
  ],
  ['receive', (conn, seen) => conn.receive(({ length }) => void seen.push(length))],
  ...draining.map(
    ([name, drain]) =>
      [`nextReader, ${name}`, repeated(async (conn) => drain(await conn.nextReader()))] as const,
  ),
  ['discardReads', (conn) => conn.discardReads()],
];
