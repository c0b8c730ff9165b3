import { CloseError, type Conn, type MessageReader, type Role } from '@ws/conn';
import { pack } from '../compression/support.ts';
import { frame } from './target-conn.ts';

/** The shapes in which an attacker sends a message of `size` bytes: JSON text, `"aaa…"`. */
export const SHAPES = (
  [
    ['one big frame', 'many fragments', 'empty fragments', 'compressed'],
    ['compressed, in fragments', 'controls interleaved', 'claimed but not sent'],
  ] as const
).flat();
export type Shape = (typeof SHAPES)[number];

const RSV1 = 0x40;

/** Returns whether a shape needs permessage-deflate. */
export function isCompressed(shape: Shape): boolean {
  return shape.startsWith('compressed');
}

/** Returns the bytes of a message of `size` bytes in the given shape. */
export function shaped(shape: Shape, role: Role, size: number): Buffer {
  const payload = Buffer.alloc(size, 'a');
  payload[0] = payload[size - 1] = 0x22;
  if (shape === 'one big frame') return frame(role, 1, payload);
  if (shape === 'claimed but not sent') return frame(role, 1, '', { claims: size });
  if (shape === 'compressed') return frame(role, 1, pack(payload), { rsv: RSV1 });
  const wire = isCompressed(shape) ? pack(payload) : payload;
  const parts = 16;
  const frames: Buffer[] = [];
  for (let i = 0; i < parts; i++) {
    const piece = wire.subarray(
      Math.floor((i * wire.length) / parts),
      Math.floor(((i + 1) * wire.length) / parts),
    );
    const rsv = i === 0 && isCompressed(shape) ? RSV1 : 0;
    frames.push(frame(role, i === 0 ? 1 : 0, piece, { fin: i === parts - 1, rsv }));
    if (i === parts - 1) break;
    if (shape === 'empty fragments') {
      for (let j = 0; j < 50; j++) frames.push(frame(role, 0, '', { fin: false }));
    }
    if (shape === 'controls interleaved') frames.push(frame(role, 9, 'ping'), frame(role, 10));
  }
  return Buffer.concat(frames);
}

/** Reads until the connection ends and adds the size of each whole message. Rejects if it fails. */
export type WayOfReading = (conn: Conn, seen: number[]) => Promise<unknown>;

/** Reads one message as a stream. Returns the size of its text. */
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

function repeated(next: (conn: Conn) => Promise<number>): WayOfReading {
  return async (conn, seen) => {
    try {
      for (;;) seen.push(await next(conn));
    } catch (error) {
      if (!(error instanceof CloseError && error.closeCode === 1000)) throw error;
    }
  };
}

/** Every way to read messages of JSON text from a Conn. */
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
