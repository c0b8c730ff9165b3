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
import type { Random } from '../kit/index.ts';
import { FOREIGN, open } from './alphabet.ts';
import { type Subject, typeOf } from './subject.ts';

/** An action of a connection, or of its peer or socket. */
export interface Act {
  readonly says: string;
  /** Share among the actions. */
  readonly weight: number;
  readonly run: (subject: Subject, random: Random, all: readonly Subject[]) => unknown;
}

function act(says: string, weight: number, run: Act['run']): Act {
  return { says, weight, run };
}

const FIN = true;
const RSV1 = 0x40;
const PAST = 1;
/** The compiler target has no types for resizable buffers. */
const Resizable = ArrayBuffer as unknown as new (
  size: number,
  options: { readonly maxByteLength: number },
) => ArrayBuffer & { resize(size: number): void };

/** Ignores a rejected write: the connection may be closed. */
function quietly(...writes: Promise<unknown>[]): void {
  for (const write of writes) write.catch(() => {});
}

function times(count: number, run: (i: number) => void): void {
  for (let i = 0; i < count; i++) run(i);
}

/** Actions that keep the connection open. */
export const ACTS: readonly Act[] = [
  act('short messages, many of them empty', 80, ({ conn, ...subject }, random) => {
    const at = random.below(200_000);
    times(120, (i) => {
      const size = (i * 7) % 23;
      const start = at + i;
      const { text, bytes } = subject.sends;
      if ((i & 1) === 0) void conn.send(text.slice(start, start + size));
      else void conn.send(bytes.subarray(start, start + size));
    });
  }),
  act('messages with every length of a header', 10, (subject, random) => {
    for (const size of [124, 125, 126, 127, random.below(4_000), random.below(20_000)]) {
      quietly(subject.conn.send(subject.text(random, size)));
      quietly(subject.conn.send(subject.bytes(random, size)));
    }
  }),
  act('messages around 64 KiB', 1, (subject, random) => {
    for (const size of [65_535, 65_536, 65_537, 70_000 + random.below(130_000)]) {
      if (random.once(2)) quietly(subject.conn.send(subject.text(random, size)));
      else quietly(subject.conn.send(subject.bytes(random, size)));
    }
  }),
  act('pings and pongs', 6, (subject, random) => {
    const { conn } = subject;
    times(6, () => {
      quietly(conn.ping(), conn.ping(subject.text(random, random.below(126))));
      quietly(conn.writeControl(PongMessage, subject.bytes(random, random.below(126))));
    });
    subject.feed(PongMessage, subject.given(random, 20));
  }),
  act('received pings', 6, (subject, random) =>
    times(10, () => subject.feed(PingMessage, subject.given(random, random.below(126)))),
  ),
  act('received messages, whole and fragmented', 12, (subject, random) => {
    times(60, () => subject.feed(typeOf(random), subject.given(random, random.below(60))));
    subject.feed(typeOf(random), subject.given(random, random.below(9_000)));
    subject.feed(BinaryMessage, subject.given(random, random.below(3_000)), !FIN);
    subject.feed(PingMessage, subject.given(random, 9));
    subject.feed(0, subject.given(random, random.below(3_000)), FIN);
    if (random.once(8)) subject.feed(TextMessage, subject.given(random, 90_000));
  }),
  act('received compressed messages', 2, (subject, random) => {
    if (!subject.compresses) return;
    for (const size of [random.below(300), random.below(9_000), random.below(90_000)]) {
      const packed = deflateRawSync(subject.given(random, size), { finishFlush: 2 });
      subject.feed(BinaryMessage, packed.subarray(0, -4), FIN, RSV1);
    }
  }),
  act('compressed messages', 4, (subject, random) => {
    if (!subject.compresses) return;
    const options = { compress: true };
    for (const size of [0, random.below(40), random.below(900), random.below(40_000)]) {
      quietly(subject.conn.send(subject.text(random, size), options));
      quietly(subject.conn.send(subject.bytes(random, size), options));
    }
  }),
  act('JSON', 4, (subject, random) => {
    times(10, () => {
      quietly(subject.conn.writeJSON(subject.text(random, random.below(100))));
    });
  }),
  act('prepared messages', 3, (subject, random) => {
    const { conn } = subject;
    for (const size of [0, 10, 3_000]) {
      const message = new PreparedMessage(typeOf(random), subject.bytes(random, size));
      times(3, () => quietly(conn.writePreparedMessage(message)));
    }
    const ping = new PreparedMessage(PingMessage, subject.text(random, 30));
    quietly(conn.writePreparedMessage(ping));
  }),
  act('broadcasts', 3, (_subject, random, all) => {
    const conns = all.map(({ conn }) => conn);
    times(4, () => {
      const at = random.below(1_000);
      broadcast(conns, open.text.slice(at, at + random.below(200)));
    });
    broadcast(conns, FOREIGN);
    broadcast(conns, new PreparedMessage(BinaryMessage, open.bytes.subarray(0, 5_000)));
  }),
  act('text with multi-byte characters', 2, (subject) => {
    quietly(subject.conn.send(FOREIGN), subject.conn.send(FOREIGN.repeat(20)));
  }),
  act('a streamed message', 3, async (subject, random) => {
    const compress = subject.compresses && random.once(2);
    const writer = await subject.conn.nextWriter(typeOf(random), { compress });
    times(4, (i) => {
      if (i === 2) quietly(writer.write(subject.text(random, random.below(9_000))));
      else quietly(writer.write(subject.bytes(random, random.below(2_000))));
    });
    await writer.close();
  }),
  act('writers aborted before the first frame', 3, async (subject, random) => {
    for (let i = 0; i < 3; i++) {
      const writer = await subject.conn.nextWriter(typeOf(random));
      quietly(writer.write(subject.bytes(random, random.below(4_000))));
      writer.abort();
      quietly(subject.conn.send(subject.text(random, 5)));
    }
  }),
  act('rejected calls', 4, (subject, random) => {
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
  }),
  act('resized, shared and detached arrays', 2, (subject, random) => {
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
  }),
  act('a blocked socket', 4, (subject, random) => {
    const { conn, wire } = subject;
    wire.holds = true;
    quietly(conn.send(subject.bytes(random, 80_000)), conn.send(subject.text(random, 30)));
    setImmediate(() => {
      quietly(conn.send(subject.text(random, 300)), conn.ping(subject.bytes(random, 9)));
      setImmediate(() => {
        wire.holds = false;
      });
    });
  }),
];

/** Actions that end the connection, by either side. */
export const ENDS: readonly Act[] = [
  act('RSV bits', 1, (subject, random) => subject.feed(2, subject.given(random, 9), FIN, 0x20)),
  act('an unknown opcode', 1, (subject, random) => subject.feed(5, subject.given(random, 9))),
  act('a continuation without a start', 1, (subject, random) =>
    subject.feed(0, subject.given(random, 9)),
  ),
  act('a wrong mask', 1, (subject) =>
    subject.wire.feed(Uint8Array.of(0x82, subject.role === 'server' ? 3 : 0x83, 1, 2, 3)),
  ),
  act('invalid UTF-8', 1, (subject) => subject.feed(TextMessage, Uint8Array.of(0x41, 0xc0, 0x80))),
  act('a message over the read limit', 1, (subject, random) =>
    subject.feed(BinaryMessage, subject.given(random, 250_000)),
  ),
  act('invalid deflate data', 1, (subject) =>
    subject.feed(BinaryMessage, Uint8Array.of(0xff, 0xff, 0xff, 1), FIN, RSV1),
  ),
  act('a close frame of one byte', 1, (subject, random) =>
    subject.feed(CloseMessage, subject.given(random, 1)),
  ),
  act('a close frame with a reason', 1, (subject, random) => {
    const reason = Buffer.from(subject.given(random, 60)).toString();
    subject.feed(CloseMessage, formatCloseMessage(4001, reason));
  }),
  act('close with a reason', 2, (subject, random) =>
    quietly(subject.conn.close(4000, subject.text(random, random.below(124)))),
  ),
  act('close without a reason', 1, (subject) => quietly(subject.conn.close())),
  act('terminate', 1, (subject) => subject.conn.terminate()),
  act('an expired read deadline', 1, (subject) => subject.conn.setReadDeadline(PAST)),
  act('an expired write deadline with buffered bytes', 1, (subject, random) => {
    subject.wire.holds = true;
    quietly(subject.conn.send(subject.bytes(random, 90_000)));
    setImmediate(() => {
      quietly(subject.conn.send(subject.text(random, 3_000)));
      subject.conn.setWriteDeadline(PAST);
      quietly(subject.conn.send(subject.text(random, 3_000)));
    });
  }),
  act('a writer aborted after a fragment', 2, async (subject, random) => {
    const writer = await subject.conn.nextWriter(BinaryMessage);
    quietly(writer.write(subject.bytes(random, 9_000)));
    writer.abort(new Error(subject.text(random, 12)));
  }),
  act('buffered bytes that are detached', 1, (subject, random) => {
    const bytes = Uint8Array.from(subject.bytes(random, 90_000));
    quietly(subject.conn.send(bytes));
    if (subject.role === 'server' && !subject.compresses) {
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    }
  }),
  act('a broken socket with buffered bytes', 1, (subject, random) => {
    subject.wire.holds = true;
    quietly(subject.conn.send(subject.bytes(random, 90_000)), subject.conn.ping());
    setImmediate(() => subject.wire.destroy(new Error('reset')));
  }),
  act('a handler that throws', 1, (subject, random) => {
    subject.conn.setPingHandler(() => {
      throw new Error(subject.text(random, 20));
    });
    subject.feed(PingMessage, subject.given(random, 4));
  }),
];

/** Picks an action by weight. */
export function pickAct(acts: readonly Act[], random: Random): Act {
  let left = random.below(acts.reduce((sum, { weight }) => sum + weight, 0));
  for (const act of acts) {
    left -= act.weight;
    if (left < 0) return act;
  }
  return acts[0]!;
}
