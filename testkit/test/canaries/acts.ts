import { deflateRawSync } from 'node:zlib';
import {
  BinaryMessage,
  broadcast,
  CloseMessage,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import type { Random } from '../../src/index.ts';
import { FOREIGN, open } from './alphabet.ts';
import { type Subject, typeOf } from './subject.ts';

/** Something that a connection does, or that is done to it. */
export interface Act {
  readonly says: string;
  /** How often, next to the others. */
  readonly weight: number;
  readonly run: (subject: Subject, random: Random, all: readonly Subject[]) => unknown;
}

const FIN = true;
const RSV1 = 0x40;
const PAST = 1;
/** The types are those of a library from before it. */
const Resizable = ArrayBuffer as unknown as new (
  size: number,
  options: { readonly maxByteLength: number },
) => ArrayBuffer & { resize(size: number): void };

/** A write that may be refused: its connection may be at its end. */
function quietly(...writes: Promise<unknown>[]): void {
  for (const write of writes) write.catch(() => {});
}

function times(count: number, run: (i: number) => void): void {
  for (let i = 0; i < count; i++) run(i);
}

/** What goes on, and leaves the connection as it is. */
export const ACTS: readonly Act[] = [
  {
    says: 'short messages, many of them empty',
    weight: 80,
    run({ conn, ...subject }, random) {
      const at = random.below(200_000);
      times(120, (i) => {
        const size = (i * 7) % 23;
        const start = at + i;
        const { text, bytes } = subject.sends;
        if ((i & 1) === 0) void conn.send(text.slice(start, start + size));
        else void conn.send(bytes.subarray(start, start + size));
      });
    },
  },
  {
    says: 'messages of all lengths of a header',
    weight: 10,
    run(subject, random) {
      for (const size of [124, 125, 126, 127, random.below(4_000), random.below(20_000)]) {
        quietly(subject.conn.send(subject.text(random, size)));
        quietly(subject.conn.send(subject.bytes(random, size)));
      }
    },
  },
  {
    says: 'large messages, around what is referenced',
    weight: 1,
    run(subject, random) {
      for (const size of [65_535, 65_536, 65_537, 70_000 + random.below(130_000)]) {
        if (random.once(2)) quietly(subject.conn.send(subject.text(random, size)));
        else quietly(subject.conn.send(subject.bytes(random, size)));
      }
    },
  },
  {
    says: 'pings and pongs',
    weight: 6,
    run(subject, random) {
      const { conn } = subject;
      times(6, () => {
        quietly(conn.ping(), conn.ping(subject.text(random, random.below(126))));
        quietly(conn.writeControl(PongMessage, subject.bytes(random, random.below(126))));
      });
      subject.feed(PongMessage, subject.given(random, 20));
    },
  },
  {
    says: 'pings of the peer',
    weight: 6,
    run: (subject, random) =>
      times(10, () => subject.feed(PingMessage, subject.given(random, random.below(126)))),
  },
  {
    says: 'messages of the peer, whole and in fragments',
    weight: 12,
    run(subject, random) {
      times(60, () => subject.feed(typeOf(random), subject.given(random, random.below(60))));
      subject.feed(typeOf(random), subject.given(random, random.below(9_000)));
      subject.feed(BinaryMessage, subject.given(random, random.below(3_000)), !FIN);
      subject.feed(PingMessage, subject.given(random, 9));
      subject.feed(0, subject.given(random, random.below(3_000)), FIN);
      if (random.once(8)) subject.feed(TextMessage, subject.given(random, 90_000));
    },
  },
  {
    says: 'compressed messages of the peer',
    weight: 2,
    run(subject, random) {
      if (!subject.compresses) return;
      for (const size of [random.below(300), random.below(9_000), random.below(90_000)]) {
        const packed = deflateRawSync(subject.given(random, size), { finishFlush: 2 });
        subject.feed(BinaryMessage, packed.subarray(0, -4), FIN, RSV1);
      }
    },
  },
  {
    says: 'compressed messages',
    weight: 4,
    run(subject, random) {
      if (!subject.compresses) return;
      const options = { compress: true };
      for (const size of [0, random.below(40), random.below(900), random.below(40_000)]) {
        quietly(subject.conn.send(subject.text(random, size), options));
        quietly(subject.conn.send(subject.bytes(random, size), options));
      }
    },
  },
  {
    says: 'JSON',
    weight: 4,
    run(subject, random) {
      times(10, () => {
        quietly(subject.conn.writeJSON(subject.text(random, random.below(100))));
      });
    },
  },
  {
    says: 'prepared messages',
    weight: 3,
    run(subject, random) {
      const { conn } = subject;
      for (const size of [0, 10, 3_000]) {
        const message = new PreparedMessage(typeOf(random), subject.bytes(random, size));
        times(3, () => quietly(conn.writePreparedMessage(message)));
      }
      const ping = new PreparedMessage(PingMessage, subject.text(random, 30));
      quietly(conn.writePreparedMessage(ping));
    },
  },
  {
    says: 'broadcasts',
    weight: 3,
    run(_subject, random, all) {
      const conns = all.map(({ conn }) => conn);
      times(4, () => {
        const at = random.below(1_000);
        broadcast(conns, open.text.slice(at, at + random.below(200)));
      });
      broadcast(conns, FOREIGN);
      broadcast(conns, new PreparedMessage(BinaryMessage, open.bytes.subarray(0, 5_000)));
    },
  },
  {
    says: 'text of more than a byte a character',
    weight: 2,
    run(subject) {
      quietly(subject.conn.send(FOREIGN), subject.conn.send(FOREIGN.repeat(20)));
    },
  },
  {
    says: 'a message as a stream',
    weight: 3,
    async run(subject, random) {
      const compress = subject.compresses && random.once(2);
      const writer = await subject.conn.nextWriter(typeOf(random), { compress });
      times(4, (i) => {
        if (i === 2) quietly(writer.write(subject.text(random, random.below(9_000))));
        else quietly(writer.write(subject.bytes(random, random.below(2_000))));
      });
      await writer.close();
    },
  },
  {
    says: 'writers that are aborted with nothing sent',
    weight: 3,
    async run(subject, random) {
      for (let i = 0; i < 3; i++) {
        const writer = await subject.conn.nextWriter(typeOf(random));
        quietly(writer.write(subject.bytes(random, random.below(4_000))));
        writer.abort();
        quietly(subject.conn.send(subject.text(random, 5)));
      }
    },
  },
  {
    says: 'calls that are refused',
    weight: 4,
    run(subject, random) {
      const { conn } = subject;
      for (const bad of [5, null, undefined, {}, [], 1n, true, new Map()]) {
        quietly(conn.send(bad as never), conn.writeMessage(TextMessage, bad as never));
      }
      quietly(conn.writeMessage(3, subject.bytes(random, 20)), conn.nextWriter(11));
      quietly(
        conn.writeJSON(() => {}),
        conn.writeJSON(10n),
      );
      quietly(conn.ping(subject.bytes(random, 126)));
      quietly(conn.writeControl(CloseMessage, subject.bytes(random, 1)));
      quietly(conn.writeControl(PongMessage, subject.bytes(random, 9), PAST));
      quietly(conn.send(subject.bytes(random, 9), { signal: AbortSignal.abort() }));
      quietly(conn.send(subject.text(random, 7)));
    },
  },
  {
    says: 'arrays that are resized, shared or given away',
    weight: 2,
    run(subject, random) {
      const { conn } = subject;
      const gone = Uint8Array.from(subject.bytes(random, 500));
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      quietly(conn.send(gone));
      for (const size of [100, 80_000]) {
        const buffer = new Resizable(size, { maxByteLength: size });
        const bytes = new Uint8Array(buffer);
        bytes.set(subject.bytes(random, size));
        quietly(conn.send(bytes));
        buffer.resize(10);
        quietly(conn.send(bytes));
        const shared = new Uint8Array(new SharedArrayBuffer(size));
        shared.set(subject.bytes(random, size));
        quietly(conn.send(shared));
        shared.fill(0);
      }
    },
  },
  {
    says: 'a socket that takes nothing for a while',
    weight: 4,
    run(subject, random) {
      const { conn, wire } = subject;
      wire.holds = true;
      quietly(conn.send(subject.bytes(random, 80_000)), conn.send(subject.text(random, 30)));
      setImmediate(() => {
        quietly(conn.send(subject.text(random, 300)), conn.ping(subject.bytes(random, 9)));
        setImmediate(() => {
          wire.holds = false;
        });
      });
    },
  },
];

/** The ways in which a connection ends, by either side's fault or nobody's. */
export const ENDS: readonly Act[] = [
  {
    says: 'RSV bits',
    weight: 1,
    run: (subject, random) => subject.feed(2, subject.given(random, 9), FIN, 0x20),
  },
  {
    says: 'an unknown opcode',
    weight: 1,
    run: (subject, random) => subject.feed(5, subject.given(random, 9)),
  },
  {
    says: 'a fragment of nothing',
    weight: 1,
    run: (subject, random) => subject.feed(0, subject.given(random, 9)),
  },
  {
    says: 'a wrong mask',
    weight: 1,
    run: (subject) =>
      subject.wire.feed(Uint8Array.of(0x82, subject.role === 'server' ? 3 : 0x83, 1, 2, 3)),
  },
  {
    says: 'a text that is none',
    weight: 1,
    run: (subject) => subject.feed(TextMessage, Uint8Array.of(0x41, 0xc0, 0x80)),
  },
  {
    says: 'a message that is too long',
    weight: 1,
    run: (subject, random) => subject.feed(BinaryMessage, subject.given(random, 250_000)),
  },
  {
    says: 'a compressed message that is none',
    weight: 1,
    run: (subject) => subject.feed(BinaryMessage, Uint8Array.of(0xff, 0xff, 0xff, 1), FIN, RSV1),
  },
  {
    says: 'a close frame of one byte',
    weight: 1,
    run: (subject, random) => subject.feed(CloseMessage, subject.given(random, 1)),
  },
  {
    says: 'the peer closes, with a reason',
    weight: 1,
    run(subject, random) {
      const reason = Buffer.from(subject.given(random, 60)).toString();
      subject.feed(CloseMessage, formatCloseMessage(4001, reason));
    },
  },
  {
    says: 'close, with a reason',
    weight: 2,
    run: (subject, random) =>
      quietly(subject.conn.close(4000, subject.text(random, random.below(124)))),
  },
  { says: 'close, without one', weight: 1, run: (subject) => quietly(subject.conn.close()) },
  { says: 'terminate', weight: 1, run: (subject) => subject.conn.terminate() },
  {
    says: 'a read deadline that is past',
    weight: 1,
    run: (subject) => subject.conn.setReadDeadline(PAST),
  },
  {
    says: 'a write deadline that strikes while bytes wait',
    weight: 1,
    run(subject, random) {
      subject.wire.holds = true;
      quietly(subject.conn.send(subject.bytes(random, 90_000)));
      setImmediate(() => {
        quietly(subject.conn.send(subject.text(random, 3_000)));
        subject.conn.setWriteDeadline(PAST);
        quietly(subject.conn.send(subject.text(random, 3_000)));
      });
    },
  },
  {
    says: 'a writer that is aborted with a part sent',
    weight: 2,
    async run(subject, random) {
      const writer = await subject.conn.nextWriter(BinaryMessage);
      quietly(writer.write(subject.bytes(random, 9_000)));
      writer.abort(new Error(subject.text(random, 12)));
    },
  },
  {
    says: 'bytes that are given away while they wait',
    weight: 1,
    run(subject, random) {
      const bytes = Uint8Array.from(subject.bytes(random, 90_000));
      quietly(subject.conn.send(bytes));
      if (subject.role === 'server' && !subject.compresses) {
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      }
    },
  },
  {
    says: 'a socket that breaks with bytes that it has not sent',
    weight: 1,
    run(subject, random) {
      subject.wire.holds = true;
      quietly(subject.conn.send(subject.bytes(random, 90_000)), subject.conn.ping());
      setImmediate(() => subject.wire.destroy(new Error('reset')));
    },
  },
  {
    says: 'a handler that throws',
    weight: 1,
    run(subject, random) {
      subject.conn.setPingHandler(() => {
        throw new Error(subject.text(random, 20));
      });
      subject.feed(PingMessage, subject.given(random, 4));
    },
  },
];

/** One of them, by their weights. */
export function pickAct(acts: readonly Act[], random: Random): Act {
  let left = random.below(acts.reduce((sum, { weight }) => sum + weight, 0));
  for (const act of acts) {
    left -= act.weight;
    if (left < 0) return act;
  }
  return acts[0]!;
}
