import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Conn, PreparedMessage, type Role, TextMessage, type Transport } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { SHARED } from '../compression/support.ts';
import { hex, toHex, turn } from '../kit/index.ts';
import { type Attack, atLeast, atMost, claim, type Limits, survives } from './harness/index.ts';
import {
  answerTo,
  combined,
  type FrameFields,
  frame,
  only,
  ROLES,
  readingTargetConn,
  type TargetAnswer,
  targetConn,
} from './target-conn.ts';

/** A frame that breaks a rule, and its context. */
interface Broken extends FrameFields {
  readonly opcode: number;
  readonly payload?: string;
  /** Whether a message is unfinished. */
  readonly open?: boolean;
  /** Whether permessage-deflate is negotiated. */
  readonly deflate?: boolean;
}

function answerToFrame(role: Role, broken: Broken): Promise<TargetAnswer> {
  const { opcode, payload, open = false, deflate = false, ...fields } = broken;
  const bytes = frame(role, opcode, payload, fields);
  const first = open ? [frame(role, 2, 'x', { fin: false })] : [];
  return answerTo(role, bytes, { deflate: deflate ? SHARED : undefined }, first);
}

async function allTo(
  cases: readonly Broken[],
): Promise<Record<'close' | 'read' | 'cases', number>> {
  const answers = [];
  for (const role of ROLES) for (const each of cases) answers.push(await answerToFrame(role, each));
  const { close, read, delivered } = combined(answers);
  expect(delivered).toBe(0);
  return { close, read, cases: answers.length };
}

const RSVS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70];
const TYPES = [1, 2];
const CONTROLS = [8, 9, 10];
const YES_OR_NO = [false, true];

const INVALID: readonly {
  readonly attack: Attack;
  readonly bound: Limits;
  readonly cases: readonly Broken[];
}[] = [
  {
    attack: claim('control frames longer than 125 bytes, or fragmented', 'RFC 6455, 5.5'),
    bound: { close: 1002, read: atMost(4) },
    cases: CONTROLS.flatMap((opcode) => [
      { opcode, claims: 126 },
      { opcode, claims: 65_536 },
      { opcode, fin: false },
      { opcode, fin: false, open: true },
      { opcode, fin: false, claims: 126 },
    ]),
  },
  {
    attack: claim('reserved bits without a negotiated meaning', 'RFC 6455, 5.2'),
    bound: { close: 1002, cases: atLeast(42) },
    cases: RSVS.flatMap((rsv) =>
      YES_OR_NO.flatMap((deflate) => [
        ...CONTROLS.map((opcode) => ({ opcode, rsv, deflate })),
        // RFC 7692, section 6: with permessage-deflate, RSV1 marks a compressed message.
        ...(deflate && rsv === 0x40 ? [] : TYPES.map((opcode) => ({ opcode, rsv, deflate }))),
        { opcode: 0, rsv, deflate, open: true },
      ]),
    ),
  },
  {
    attack: claim('RSV1 on a continuation frame', 'RFC 7692, 6.1'),
    bound: { close: 1002 },
    cases: YES_OR_NO.flatMap((fin) =>
      YES_OR_NO.map((deflate) => ({ opcode: 0, rsv: 0x40, fin, deflate, open: true })),
    ),
  },
  {
    attack: claim('reserved opcodes', 'RFC 6455, 5.2'),
    bound: { close: 1002, cases: atLeast(10) },
    cases: [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
      { opcode },
      { opcode, payload: 'x', open: true },
      { opcode, fin: false },
    ]),
  },
  {
    attack: claim('a continuation without a message, a message inside a message', 'RFC 6455, 5.4'),
    bound: { close: 1002 },
    cases: YES_OR_NO.flatMap((fin) => [
      { opcode: 0, fin },
      { opcode: 0, fin, payload: 'x' },
      { opcode: 1, fin, open: true },
      { opcode: 2, fin, open: true, payload: 'x' },
    ]),
  },
];

describe('a connection rejects', () => {
  it.each(INVALID)('$attack.attack', async ({ attack, bound, cases }) => {
    await survives(attack, { ...bound, warmUps: 3 }, () => allTo(cases));
  });

  it('an unmasked frame to a server, and a masked frame to a client', async () => {
    const attack = claim('unmasked frames to a server, masked frames to a client', 'RFC 6455, 5.1');
    await survives(attack, { close: 1002, warmUps: 3 }, async () => {
      const answers = [];
      for (const opcode of [0, 1, 2, 8, 9, 10]) {
        for (const role of ROLES) {
          const wrong = { opcode, masked: role === 'client', open: opcode === 0 };
          answers.push(await answerToFrame(role, wrong));
        }
      }
      const { close, read } = combined(answers);
      expect(read).toBe(2);
      return { close };
    });
  });
});

it('a masking key of zero is valid, and no key of ours is used twice', async () => {
  const messages = 5_000;
  const attack = claim('a masking key of zero', 'RFC 6455, 5.3');
  await survives(attack, { delivered: 2, reused: 0 }, async () => {
    const target = await readingTargetConn('server');
    const read: string[] = [];
    void target.conn.closed.then(({ code }) => read.push(`closed ${code}`));
    target.conn.setPingHandler(
      (payload) => void read.push(`ping ${Buffer.from(payload).toString()}`),
    );
    for (const [opcode, text] of [
      [1, 'text'],
      [2, 'x'.repeat(70_000)],
      [9, 'ping'],
    ] as const) {
      target.feed(target.frame(opcode, text, { key: 0 }));
    }
    await target.platform.settle();
    expect(read).toEqual(['ping ping']);
    const delivered = target.conn.stats.messagesIn;
    await target.end();

    const sender = targetConn('client');
    const keys = new Set<string>();
    for (let i = 0; i < messages; i++) {
      void sender.conn.send('x');
      if (i % 100 !== 99) continue;
      await sender.platform.settle();
      const sent = sender.transport.takeSent();
      for (let at = 2; at < sent.length; at += 7) keys.add(toHex(sent.subarray(at, at + 4)));
      await turn();
    }
    await sender.end();
    return { delivered, reused: messages - keys.size };
  });
});

it('a frame after a fault is neither delivered nor answered', async () => {
  const faults: readonly Broken[] = [
    { opcode: 3 },
    { opcode: 2, rsv: 0x70 },
    { opcode: 0 },
    { opcode: 9, fin: false },
    { opcode: 2, claims: 5, lengthBits: 64 },
    { opcode: 2, claims: 2n ** 60n },
    { opcode: 1, payload: '\u00e9' },
  ];
  const attack = claim('more frames after a fault', 'RFC 6455, 7.1.7 and CVE-2026-54466');
  await survives(attack, { events: 0, warmUps: 2 }, async () => {
    let events = 0;
    const note = (): void => void events++;
    for (const role of ROLES) {
      for (const { opcode, payload = '', ...fields } of faults) {
        for (const together of YES_OR_NO) {
          const target = targetConn(role);
          target.conn.setPingHandler(note);
          target.conn.setPongHandler(note);
          target.conn.setCloseHandler(note);
          const received = target.conn.receive(note).catch(() => {});
          await target.platform.settle();
          const wrong = Buffer.from(payload, 'latin1');
          const more = [
            frame(role, 1, 'more'),
            frame(role, 9, 'ping'),
            frame(role, 10, 'pong'),
            frame(role, 2, 'x', { fin: false }),
            frame(role, 0, 'y'),
            frame(role, 8, Uint8Array.of(3, 232)),
          ];
          const fault = frame(role, opcode, wrong, fields);
          if (together) target.feed(fault, ...more);
          else for (const bytes of [fault, ...more]) target.feed(bytes);
          await target.platform.settle();
          // The target has sent one close frame and its FIN.
          expect(target.sent().map((sent) => sent.opcode)).toEqual([8]);
          expect(target.transport.ended).toBe(true);
          target.transport.feedEnd();
          await target.platform.settle();
          expect(target.transport.closed).toBe(true);
          await received;
          await target.end();
        }
      }
    }
    return { events };
  });
});

describe('the framing of drafts', () => {
  const packages = fileURLToPath(new URL('../../packages', import.meta.url));

  it('is a fault in RFC 6455', async () => {
    // hixie-75 and 76: text between 00 and FF, a binary frame 80 with a length, the close FF 00.
    const drafts = ['00 68 69 ff', '80 02 68 69', 'ff 00', '00 ff'].map((text) => hex(text));
    const attack = claim('the framing of hixie-75, hixie-76 and hybi drafts', 'CVE-2026-54466');
    await survives(attack, { close: 1002, warmUps: 3 }, async () => {
      const closes = [];
      for (const role of ROLES) {
        for (const bytes of drafts) {
          closes.push((await answerTo(role, new Uint8Array(), {}, [bytes])).close);
        }
      }
      return { close: only(closes) };
    });
  });

  it('is implemented in no package', () => {
    const sources = readdirSync(packages, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /^[\w-]+\/src\/.*\.ts$/.test(path),
    );
    expect(sources.length).toBeGreaterThan(100);
    const drafts = /hixie|hybi|sec-websocket-key[12]|sec-websocket-draft|draft-ietf-hybi/i;
    const speaking = sources.filter((path) =>
      drafts.test(readFileSync(`${packages}/${path}`, 'utf8')),
    );
    expect(speaking).toEqual([]);
  });
});

const FRAMES = 1_000_000;
/** Header bytes of a masked frame with one byte of payload. */
const HEADER = 6;
const SLOTS = 1 << 21;

/** Counts the masking keys that repeat, in frames of one byte. */
class KeyCounter implements Transport {
  frames = 0;
  repeats = 0;
  readonly bufferedAmount = 0;
  readonly #keys = new Uint32Array(SLOTS);
  readonly #taken = new Uint8Array(SLOTS);

  start(): void {}

  write(chunk: Uint8Array, release?: () => void): boolean {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < chunk.length; at += HEADER + 1) this.#count(view.getUint32(at + 2));
    release?.();
    return true;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  clear(): void {
    this.#taken.fill(0);
    this.frames = 0;
    this.repeats = 0;
  }

  #count(key: number): void {
    this.frames++;
    let slot = Math.imul(key, 0x9e3779b1) >>> 11;
    for (; this.#taken[slot] === 1; slot = (slot + 1) & (SLOTS - 1)) {
      if (this.#keys[slot] !== key) continue;
      this.repeats++;
      return;
    }
    this.#taken[slot] = 1;
    this.#keys[slot] = key;
  }
}

describe('the masking keys of a client', () => {
  it('are new for each frame, and repeat as often as by chance', async () => {
    const counter = new KeyCounter();
    const conn = new Conn(counter, { role: 'client', platform: nodePlatform });
    const prepared = new PreparedMessage(TextMessage, 'x');
    // The birthday problem: the expected number of equal pairs.
    const expected = (FRAMES * (FRAMES - 1)) / 2 / 2 ** 32;
    const attack = claim('a predictable masking key', 'RFC 6455, 5.3 and CVE-2025-10148');
    const bound = { masks: atLeast(1_000_000), beyondChance: 0 };
    const { repeats } = await survives(attack, bound, async () => {
      counter.clear();
      while (counter.frames < FRAMES) {
        for (let i = 0; i < 250; i++) {
          void conn.send('x');
          void conn.writePreparedMessage(prepared);
        }
        await turn();
      }
      const off = Math.abs(counter.repeats - expected);
      const beyond = Math.max(0, off - 6 * Math.sqrt(expected));
      return { masks: counter.frames, beyondChance: beyond, repeats: counter.repeats };
    });
    expect(repeats).toBeGreaterThan(0);
    conn.terminate();
  });
});
