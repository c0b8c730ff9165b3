import { constants, deflateRawSync } from 'node:zlib';
import {
  type DeflateParameters,
  encodeFrame,
  type MessageDeflate,
  sharedMessageBuffers,
  sharedSlabPool,
} from '@ws/codec';
import { Conn } from '@ws/conn';
import { type DeflateEngines, perMessageDeflate } from '@ws/deflate';
import { nodeDeflate } from '@ws/node-io';
import { FakePlatform, syncDeflate, TestTransport } from '@ws/tests';
import { Input, piecesOf } from '../harness/input.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { inflateMessage } from '../oracles/inflate.ts';
import { closeCodeSent } from '../oracles/sent-close-code.ts';

const MAX_MESSAGES = 6;
const WAYS = ['receive', 'readMessage', 'nextReader'] as const;

/** Compares the messages of a Conn with zlib's one-shot function. The limits are exact. */
export function inflate(engines: DeflateEngines = nodeDeflate): Target {
  return {
    name: 'inflate',
    description: 'messages inflate as with zlib; broken ones close with 1007, long ones with 1009',
    covers: ['packages/conn/src/', 'packages/deflate/src/', 'packages/node-io/src/deflate/'],
    maxLength: 500,
    dictionary: bytesOf(
      [0x00, 0x00, 0x00, 0xff, 0xff],
      [0x01, 0x00, 0x00, 0xff, 0xff],
      [0x03, 0x00],
      [0x02, 0x00],
      [0x00, 0x05, 0x00, 0xfa, 0xff],
      [0x4b, 0x04, 0x00],
      [0xca, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
      [0xf2, 0x00, 0x11, 0x00],
      [0, 1, 1, 0],
      [2, 0, 6, 0x4b, 0x04, 0x00],
    ),
    separators: [],
    seeds: bytesOf(
      // Settings, cuts and messages: two made by zlib, one of bytes, one with a final block.
      [0, 0, 0, 0, 0, 0, 0, 0, 20, 2, 0, 0, 0, 3, 10, 2, 0],
      [1, 0, 0, 1, 7, 0, 0, 0, 80, 2, 0, 0, 0, 0, 80, 1, 2, 0, 200],
      [0, 0, 1, 2, 1, 1, 1, 2, 7, 0xca, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0],
      [5, 0, 0, 1, 7, 0, 0, 0, 80, 2, 0, 0, 0, 0, 80, 1, 2, 0, 200],
      [1, 1, 3, 0, 0, 3, 9, 16, 90, 0, 1, 2, 130, 0, 0, 0, 0, 0, 0],
    ),
    async run(input) {
      const read = new Input(input);
      const setting = settingOf(read);
      const cuts = read.cuts(3);
      const wire: Uint8Array[] = [];
      const expected = expectationOf(read, setting, wire);
      await run(Buffer.concat(wire), cuts, setting, expected, engines);
    },
  };
}

interface Setting {
  readonly takeover: boolean;
  readonly sync: boolean;
  readonly windowBits: number;
  readonly limit: number;
  readonly way: (typeof WAYS)[number];
}

function settingOf(read: Input): Setting {
  const flags = read.byte();
  return {
    takeover: (flags & 1) === 1,
    sync: (flags & 4) === 4,
    windowBits: read.pick([15, 9, 12]),
    limit: read.pick([70_000, 1, 100, 5_000]),
    way: read.pick(WAYS),
  };
}

/** The expected messages, and the close codes that may follow; none for an open connection. */
interface Expectation {
  readonly messages: Buffer[];
  readonly ends: readonly number[];
  /** One more message that may arrive instead of the failure. */
  readonly optional: Buffer | undefined;
}

/** Writes frames to `wire` up to the first fault. */
function expectationOf(read: Input, setting: Setting, wire: Uint8Array[]): Expectation {
  const messages: Buffer[] = [];
  let history = Buffer.alloc(0);
  for (let i = 0; i < MAX_MESSAGES && !read.done; i++) {
    const { payload, compressed } = messageOf(read, history);
    frame(payload, compressed, read.byte(), wire);
    const plain = compressed
      ? inflateMessage(payload, history)
      : { bytes: payload, complete: 'yes' };
    if (plain === 'broken') return { messages, ends: [1007, 1009], optional: undefined };
    const isLong = plain === 'too long' || plain.bytes.length > setting.limit;
    // In a message that is broken and too long, either fault may come first.
    if (plain !== 'too long' && plain.complete === 'unspecified') {
      const ends = isLong ? [1007, 1009] : [1007];
      return { messages, ends, optional: isLong ? undefined : plain.bytes };
    }
    if (isLong) return { messages, ends: [1009], optional: undefined };
    // An inflater may forget the bytes before the agreed window.
    const far = setting.takeover && history.length + plain.bytes.length > 1 << setting.windowBits;
    if (compressed && far && setting.windowBits < 15) {
      return { messages, ends: [1007], optional: plain.bytes };
    }
    messages.push(plain.bytes);
    if (compressed && setting.takeover) {
      history = Buffer.concat([history, plain.bytes]).subarray(-32_768);
    }
  }
  return { messages, ends: [], optional: undefined };
}

/** A message made by zlib and perhaps damaged, a message of input bytes, or an uncompressed one. */
function messageOf(read: Input, history: Buffer): { payload: Buffer; compressed: boolean } {
  const kind = read.byte();
  if (kind % 4 === 2) return { payload: Buffer.from(read.bytes(read.byte())), compressed: true };
  const plain = plainOf(read, history);
  if (kind % 4 === 3) return { payload: plain, compressed: false };
  const dictionary = history.length > 0 && (kind & 8) === 8 ? { dictionary: history } : {};
  const final = (kind & 16) === 16;
  const payload = deflateRawSync(plain, {
    level: read.pick([1, 0, 6, 9]),
    strategy: read.pick([
      constants.Z_DEFAULT_STRATEGY,
      constants.Z_HUFFMAN_ONLY,
      constants.Z_FIXED,
    ]),
    finishFlush: final ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
    ...dictionary,
  });
  const travels = Buffer.from(final ? payload : payload.subarray(0, -4));
  if ((kind & 4) === 4 && travels.length > 0) {
    travels[read.word() % travels.length]! ^= 1 << (read.byte() % 8);
  }
  return { payload: travels, compressed: true };
}

function plainOf(read: Input, history: Buffer): Buffer {
  const size = read.byte();
  const style = read.byte();
  const length = size < 100 ? size : size < 200 ? (size - 99) * 50 : (size - 199) * 1_250;
  if (style % 3 === 0) return Buffer.alloc(length, style);
  if (style % 3 === 1) return Buffer.from(history.subarray(style).subarray(0, length));
  let noise = style;
  return Buffer.alloc(length).map(() => (noise = (noise * 75 + 74) % 65_537) & 0xff) as Buffer;
}

/** Writes one message in one frame, or in several frames with pings between them. */
function frame(payload: Buffer, compressed: boolean, shape: number, wire: Uint8Array[]): void {
  const size = shape < 128 ? Infinity : Math.max(1, Math.ceil(payload.length / (shape - 126)));
  const rsv = compressed ? 0x40 : 0;
  const maskKey = 0x1f2e3d4c;
  for (let at = 0, first = true; first || at < payload.length; first = false) {
    const end = Math.min(payload.length, at + size);
    const fin = end === payload.length;
    const opcode = first ? 2 : 0;
    wire.push(
      encodeFrame(opcode, payload.subarray(at, end), { fin, rsv: first ? rsv : 0, maskKey }),
    );
    if (!fin && (shape & 1) === 1) wire.push(encodeFrame(9, Buffer.from('here'), { maskKey }));
    at = end;
  }
}

/** A fake clock with real engines. */
class DeflatePlatform extends FakePlatform {
  readonly deflate: MessageDeflate;

  constructor(engines: DeflateEngines) {
    super();
    this.deflate = perMessageDeflate(engines);
  }
}

async function run(
  wire: Uint8Array,
  cuts: readonly number[],
  setting: Setting,
  { messages, ends, optional }: Expectation,
  engines: DeflateEngines,
): Promise<void> {
  const platform = new DeflatePlatform(setting.sync ? syncDeflate : engines);
  const transport = new TestTransport();
  const parameters: DeflateParameters = {
    serverNoContextTakeover: true,
    clientNoContextTakeover: !setting.takeover,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: setting.windowBits,
  };
  const options = { readLimit: setting.limit, heartbeat: false, compression: true } as const;
  const conn = new Conn(transport, {
    ...options,
    role: 'server',
    platform,
    deflate: parameters,
  });
  const received: Buffer[] = [];
  const reading = listen(conn, setting.way, received);
  await platform.settle();
  for (const piece of piecesOf(wire, cuts, 24)) {
    transport.feed(piece);
    await platform.settle();
  }
  const code = closeCodeSent(transport.sent, 'server');
  conn.terminate();
  await platform.settle();
  const ended = await reading;
  await platform.settle();
  const wanted = [...messages];
  if (optional !== undefined && received.length > messages.length) {
    // After the optional message, the later messages are undefined.
    wanted.push(optional);
    received.length = Math.min(received.length, wanted.length);
  } else if (ends.length === 0) ensureSame(code, undefined, 'close code');
  else ensure(ends.includes(code ?? 0), `close code ${code} is one of ${ends.join()}`);
  ensureSame(received.length, wanted.length, `number of messages, then ${String(ended)}`);
  for (const [i, bytes] of wanted.entries()) {
    ensure(bytes.equals(received[i]!), `message ${i} is unchanged`);
  }
  ensureSame(sharedSlabPool().lent + sharedMessageBuffers().lent, 0, 'bytes still lent');
}

/** Reads until the connection ends. Returns its error. */
async function listen(conn: Conn, way: Setting['way'], received: Buffer[]): Promise<unknown> {
  try {
    if (way === 'receive') {
      await conn.receive((message) => void received.push(Buffer.from(message.data)));
      return undefined;
    }
    for (;;) {
      if (way === 'readMessage') received.push(Buffer.from((await conn.readMessage()).data));
      else received.push(Buffer.from(await (await conn.nextReader()).bytes()));
    }
  } catch (error) {
    return error;
  }
}
