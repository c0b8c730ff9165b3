import { generator } from '../harness/random.ts';
import { jsonRecord, maskedFrame } from './corpus.ts';
import { type Pieces, piecesOf } from './pieces.ts';
import { SESSIONS, type Session, type SessionName } from './session.ts';

const CONTINUATION = 0x00;
const TEXT = 0x01;
const BINARY = 0x02;
const FIN = 0x80;

/** Messages, and the expected replies. */
export interface EchoPlan {
  readonly content: 'binary' | 'ascii' | 'mixed' | 'json';
  /** Bytes of the messages, repeated in order. Ignored for `json`. */
  readonly sizes: readonly number[];
  readonly count: number;
  /** Number of frames of a message. */
  readonly fragments: number;
  /** Whether the server is no WebSocket server: it echoes header and mask too. */
  readonly raw: boolean;
  /** The protocol over the messages, for ASCII. Default: none. */
  readonly session?: SessionName | undefined;
}

/** The frames to send and the expected replies. */
export interface EchoCorpus {
  readonly frames: Pieces;
  readonly replies: Pieces;
}

/** Creates a corpus. It is the same in each process. */
export function makeEchoCorpus(plan: EchoPlan): EchoCorpus {
  const opcode = plan.content === 'binary' ? BINARY : TEXT;
  const keys = generator(11);
  const session = plan.session && (SESSIONS[plan.session] as Session);
  const texts = makePayloads(plan);
  const payloads = texts.map((text, i) =>
    session === undefined ? text : Buffer.from(session.message(String(text), i)),
  );
  const answers = texts.map((text, i) =>
    session?.reply === undefined ? payloads[i]! : Buffer.from(session.reply(String(text), i)),
  );
  const frames = payloads.map((payload) => fragments(payload, opcode, plan.fragments, keys));
  const replies = answers.map((answer) =>
    serverFrame(
      FIN | opcode,
      plan.content === 'json' ? Buffer.from(jsonReply(answer.toString())) : answer,
    ),
  );
  return { frames: piecesOf(frames), replies: piecesOf(plan.raw ? frames : replies) };
}

/** The answer of an application to a JSON request, the same in all servers. */
export function jsonReply(request: string): string {
  const { id, user, price, ok } = JSON.parse(request) as Record<string, unknown>;
  return JSON.stringify({ id, user, total: Number(price) * 2, ok: ok !== true });
}

/** Payloads that all differ. Text is valid UTF-8 of exactly the given size. */
export function makePayloads({
  content,
  sizes,
  count,
}: Pick<EchoPlan, 'content' | 'sizes' | 'count'>): Buffer[] {
  const random = generator(3);
  return Array.from({ length: count }, (_, i) =>
    content === 'json'
      ? Buffer.from(jsonRecord(random))
      : makePayload(content, sizes[i % sizes.length]!, random),
  );
}

function makePayload(content: EchoPlan['content'], size: number, random: () => number): Buffer {
  const payload = Buffer.alloc(size);
  if (content !== 'mixed') {
    for (let at = 0; at < size; at++) {
      const value = random() >>> 16;
      payload[at] = content === 'binary' ? value : 0x20 + (value % 95);
    }
    return payload;
  }
  let at = 0;
  while (at < size) {
    const character = String.fromCodePoint(codePoint(random));
    const length = Buffer.byteLength(character);
    // A character that does not fit is replaced by ASCII.
    at += payload.write(at + length > size ? '.' : character, at);
  }
  return payload;
}

/** Latin, Greek and Cyrillic, Han, emoji: one to four bytes, about equally frequent. */
function codePoint(random: () => number): number {
  const value = random() >>> 8;
  const among = (first: number, count: number): number => first + ((value >> 2) % count);
  switch (value & 3) {
    case 0:
      return among(0x61, 26);
    case 1:
      return among(0x391, 0xc0);
    case 2:
      return among(0x4e00, 0x5000);
    default:
      return among(0x1f600, 0x50);
  }
}

function fragments(payload: Buffer, opcode: number, count: number, keys: () => number): Buffer {
  const step = Math.ceil(payload.length / count);
  const frames: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const first = (i === 0 ? opcode : CONTINUATION) | (i === count - 1 ? FIN : 0);
    frames.push(maskedFrame(first, payload.subarray(i * step, (i + 1) * step), keys()));
  }
  return Buffer.concat(frames);
}

/** A server's frame, not masked (RFC 6455, section 5.1). `first` has FIN and the opcode. */
export function serverFrame(first: number, payload: Uint8Array): Buffer {
  const masked = maskedFrame(first, payload, 0);
  const header = masked.length - payload.length - 4;
  const frame = Buffer.allocUnsafeSlow(header + payload.length);
  masked.copy(frame, 0, 0, header);
  frame[1]! &= 0x7f;
  frame.set(payload, header);
  return frame;
}
