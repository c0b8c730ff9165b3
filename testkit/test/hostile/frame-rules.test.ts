import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives } from '../../src/hostile/index.ts';
import { hex, turn } from '../../src/index.ts';
import {
  type FrameFields,
  frame,
  only,
  ROLES,
  readingVictim,
  readUntilFailure,
  SHARED,
  victim,
  warmUp,
} from './victim.ts';

/** A frame that breaks a rule, and what stands before it. */
interface Broken extends FrameFields {
  readonly opcode: number;
  readonly payload?: string;
  /** A message is under way. */
  readonly open?: boolean;
  /** permessage-deflate is agreed on. */
  readonly deflate?: boolean;
}

/** How `role` answers a frame: the close code, the bytes of it that were read, what was delivered. */
async function answerTo(
  role: Role,
  { opcode, payload = '', open = false, deflate = false, ...fields }: Broken,
): Promise<{ close: number; read: number; delivered: number }> {
  const target = await readingVictim(role, { deflate: deflate ? SHARED : undefined });
  if (open) target.feed(target.frame(2, 'x', { fin: false }));
  const read = await readUntilFailure(target, target.frame(opcode, payload, fields));
  const close = target.closeCode();
  const delivered = target.conn.stats.messagesIn;
  await target.end();
  return { close, read, delivered };
}

/** Sends each to both roles. */
async function allTo(
  cases: readonly Broken[],
): Promise<Record<'close' | 'read' | 'cases', number>> {
  const answers = [];
  for (const role of ROLES) for (const each of cases) answers.push(await answerTo(role, each));
  expect(only(answers.map(({ delivered }) => delivered))).toBe(0);
  return {
    close: only(answers.map(({ close }) => close)),
    read: Math.max(...answers.map(({ read }) => read)),
    cases: answers.length,
  };
}

const RSVS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70];
const TYPES = [1, 2];
const CONTROLS = [8, 9, 10];
const YES_OR_NO = [false, true];

describe('a frame is refused', () => {
  it('as a control frame that is long or a fragment', async () => {
    const cases = CONTROLS.flatMap((opcode): Broken[] => [
      { opcode, claims: 126 },
      { opcode, claims: 65_536 },
      { opcode, fin: false },
      { opcode, fin: false, open: true },
      { opcode, fin: false, claims: 126 },
    ]);
    const attack = (): Promise<{ close: number }> => allTo(cases);
    await warmUp(attack, 3);
    await survives(67, attack);
  });

  it('masked or not, where its role does the other', async () => {
    const cases = [0, 1, 2, 8, 9, 10].flatMap((opcode) =>
      ROLES.map((role) => ({ role, opcode, masked: role === 'client', open: opcode === 0 })),
    );
    const attack = async (): Promise<{ close: number }> => {
      const answers = [];
      for (const { role, ...each } of cases) answers.push(await answerTo(role, each));
      expect(Math.max(...answers.map(({ read }) => read))).toBe(2);
      return { close: only(answers.map(({ close }) => close)) };
    };
    await warmUp(attack, 3);
    await survives(68, attack);
  });

  it('with reserved bits that nobody gave a meaning to', async () => {
    const cases = RSVS.flatMap((rsv) =>
      YES_OR_NO.flatMap((deflate): Broken[] => [
        ...CONTROLS.map((opcode) => ({ opcode, rsv, deflate })),
        // RFC 7692, 6: agreed on, RSV1 means a compressed message.
        ...TYPES.filter(() => !(deflate && rsv === 0x40)).map((opcode) => ({
          opcode,
          rsv,
          deflate,
        })),
        { opcode: 0, rsv, deflate, open: true },
      ]),
    );
    const attack = (): Promise<{ close: number }> => allTo(cases);
    await warmUp(attack, 1);
    await survives(70, attack);
  });

  it('as a continuation with the bit of compression', async () => {
    const cases = YES_OR_NO.flatMap((fin) =>
      YES_OR_NO.map((deflate): Broken => ({ opcode: 0, rsv: 0x40, fin, deflate, open: true })),
    );
    const attack = (): Promise<{ close: number }> => allTo(cases);
    await warmUp(attack);
    await survives(71, attack);
  });

  it('with an opcode that is reserved', async () => {
    const cases = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): Broken[] => [
      { opcode },
      { opcode, payload: 'x', open: true },
      { opcode, fin: false },
    ]);
    const attack = (): Promise<{ close: number }> => allTo(cases);
    await warmUp(attack, 3);
    await survives(72, attack);
  });

  it('as a continuation of nothing, or as a message inside a message', async () => {
    const cases = YES_OR_NO.flatMap((fin): Broken[] => [
      { opcode: 0, fin },
      { opcode: 0, fin, payload: 'x' },
      { opcode: 1, fin, open: true },
      { opcode: 2, fin, open: true, payload: 'x' },
    ]);
    const attack = (): Promise<{ close: number }> => allTo(cases);
    await warmUp(attack, 3);
    await survives(73, attack);
  });
});

describe('a masking key', () => {
  it('of zero is read, and of our own none is used twice', async () => {
    const messages = 5_000;
    await survives(69, async () => {
      const target = await readingVictim('server');
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
      await target.host.settle();
      expect(read).toEqual(['ping ping']);
      const delivered = target.conn.stats.messagesIn;
      await target.end();

      const sender = victim('client');
      const keys = new Set<string>();
      for (let i = 0; i < messages; i++) {
        void sender.conn.send('x');
        if (i % 100 !== 99) continue;
        await sender.host.settle();
        const sent = sender.transport.takeSent();
        for (let at = 2; at < sent.length; at += 7) keys.add(hexOf(sent, at));
        await turn();
      }
      await sender.end();
      return { delivered, reused: messages - keys.size };
    });
  });
});

function hexOf(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.subarray(at, at + 4)).toString('hex');
}

describe('what comes after a fault', () => {
  it('is neither delivered nor answered', async () => {
    const faults: readonly Broken[] = [
      { opcode: 3 },
      { opcode: 2, rsv: 0x70 },
      { opcode: 0 },
      { opcode: 9, fin: false },
      { opcode: 2, claims: 5, lengthBits: 64 },
      { opcode: 2, claims: 2n ** 60n },
      { opcode: 1, payload: '\u00e9' },
    ];
    const attack = async (): Promise<Outcome> => {
      let events = 0;
      const note = (): void => void events++;
      for (const role of ROLES) {
        for (const { opcode, payload = '', ...fields } of faults) {
          for (const together of YES_OR_NO) {
            const target = victim(role);
            target.conn.setPingHandler(note);
            target.conn.setPongHandler(note);
            target.conn.setCloseHandler(note);
            const received = target.conn.receive(note).catch(() => {});
            await target.host.settle();
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
            await target.host.settle();
            // One close frame, and the end of our side.
            expect(target.sent().map((sent) => sent.opcode)).toEqual([8]);
            expect(target.transport.ended).toBe(true);
            target.transport.feedEnd();
            await target.host.settle();
            expect(target.transport.closed).toBe(true);
            await received;
            await target.end();
          }
        }
      }
      return { events };
    };
    await warmUp(attack, 2);
    await survives(76, attack);
  });
});

describe('the framing of drafts', () => {
  const packages = fileURLToPath(new URL('../../../packages', import.meta.url));

  it('is read as what it is in RFC 6455: a fault', async () => {
    // hixie-75/76 between 00 and FF, its binary frame 80 with a length, its close FF 00.
    const drafts = ['00 68 69 ff', '80 02 68 69', 'ff 00', '00 ff'].map((text) => hex(text));
    const attack = async (): Promise<Outcome> => {
      const closes = [];
      for (const role of ROLES) {
        for (const bytes of drafts) {
          const target = await readingVictim(role);
          target.feed(bytes);
          await target.host.settle();
          closes.push(target.closeCode());
          await target.end();
        }
      }
      return { close: only(closes) };
    };
    await warmUp(attack, 3);
    await survives(77, attack);
  });

  it('has no code anywhere', () => {
    const sources = readdirSync(packages, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /^[\w-]+\/src\/.*\.ts$/.test(path),
    );
    expect(sources.length).toBeGreaterThan(100);
    const drafts = /hixie|hybi|sec-websocket-key[12]|sec-websocket-draft|draft-ietf-hybi/i;
    const speaking = sources.filter((path) => {
      // The conformance suite speaks them to show that others do not.
      return (
        !path.startsWith('conformance/') && drafts.test(readFileSync(`${packages}/${path}`, 'utf8'))
      );
    });
    expect(speaking).toEqual([]);
  });
});
