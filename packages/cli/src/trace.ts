import { isUtf8 } from 'node:buffer';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Duplex } from 'node:stream';
import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  PingMessage,
  PongMessage,
  TextMessage,
} from '@ws/codec';
import type { Diagnostics } from '@ws/node-client';
import { conversationOf, endsOf } from './conversation.ts';
import { converse } from './converse.ts';
import { safeJson } from './formats.ts';
import { FrameScanner, type SeenFrame } from './frame-scanner.ts';
import type { Io } from './io.ts';
import type { Values } from './options.ts';
import { hexOf, type View } from './views.ts';

/** Payload bytes that a line shows. */
const SHOWN = 32;
/** The same with `--hex`: the rest of a larger frame is only counted. */
const SHOWN_HEX = 64 * 1024;
/** Bytes of lines that wait for a slow reader of stdout: messages wait for it, pings do not. */
const MAX_WAITING = 16 * 1024 ** 2;

const NAMES: ReadonlyMap<number, string> = new Map([
  [ContinuationFrame, 'continuation'],
  [TextMessage, 'text'],
  [BinaryMessage, 'binary'],
  [CloseMessage, 'close'],
  [PingMessage, 'ping'],
  [PongMessage, 'pong'],
]);

/** `wsx trace URL`: the frames of a conversation as they are on the wire. */
export async function trace(
  io: Io,
  [url = '']: readonly string[],
  values: Values,
): Promise<number> {
  const ends = await endsOf(io, values);
  let started = 0;
  let missing = 0;
  const print = (line: string): void => {
    if (io.stdout.writableLength > MAX_WAITING) {
      missing++;
      return;
    }
    writeMissing();
    write(line);
  };
  const writeMissing = (): void => {
    if (missing > 0) write(`${missing} frames are not shown: stdout was slow`);
    missing = 0;
  };
  const write = (line: string): void => {
    const time = ((performance.now() - started) / 1000).toFixed(6).padStart(10);
    const text = `${time} ${line}\n`;
    if (ends.prompt === undefined) void ends.output.append(Buffer.from(text));
    else ends.prompt.print(text);
  };
  // The channel publishes while the connection is created: no frame comes before that.
  const onOpen = (event: unknown): void => {
    const { conn } = event as Diagnostics['@ws:open'];
    started = performance.now();
    tap(conn.underlyingConn as Duplex, values.hex === true, print);
  };
  const silent: View = {
    async take(reader, buffer) {
      // A slow reader of stdout slows the peer.
      while ((await reader.read(buffer)) > 0) await ends.output.append(NOTHING);
    },
    whole: () => undefined,
  };
  const conversation = conversationOf(io, ends);
  subscribe('@ws:open', onOpen);
  try {
    return await converse(io, url, values, { ...conversation, view: silent });
  } finally {
    unsubscribe('@ws:open', onOpen);
    writeMissing();
    await ends.output.finish();
  }
}

const NOTHING = new Uint8Array(0);

/** Prints the frames that a stream reads and writes. */
function tap(stream: Duplex, hex: boolean, print: (line: string) => void): void {
  const scanner = (direction: '<' | '>'): ((chunk: Uint8Array) => void) => {
    const frames = new FrameScanner(hex ? SHOWN_HEX : SHOWN, (frame) => {
      print(`${direction} ${frameLine(frame, hex)}`);
    });
    return (chunk) => {
      try {
        frames.push(chunk);
      } catch (error) {
        print(`${direction} ${(error as Error).message}`);
      }
    };
  };
  const received = scanner('<');
  const sent = scanner('>');
  stream.prependListener('data', received);
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  stream.write = (...args: unknown[]): boolean => {
    if (args[0] instanceof Uint8Array) sent(args[0]);
    return write(...args);
  };
}

/** A frame on one line: `text fin rsv 000 len 5 mask 37fa213d "hello"`. */
export function frameLine(frame: SeenFrame, hex: boolean): string {
  const { opcode, fin, rsv, length, maskKey } = frame;
  const fields = [
    (NAMES.get(opcode) ?? `opcode ${opcode}`).padEnd(12),
    fin ? 'fin' : '   ',
    `rsv ${(rsv >> 4).toString(2).padStart(3, '0')}`,
    `len ${String(length).padEnd(5)}`,
    `mask ${maskKey === undefined ? '-'.padEnd(8) : (maskKey >>> 0).toString(16).padStart(8, '0')}`,
    payloadText(frame, hex),
  ];
  return fields.join(' ').trimEnd();
}

function payloadText({ opcode, rsv, length, payload }: SeenFrame, hex: boolean): string {
  const more = length - payload.length;
  const rest = more > 0 ? ` … ${more} more` : '';
  const isCompressed = rsv !== 0;
  if (!hex && opcode === CloseMessage && payload.length >= 2) {
    const code = payload[0]! * 256 + payload[1]!;
    return `${code} ${safeJson(Buffer.from(payload.subarray(2)).toString())}${rest}`;
  }
  if (!hex && opcode === TextMessage && !isCompressed && isUtf8(payload)) {
    return `${safeJson(Buffer.from(payload).toString())}${rest}`;
  }
  return `${hexOf(payload)}${rest}`;
}
