import { BinaryMessage, PreparedMessage, TextMessage } from '@ws/conn';
import type { Position } from '../position.ts';

/**
 * The bytes that nodes send to each other:
 *
 *     u8  version
 *     u8  kind: 1 text, 2 binary, 3 digest
 *         + 0x80: a key follows the counter
 *         + 0x40: the node starts to count here, so no message is missing before this one; in a room
 *           without history each message has it
 *         + 0x20: the previous message was the node's first one, or was lost
 *     u8  length of the node's name, and the name in UTF-8
 *     u64 counter of the node on this channel, at most 2^53 - 1
 *     u32 ms since the node published the previous message; not with 0x40
 *     u16 length of the key, and the key in UTF-8; only with 0x80
 *     …   payload
 *
 * Numbers are big-endian. A digest repeats the counter of the node's last message. Its payload is
 * empty, or a word (see `words.ts`). In a history, a digest has the counter of a message that never
 * reached the history, and stands in its place.
 */
export const VERSION = 1;
const DIGEST = 3;
const KEYED = 0x80;
const FIRST = 0x40;
const EXACT = 0x20;
const MAX_MS = 2 ** 32 - 1;
/** Longest id of a hub, in bytes. The length of a {@link nodeName} must fit into one byte. */
export const MAX_ID_BYTES = 200;

/** A message of a node, or its digest. */
export interface Envelope {
  /** Name of the node, see {@link nodeName}. */
  readonly node: string;
  readonly counter: number;
  /**
   * Ms since the node published the previous message on the channel; in a digest, since its last
   * message. Undefined if the node starts to count with this message, as with each one of a room without
   * history.
   */
  readonly previousMs: number | undefined;
  /** Whether the previous message was the node's first one, or did not reach the engine. */
  readonly exact: boolean;
  readonly key: string | undefined;
  /** Undefined in a digest. */
  readonly message: PreparedMessage | undefined;
  /** The payload of a digest, if any. Older nodes ignore it, and the fields of {@link NO_COUNT}. */
  readonly word?: Uint8Array | undefined;
}

/** A message of any node from the engine; or a digest with a position, the record of a loss. */
export interface Arrival {
  /** Undefined for a message that this version cannot read. */
  readonly envelope: Envelope | undefined;
  readonly position: Position | undefined;
  /** Offset of the previous message, if the engine's offsets have holes. */
  readonly previous?: number | undefined;
}

/** An arrival with a position in the history. */
export type Placed = Arrival & { readonly position: Position };

export function isPlaced(arrival: Arrival): arrival is Placed {
  return arrival.position !== undefined;
}

/** An envelope of a newer version, which this version cannot read. */
export interface NewerEnvelope {
  readonly version: number;
}

/** The fields of the envelope of a word: as a digest, it shows no loss. */
export const NO_COUNT = {
  counter: 0,
  previousMs: undefined,
  exact: false,
  key: undefined,
  message: undefined,
} as const;

const encoder = /* @__PURE__ */ new TextEncoder();
const decoder = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The name of a node in its messages: the id of its hub, and a random part. So a restarted node has a
 * new name, and two nodes with the same id have different names.
 */
export function nodeName(id: string): string {
  return `${id}/${crypto.randomUUID().replaceAll('-', '').slice(0, 16)}`;
}

/** The id of the hub of a node, from the name of the node. */
export function idOf(node: string): string {
  return node.slice(0, Math.max(node.lastIndexOf('/'), 0));
}

/** Encodes an envelope. Its id and key must be within their bounds. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const { node, counter, previousMs, exact, key, message, word } = envelope;
  const name = encoder.encode(node);
  const keyBytes = key === undefined ? undefined : encoder.encode(key);
  const payload = message?.bytes ?? word ?? new Uint8Array(0);
  const keySize = keyBytes === undefined ? 0 : 2 + keyBytes.length;
  const msSize = previousMs === undefined ? 0 : 4;
  const bytes = new Uint8Array(11 + name.length + msSize + keySize + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes[1] = message?.type ?? DIGEST;
  bytes[2] = name.length;
  bytes.set(name, 3);
  let at = 3 + name.length;
  view.setBigUint64(at, BigInt(counter));
  at += 8;
  if (exact) bytes[1] |= EXACT;
  if (previousMs === undefined) bytes[1] |= FIRST;
  else view.setUint32(at, Math.min(Math.ceil(previousMs), MAX_MS));
  at += msSize;
  if (keyBytes !== undefined) {
    bytes[1] |= KEYED;
    view.setUint16(at, keyBytes.length);
    bytes.set(keyBytes, at + 2);
    at += keySize;
  }
  bytes.set(payload, at);
  return bytes;
}

/** @throws TypeError or RangeError for bytes that are no envelope. */
export function decodeEnvelope(bytes: Uint8Array): Envelope | NewerEnvelope {
  const [version = 0, kind = 0, nameLength = 0] = bytes;
  if (version > VERSION) return { version };
  // A DataView throws for a truncated number.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const nameEnd = 3 + nameLength;
  const counter = Number(view.getBigUint64(nameEnd));
  let at = nameEnd + 8;
  let previousMs: number | undefined;
  if ((kind & FIRST) === 0) {
    previousMs = view.getUint32(at);
    at += 4;
  }
  let key: string | undefined;
  if ((kind & KEYED) !== 0) {
    const keyStart = at + 2;
    at = keyStart + view.getUint16(at);
    key = decoder.decode(bytes.subarray(keyStart, at));
  }
  const type = kind & ~(KEYED | FIRST | EXACT);
  const isKnown = version === VERSION && nameLength > 0 && type >= TextMessage && type <= DIGEST;
  if (!isKnown || at > bytes.length || !Number.isSafeInteger(counter)) {
    throw new TypeError('not an envelope of a hub');
  }
  const node = decoder.decode(bytes.subarray(3, nameEnd));
  const exact = (kind & EXACT) !== 0;
  const payload = bytes.subarray(at);
  const message = messageOf(type, payload);
  const word = message === undefined && payload.length > 0 ? payload : undefined;
  return { node, counter, previousMs, exact, key, message, word };
}

function messageOf(type: number, payload: Uint8Array): PreparedMessage | undefined {
  if (type === DIGEST) return undefined;
  // Clients get the text unchanged, so it must be valid UTF-8 (RFC 6455, section 8.1).
  if (type === TextMessage) decoder.decode(payload);
  return new PreparedMessage(type === TextMessage ? TextMessage : BinaryMessage, payload);
}
