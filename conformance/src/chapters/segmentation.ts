import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { cut, letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  closePayload,
  expectAll,
  expectClosed,
  expectMessage,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesText,
  CLOSE,
  CONTINUATION,
  type FrameSpec,
  PING,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments } from './fragments.ts';
import { RandomChoices } from './random-choices.ts';
import { addEchoes, addFaults } from './rows.ts';

/** Creates chapter 10: frames cut into TCP segments at any byte, for both roles. */
export function segmentation<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(10);
  pieces(chapter);
  headers(chapter);
  borders(chapter);
  single(chapter);
  conversations(chapter);
  ofOneKind(chapter);
  return chapter;
}

const MESSAGES = [
  { opcode: TEXT, payload: utf8('a short text') },
  { opcode: BINARY, payload: pattern(130) },
  { opcode: TEXT, payload: utf8('in three fragments') },
  { opcode: BINARY, payload: utf8('') },
  { opcode: TEXT, payload: letters(300) },
];

/** One frame of each kind, and messages of each kind. */
const STREAM: readonly FrameSpec[] = [
  MESSAGES[0]!,
  { opcode: PING, payload: utf8('one') },
  MESSAGES[1]!,
  { opcode: TEXT, payload: utf8('in three '), fin: false },
  { opcode: PING, payload: utf8('two') },
  { opcode: CONTINUATION, payload: utf8('frag'), fin: false },
  { opcode: CONTINUATION, payload: utf8('ments') },
  MESSAGES[3]!,
  MESSAGES[4]!,
  { opcode: PING, payload: utf8('three') },
];

function pieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    expects: 'all messages come back, and the target answers the last ping',
  });
  for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 17, 31, 64, 100, 255, 1000]) {
    add(`frames of every kind, in segments of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut(STREAM, size);
      await expectAll(peer, MESSAGES, utf8('three'));
      await closeCleanly(peer);
    });
  }
}

/** Length forms, each with a payload size and the size of its masked header. */
const HEADERS = [
  [7, 100, 6],
  [16, 1000, 8],
  [64, 66_000, 14],
] as const;

/** The three length forms have headers of 2, 4 and 10 bytes; a masking key adds 4 bytes. */
function headers(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.2', expects: 'the same message comes back' });
  for (const [bits, size, length] of HEADERS) {
    for (let at = 1; at <= length; at++) {
      const title = `a message of ${bytesText(size)} with a length of ${bits} bits, cut after byte ${at}`;
      add(title, async (attempt) => {
        const peer = await attempt.open();
        const payload = pattern(size);
        await sendCutAt(peer, peer.bytes({ opcode: BINARY, payload }), at);
        await expectMessage(peer, BINARY, payload);
        await closeCleanly(peer);
      });
    }
  }
}

async function sendCutAt(peer: Peer, bytes: Buffer, at: number): Promise<void> {
  await peer.sendPieces([bytes.subarray(0, at), bytes.subarray(at)], { label: 'frames' });
}

const FIRST = { opcode: TEXT, payload: utf8('the first') };

const SECOND = { opcode: BINARY, payload: pattern(200) };

function borders(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.2', expects: 'both messages come back' });
  for (const offset of [-5, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8]) {
    const where = `${bytesText(Math.abs(offset))} ${offset < 0 ? 'before' : 'after'}`;
    add(`two messages in two segments, cut ${where} the frame boundary`, async (attempt) => {
      const peer = await attempt.open();
      const head = peer.bytes(FIRST);
      await sendCutAt(peer, Buffer.concat([head, peer.bytes(SECOND)]), head.length + offset);
      await expectAll(peer, [FIRST, SECOND]);
      await closeCleanly(peer);
    });
  }
  halfAPing(add);
}

/** Adds a ping whose last bytes arrive later. */
function halfAPing(add: AddCase<TargetAttempt>): void {
  add('a message and half a ping, then the rest', async (attempt) => {
    const peer = await attempt.open();
    const bytes = peer.bytes(FIRST, { opcode: PING, payload: utf8('ping') });
    await sendCutAt(peer, bytes, bytes.length - 2);
    await expectAll(peer, [FIRST], utf8('ping'));
    await closeCleanly(peer);
  });
}

function single(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    expects: 'all messages come back, and the target answers the close frame',
  });
  add(
    'messages, pings and a close frame in one segment',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...STREAM, { opcode: CLOSE, payload: closePayload(1000) });
      await expectAll(peer, MESSAGES);
      await expectClosed(peer, 1000, { codes: 'any' });
    },
    { level: 'advice', section: 'RFC 6455, 5.5.1' },
  );
  add(
    'messages, pings and a close frame byte by byte',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut([...STREAM, { opcode: CLOSE, payload: closePayload(1000) }], 1);
      await expectAll(peer, MESSAGES);
      await expectClosed(peer, 1000, { codes: 'any' });
    },
    { level: 'advice', section: 'RFC 6455, 5.5.1' },
  );
  for (const size of [1000, 1460, 4096, 16_384]) {
    add(
      `a message of 100,000 bytes in segments of ${bytesText(size)}`,
      async (attempt) => {
        const peer = await attempt.open();
        const payload = pattern(100_000);
        await peer.sendPieces(cut(peer.bytes({ opcode: BINARY, payload }), size), {
          label: 'a binary frame',
        });
        await expectMessage(peer, BINARY, payload);
        await closeCleanly(peer);
      },
      { expects: 'the same message comes back' },
    );
  }
}

function conversations(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2 to 5.6',
    expects: 'all messages come back in order, and the target answers the last ping',
  });
  for (let at = 1; at <= 20; at++) {
    add(
      `random conversation ${at}: sizes, fragments, pings, pongs and segments`,
      async (attempt) => {
        const peer = await attempt.open();
        const random = new RandomChoices(attempt, at);
        const messages = Array.from({ length: 12 }, () => random.message());
        const frames = messages.flatMap(({ opcode, payload }) =>
          random.withControls(fragments(opcode, payload, random.sizes(payload.length))),
        );
        const lastPing = { opcode: PING, payload: utf8('the last one') };
        const bytes = peer.bytes(...frames, lastPing);
        await peer.sendPieces(random.cut(bytes), { label: 'a random conversation' });
        await expectAll(peer, messages, lastPing.payload);
        await closeCleanly(peer);
      },
    );
  }
}

function ofOneKind(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    expects: 'the messages come back, and the target answers the last ping',
  });
  const kinds = [
    ['text', TEXT, letters],
    ['binary', BINARY, pattern],
  ] as const;
  addEchoes(add, [
    ...kinds.map(([kind, opcode, make]) => ({
      title: `a ${kind} message of 65,536 bytes in segments of 997 bytes`,
      send: () => [{ opcode, payload: make(65_536) }],
      cut: 997,
    })),
    {
      title: 'ten pings, byte by byte',
      send: () =>
        Array.from({ length: 10 }, (_, at) => ({ opcode: PING, payload: utf8(`ping ${at}`) })),
      cut: 1,
    },
  ]);
  const bad = chapter.section({
    section: 'RFC 6455, 5.4',
    expects: 'the target fails the connection with 1002: there is no message to continue',
  });
  addFaults(
    bad,
    [true, false].map((fin) => ({
      title: `a continuation frame as the first frame, ${fin ? 'final' : 'not final'}, then a text, byte by byte`,
      send: () => [
        { opcode: CONTINUATION, payload: utf8('no message'), fin },
        { opcode: TEXT, payload: utf8('a text') },
      ],
      cut: 1,
      codes: [1002],
    })),
  );
}
