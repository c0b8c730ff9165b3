import { nothingLeft, Random, type RawFrame, type RawPeer } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type Pair, pair } from '../support.ts';

const KIB = 1024;
/** A larger frame passes before it is whole. */
const HELD = 64 * KIB;
const LIMIT = 100 * KIB;
const SIZES = [0, 1, 5, 125, 126, 3_000, HELD - 8, 70 * KIB, LIMIT, LIMIT + 1, 300 * KIB];
const ENDS = ['close', 'fin', 'reset', 'half, fin', 'half, reset', 'proxy', 'none'] as const;
type End = (typeof ENDS)[number];

interface Sent {
  readonly opcode: number;
  readonly fin: boolean;
  readonly length: number;
  readonly fill: number;
}

/** One peer of a run: what it sends, and how it ends. */
class Actor {
  readonly sent: Sent[] = [];
  readonly peer: RawPeer;
  readonly end: End;
  /** Whether it has sent the start of a frame that never comes to its end. */
  half: Sent | undefined;
  #inMessage = false;
  readonly #random: Random;

  constructor(peer: RawPeer, end: End, random: Random) {
    this.peer = peer;
    this.end = end;
    this.#random = random;
  }

  async run(proxied: Pair): Promise<void> {
    const random = this.#random;
    for (let left = random.below(6); left > 0; left--) {
      const isControl = random.once(4);
      const fin = isControl || !random.once(3);
      const opcode = isControl ? 10 : this.#inMessage ? 0 : 2;
      const length = isControl ? random.below(126) : random.pick(SIZES);
      if (!isControl) this.#inMessage = !fin;
      await this.#write(this.#next({ opcode, fin, length, fill: random.below(256) }));
      if (random.once(3)) await turn();
    }
    await this.#finish(proxied);
  }

  #next(frame: Sent): Buffer {
    this.sent.push(frame);
    return bytesOf(this.peer, frame);
  }

  /** Writes in random pieces. */
  async #write(bytes: Buffer): Promise<void> {
    const cut = this.#random.below(bytes.length + 1);
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      if (part.length > 0) void this.peer.write(part);
      if (this.#random.once(3)) await turn();
    }
  }

  async #finish({ front: { proxy } }: Pair): Promise<void> {
    if (this.end.startsWith('half')) {
      const length = this.#random.pick(SIZES.slice(1));
      this.half = { opcode: this.#inMessage ? 0 : 2, fin: true, length, fill: 1 };
      const bytes = bytesOf(this.peer, this.half);
      void this.peer.write(bytes.subarray(0, 1 + this.#random.below(bytes.length - 1)));
      if (this.#random.once(2)) await turn();
    }
    if (this.end === 'close') void this.peer.close(4000);
    if (this.end.endsWith('fin')) this.peer.end();
    if (this.end.endsWith('reset')) this.peer.reset();
    if (this.end === 'proxy') void proxy.close({ timeout: 2_000 });
  }
}

function bytesOf(peer: RawPeer, { opcode, fin, length, fill }: Sent): Buffer {
  return peer.encode(opcode, Buffer.alloc(length, fill), fin);
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Answers a close frame and an end. Returns why the input has ended: its decoder stops at an invalid frame. */
async function answered(
  { peer, end }: Actor,
  hasRun: Promise<void>,
  isServer: boolean,
): Promise<string> {
  try {
    await peer.until(({ frames }) => frames.at(-1)?.opcode === 8);
    await hasRun;
    if (end === 'none' || end === 'proxy') await peer.close(1000);
    // The server ends first (RFC 6455, section 7.1.1).
    if (isServer) peer.end();
    await peer.until(() => false);
    return '';
  } catch (error) {
    peer.end();
    return (error as Error).message;
  }
}

function isSame(frame: RawFrame, { opcode, fin, length, fill }: Sent): boolean {
  const { payload } = frame;
  return (
    frame.opcode === opcode &&
    frame.fin === fin &&
    payload.length === length &&
    Buffer.alloc(length, fill).equals(payload)
  );
}

/** What `to` got is what `from` sent, up to one point, and then a close frame or an end. */
function checkFrames(from: Actor, to: Actor): void {
  const { frames } = to.peer;
  const closeAt = frames.findIndex(({ opcode }) => opcode === 8);
  const whole = closeAt === -1 ? frames : frames.slice(0, closeAt);
  expect(whole.every((frame, i) => from.sent[i] !== undefined && isSame(frame, from.sent[i]))).toBe(
    true,
  );
  // No frame follows a close frame.
  if (closeAt !== -1) expect(frames.length).toBe(closeAt + 1);
  const next = from.sent[whole.length] ?? from.half;
  // Without a close frame, a frame has passed in part. The end of `to` itself excuses all.
  const mayBeCut = to.end.endsWith('reset') || to.end.endsWith('fin');
  if (closeAt === -1 && !mayBeCut) expect(next?.length).toBeGreaterThan(HELD - 16);
}

/** The same for messages: the proxy writes frames of its own. */
function checkMessages(from: Actor, to: Actor): void {
  const expected = joined(from.half === undefined ? from.sent : [...from.sent, from.half]);
  const got = joined(to.peer.frames.map(sentOf));
  const last = got.at(-1);
  for (const [i, message] of got.entries()) {
    const whole = expected[i];
    expect(whole, `message ${i}`).toBeDefined();
    if (message === last && !message.fin) {
      expect(whole!.bytes.startsWith(message.bytes)).toBe(true);
    } else expect(message.bytes).toBe(whole!.bytes);
  }
}

interface Joined {
  bytes: string;
  fin: boolean;
}

function joined(frames: readonly (Sent & { payload?: Buffer })[]): Joined[] {
  const messages: Joined[] = [];
  for (const { opcode, fin, length, fill, payload } of frames) {
    if (opcode > 2) continue;
    const bytes = (payload ?? Buffer.alloc(length, fill)).toString('latin1');
    if (opcode !== 0) messages.push({ bytes, fin });
    else Object.assign(messages.at(-1)!, { bytes: messages.at(-1)!.bytes + bytes, fin });
  }
  return messages;
}

function sentOf({ opcode, fin, payload }: RawFrame): Sent & { payload: Buffer } {
  return { opcode, fin, length: payload.length, fill: 0, payload };
}

async function run(mode: 'frames' | 'messages', seed: number): Promise<void> {
  const random = new Random(seed);
  const opened = await pair({ mode, maxMessageSize: random.once(2) && LIMIT });
  // At least one of them ends.
  const client = new Actor(opened.client, random.pick(ENDS), new Random(seed * 3));
  const ends = client.end === 'none' ? ENDS.slice(0, -1) : ENDS;
  const target = new Actor(opened.target, random.pick(ends), new Random(seed * 5));
  const messages = await Promise.all([
    answered(client, client.run(opened), false),
    answered(target, target.run(opened), true),
  ]);
  expect(messages.filter((message) => message.startsWith('invalid'))).toEqual([]);
  const check = mode === 'frames' ? checkFrames : checkMessages;
  check(client, target);
  check(target, client);
  expect(await opened.proxied.closed).toMatchObject({ status: 101 });
}

describe.each(['frames', 'messages'] as const)('random peers, mode %s', (mode) => {
  nothingLeft();

  it.each(Array.from({ length: 20 }, (_, i) => i + 1))(
    'see only whole frames and one close frame, seed %i',
    (seed) => run(mode, seed),
  );
});
