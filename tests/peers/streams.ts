import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  BinaryMessage,
  type Conn,
  type MessageReader,
  type MessageWriter,
  TextMessage,
} from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, turn } from '../kit/index.ts';
import { Random } from '../kit/random.ts';
import { type Connector, SOCKETS } from './connector.ts';
import { everySize, expectSame, readWs, type Sent } from './messages.ts';
import { pattern, patternText } from './pattern.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every way to read a {@link MessageReader} to its end. */
export const waysOfDraining: readonly (readonly [
  string,
  (reader: MessageReader) => Promise<Uint8Array>,
])[] = Object.entries<(reader: MessageReader) => Promise<Uint8Array>>({
  read: async (reader) => {
    const all: Buffer[] = [];
    const random = new Random(3);
    for (;;) {
      const into = Buffer.alloc(1 + random.below(random.below(2) === 0 ? 100_000 : 3_000));
      const n = await reader.read(into);
      if (n === 0) return Buffer.concat(all);
      all.push(into.subarray(0, n));
    }
  },
  iteration: async (reader) => {
    const all: Uint8Array[] = [];
    for await (const piece of reader) all.push(piece);
    return Buffer.concat(all);
  },
  readable: async (reader) => {
    const all: Uint8Array[] = [];
    const stream = reader.readable();
    for await (const piece of stream) all.push(piece);
    return Buffer.concat(all);
  },
  bytes: (reader) => reader.bytes(),
  text: async (reader) => {
    if (reader.type === TextMessage) return Buffer.from(await reader.text());
    return reader.bytes();
  },
});

/** Every way to write a message by a {@link MessageWriter}, and to close it. */
const waysOfFilling: readonly (readonly [
  string,
  (writer: MessageWriter, message: Sent) => Promise<void>,
])[] = Object.entries<(writer: MessageWriter, message: Sent) => Promise<void>>({
  'writes that are awaited': async (writer, message) => {
    for (const piece of cut(message)) await writer.write(piece);
    await writer.close();
  },
  'writes that are not awaited': async (writer, message) => {
    for (const piece of cut(message)) void writer.write(piece);
    await writer.close();
  },
  'one write': (writer, message) => writer.write(message).then(() => writer.close()),
  pipeTo: async (writer, message) => {
    const source = Readable.toWeb(Readable.from(cut(message)));
    await source.pipeTo(writer.writable());
  },
  pipeline: async (writer, message) => {
    await pipeline(Readable.from(cut(message)), Writable.fromWeb(writer.writable()));
  },
});

/** Splits `message` into pieces of many sizes, never within a surrogate pair. */
function* cut(message: Sent): Generator<Sent> {
  const random = new Random(message.length);
  for (let at = 0; at < message.length; ) {
    let end = at + 1 + random.below([10, 4_096, 70_000][random.below(3)]!);
    if (typeof message === 'string') {
      if (message.codePointAt(end - 1)! > 0xffff) end++;
      yield message.slice(at, end);
    } else {
      yield message.subarray(at, end);
    }
    at = end;
  }
}

function sizesUpTo(most: number): Sent[] {
  return everySize().filter((message) => Buffer.byteLength(message) <= most);
}

/** Echoes messages while they arrive. */
async function echoStreams(conn: Conn): Promise<never> {
  for (;;) {
    const reader = await conn.nextReader();
    const writer = await conn.nextWriter(reader.type);
    await reader.readable().pipeTo(writer.writable());
  }
}

/** Streamed messages in both directions with `ws`, which handles complete messages only. */
export function streamSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(`streams of our ${connector.role} with ws over %s`, (_, carrier) => {
    nothingLeft();

    it.each(waysOfDraining)('read every size, by %s', async (_, drain) => {
      const { conn, ws } = await connector.ws(carrier, { readLimit: 1 << 24 });
      const sent = everySize();
      for (const message of sent) ws.send(message);
      for (const message of sent) {
        const reader = await conn.nextReader();
        expectSame(message, reader.type, await drain(reader));
      }
      expect(conn.stats.messagesIn).toBe(sent.length);
    });

    it.each(waysOfDraining)('read fragments with pings between them, by %s', async (_, drain) => {
      const { conn, ws } = await connector.ws(carrier);
      const whole = Buffer.from(patternText(70_000));
      // Splits within characters.
      const pieces = [0, 8, 11, 11, 4_000, 4_001, 69_999, 70_000];
      let pongs = 0;
      ws.on('pong', () => pongs++);
      for (const [i, end] of pieces.entries()) {
        const piece = whole.subarray(pieces[i - 1] ?? 0, end);
        ws.send(piece, { binary: false, fin: end === whole.length });
        ws.ping();
      }
      ws.send('last');
      const reader = await conn.nextReader();
      expectSame(whole.toString(), reader.type, await drain(reader));
      expect((await conn.readMessage()).text()).toBe('last');
      while (pongs < pieces.length) await once(ws, 'pong');
    });

    it.each(waysOfFilling)('write every size, by %s', async (_, fill) => {
      const { conn, ws } = await connector.ws(carrier);
      const sent = sizesUpTo(MIB);
      let at = 0;
      const reading = readWs(ws, sent.length, (type, bytes) => {
        expectSame(sent[at++]!, type, bytes);
      });
      for (const message of sent) {
        const type = typeof message === 'string' ? TextMessage : BinaryMessage;
        await fill(await conn.nextWriter(type), message);
      }
      await reading;
      expect(at).toBe(sent.length);
      expect(conn.stats.messagesOut).toBe(sent.length);
    });

    it.each([
      ['the default', 4_096],
      ['100', 100],
      ['64 KiB', 64 * KIB],
      ['100,000', 100_000],
    ])('write in fragments of writeBufferSize: %s', async (_, writeBufferSize) => {
      const { conn, peer } = await connector.raw(carrier, { writeBufferSize });
      const size = 5 * writeBufferSize + 1;
      const bytes = pattern(size);
      const writer = await conn.nextWriter(BinaryMessage);
      for (const piece of cut(bytes)) await writer.write(piece);
      void conn.ping('between');
      await writer.close();
      await peer.until(() => peer.frames.some(({ opcode, fin }) => opcode === 0 && fin));
      const data = peer.frames.filter(({ opcode }) => opcode !== 9);
      expect(data.map(({ opcode, fin }) => [opcode, fin])).toEqual(
        data.map((_, i) => [i === 0 ? 2 : 0, i === 5]),
      );
      expect(data.map(({ payload }) => payload.length)).toEqual([
        ...Array.from({ length: 5 }, () => writeBufferSize),
        1,
      ]);
      expect(Buffer.concat(data.map(({ payload }) => payload)).equals(bytes)).toBe(true);
      expect(peer.frames.length).toBe(7);
    });

    it('echo with backpressure at both ends', async () => {
      const { conn, ws } = await connector.ws(carrier, { readLimit: false });
      echoStreams(conn).catch(() => {});
      const sent = pattern(48 * MIB);
      // ws does not read: our writes fill the kernel, then our queue, then we stop reading.
      ws.pause();
      ws.send(sent);
      let before = -1;
      for (let same = 0; same < 50; same = conn.stats.bytesIn === before ? same + 1 : 0) {
        before = conn.stats.bytesIn;
        await turn();
      }
      expect(conn.bufferedAmount).toBeLessThan(512 * KIB);
      const standing = conn.stats.bytesIn - conn.stats.bytesOut;
      expect(standing).toBeLessThan(512 * KIB);
      expect(ws.bufferedAmount).toBeGreaterThan(8 * MIB);
      ws.resume();
      const [back] = (await once(ws, 'message')) as [Buffer];
      expect(back.equals(sent)).toBe(true);
    });

    it('let timers fire in a loop of awaited writes', async () => {
      const { conn, ws } = await connector.ws(carrier);
      ws.on('message', () => {});
      const writer = await conn.nextWriter(BinaryMessage);
      let fired = false;
      setTimeout(() => {
        fired = true;
      }, 1);
      const piece = pattern(1_000);
      while (!fired) await writer.write(piece);
      fired = false;
      setTimeout(() => {
        fired = true;
      }, 1);
      await writer.close();
      while (!fired) await conn.send('x');
    });
  });
}
