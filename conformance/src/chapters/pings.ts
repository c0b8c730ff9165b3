import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  checkAlive,
  closeCleanly,
  closePayload,
  eventText,
  expectAll,
  expectClosed,
  expectFailure,
  expectMessage,
  expectPong,
  ping,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesText,
  CLOSE,
  CONTINUATION,
  opcodeName,
  PING,
  PONG,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { addFaults } from './rows.ts';

/** Creates chapter 2: pings and pongs, for both roles. */
export function pings<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(2);
  payloads(chapter);
  several(chapter);
  unsolicited(chapter);
  amongMessages(chapter);
  tooLong(chapter);
  inPieces(chapter);
  fromTheHeader(chapter);
  return chapter;
}

/** Payloads of a ping. */
const PAYLOADS: readonly (readonly [string, Buffer])[] = [
  ...[0, 1, 2, 4, 31, 64, 123, 124, 125].map(
    (size) => [`of ${bytesText(size)}`, letters(size)] as const,
  ),
  ['of 125 zeros', Buffer.alloc(125)],
  ['of bytes that are not UTF-8', Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff])],
  ['of bytes above ASCII', Buffer.from(Array.from({ length: 125 }, (_, at) => 0x80 + at))],
  ['that looks like a close code', Buffer.from([0x03, 0xe8])],
];

function payloads(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.2 and 5.5.3',
    expects: 'the target answers with a pong of the same bytes',
  });
  for (const [title, payload] of PAYLOADS) {
    add(`a ping ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await ping(peer, payload);
      await closeCleanly(peer);
    });
  }
}

function several(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.3',
    expects: 'the target answers each ping',
  });
  add('ten pings, each sent after the pong for the previous one', async (attempt) => {
    const peer = await attempt.open();
    for (let at = 0; at < 10; at++) await ping(peer, utf8(`ping ${at}`));
    await closeCleanly(peer);
  });
  add('two pings with the same bytes, one after the other', async (attempt) => {
    const peer = await attempt.open();
    await ping(peer, utf8('twin'));
    await ping(peer, utf8('twin'));
    await closeCleanly(peer);
  });
  severalInOneSegment(add);
}

/** Adds pings that the target may answer with only the last pong. */
function severalInOneSegment(add: AddCase<TargetAttempt>): void {
  for (const count of [2, 10, 100]) {
    add(
      `${count} pings in one segment`,
      async (attempt) => {
        const peer = await attempt.open();
        const sent = Array.from({ length: count }, (_, at) => utf8(`ping ${at}`));
        await peer.sendFrames(...sent.map((payload) => ({ opcode: PING, payload })));
        await expectLastPong(peer, sent);
        await closeCleanly(peer);
      },
      {
        expects: 'the target answers the last ping, and any earlier ones in order',
        // RFC 6455, 10.4, allows limits, and no application needs a hundred pings at once.
        level: count < 100 ? 'must' : 'should',
      },
    );
  }
}

/** RFC 6455, 5.5.3: the target may answer only the newest of several pings. */
async function expectLastPong(peer: Peer, sent: readonly Uint8Array[]): Promise<void> {
  let at = 0;
  while (at < sent.length) {
    const event = await peer.next('a pong', { pongs: true });
    if (event.kind !== 'pong') peer.attempt.fail(`received ${eventText(event)}, expected a pong`);
    const found = sent.findIndex((payload) => event.payload.equals(payload));
    if (found === -1) continue;
    if (found < at) peer.attempt.fail('received a pong that is out of order');
    at = found + 1;
  }
}

function unsolicited(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.3',
    expects: 'the target sends nothing, and the connection still works',
  });
  for (const size of [0, 1, 64, 125]) {
    add(`an unsolicited pong of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: PONG, payload: pattern(size) });
      await expectOnlyPong(peer, [pattern(size)]);
    });
  }
  add('ten unsolicited pongs in one segment', async (attempt) => {
    const peer = await attempt.open();
    const sent = Array.from({ length: 10 }, (_, at) => pattern(at));
    await peer.sendFrames(...sent.map((payload) => ({ opcode: PONG, payload })));
    await expectOnlyPong(peer, sent);
  });
  add(
    'an unsolicited pong, then a ping with different bytes',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode: PONG, payload: utf8('not asked for') },
        { opcode: PING, payload: utf8('asked') },
      );
      await expectPong(peer, utf8('asked'), [utf8('not asked for')]);
      await closeCleanly(peer);
    },
    { expects: 'the target answers only the ping' },
  );
}

/** Expects the pong for our ping, and no answer to the unsolicited pongs `sent`. */
async function expectOnlyPong(peer: Peer, sent: readonly Uint8Array[]): Promise<void> {
  const question = utf8('anything?');
  await peer.sendFrames({ opcode: PING, payload: question });
  await expectPong(peer, question, sent);
  await checkAlive(peer);
  await closeCleanly(peer);
}

const message = { opcode: TEXT, payload: utf8('a message') };
const question = { opcode: PING, payload: utf8('a ping') };
const halves = [
  { opcode: TEXT, payload: utf8('a mess'), fin: false },
  { opcode: CONTINUATION, payload: utf8('age') },
] as const;
/** A ping and a message in different orders. */
const ORDERS = [
  ['a ping before a message, in one segment', [question, message]],
  ['a ping after a message, in one segment', [message, question]],
  ['a ping between two fragments, in one segment', [halves[0], question, halves[1]]],
  [
    'an unsolicited pong between two fragments',
    [halves[0], { opcode: PONG, payload: utf8('x') }, question, halves[1]],
  ],
] as const;

function amongMessages(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.5',
    expects: 'the target answers the ping, and the whole message comes back',
  });
  for (const [title, frames] of ORDERS) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames);
      await expectAll(peer, [message], question.payload);
      await closeCleanly(peer);
    });
  }
  beforeLastFragment(add);
  withClose(add);
}

/** Adds pings whose pong must not wait for the end of the message. */
function beforeLastFragment(add: AddCase<TargetAttempt>): void {
  for (const [name, opcode] of [
    ['text', TEXT],
    ['binary', BINARY],
  ] as const) {
    add(
      `a ping between the fragments of a ${name} message, whose last fragment follows the pong`,
      async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ ...halves[0], opcode }, question);
        await expectPong(peer, question.payload);
        await peer.sendFrames(halves[1]);
        await expectMessage(peer, opcode, message.payload);
        await closeCleanly(peer);
      },
      { expects: 'the pong arrives before the message is complete', level: 'should' },
    );
  }
}

/** Adds a ping before and after a close frame. */
function withClose(add: AddCase<TargetAttempt>): void {
  add(
    'a ping and a close frame in one segment',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(question, { opcode: CLOSE, payload: closePayload(1000) });
      await expectClosed(peer, 1000, { codes: 'any' });
    },
    {
      section: 'RFC 6455, 5.5.2',
      expects: 'the target answers the close frame, and may answer the ping',
    },
  );
  add(
    'a ping after a close frame',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) }, question);
      await expectClosed(peer, 1000, { codes: 'any' });
    },
    {
      section: 'RFC 6455, 5.5.1',
      expects: 'the target answers the close frame and nothing after it',
    },
  );
}

function tooLong(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5',
    expects: 'the target fails the connection with 1002: a control frame has at most 125 bytes',
  });
  for (const opcode of [PING, PONG]) {
    for (const size of [126, 127, 1000, 65_536]) {
      add(`a ${opcodeName(opcode)} of ${bytesText(size)}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode, payload: letters(size) });
        await expectFailure(peer, [1002], 'the control frame is too long');
      });
    }
    add(`a ${opcodeName(opcode)} that is not final`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode, payload: utf8('half'), fin: false });
      await expectFailure(peer, [1002], 'a control frame must not be fragmented');
    });
    add(`a ${opcodeName(opcode)} in two fragments`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode, payload: utf8('half'), fin: false },
        { opcode: CONTINUATION, payload: utf8('half') },
      );
      await expectFailure(peer, [1002], 'a control frame must not be fragmented');
    });
  }
}

/** Payload sizes of a ping, each with the size of the pieces. */
const PIECES = [
  [0, 1],
  [5, 1],
  [125, 1],
  [125, 7],
  [125, 60],
] as const;

function inPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.3',
    expects: 'the target answers with a pong of the same bytes',
  });
  for (const [size, piece] of PIECES) {
    add(`a ping of ${bytesText(size)}, in pieces of ${bytesText(piece)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut([{ opcode: PING, payload: pattern(size) }], piece);
      await expectPong(peer, pattern(size));
      await closeCleanly(peer);
    });
  }
}

function fromTheHeader(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5',
    level: 'advice',
    expects: 'the target fails the connection with 1002 as soon as the header arrives',
  });
  addFaults(add, [
    {
      title: 'only the header of a ping of 126 bytes',
      send: () => [{ opcode: PING, payload: letters(126) }],
      withheld: 126,
      codes: [1002],
    },
    {
      title: 'only the header of a pong of 65,536 bytes',
      send: () => [{ opcode: PONG, payload: letters(65_536) }],
      withheld: 65_536,
      codes: [1002],
    },
    {
      title: 'only the header of a ping that is not final',
      send: () => [{ opcode: PING, payload: letters(10), fin: false }],
      withheld: 10,
      codes: [1002],
    },
  ]);
}
