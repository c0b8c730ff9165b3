import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { Chapter } from '../model/chapter.ts';
import { utf8 } from '../wire/bytes.ts';
import { closePayload, expectFailure } from '../wire/expect.ts';
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  type FrameSpec,
  opcodeName,
  PING,
  PONG,
  RSV1,
  RSV2,
  RSV3,
  TEXT,
} from '../wire/frame.ts';
import { addHeaderFaults } from './rows.ts';

const payload = utf8('reserved');
const whole = { opcode: TEXT, payload: utf8('a whole message') };
const start = { opcode: TEXT, payload: utf8('a fragment '), fin: false };

/** Frames to send first, and the frame that gets the reserved bits. */
const PLACES: readonly (readonly [
  title: string,
  before: readonly FrameSpec[],
  frame: FrameSpec,
])[] = [
  ['on a text frame', [], { opcode: TEXT, payload }],
  ['on an empty text frame', [], { opcode: TEXT }],
  ['on a binary frame', [], { opcode: BINARY, payload }],
  ['on the first fragment of a message', [], { opcode: TEXT, payload, fin: false }],
  ['on the last fragment of a message', [start], { opcode: CONTINUATION, payload }],
  [
    'on a fragment in the middle of a message',
    [start],
    { opcode: CONTINUATION, payload, fin: false },
  ],
  ['on a ping', [], { opcode: PING, payload }],
  ['on a pong', [], { opcode: PONG, payload }],
  ['on a close frame', [], { opcode: CLOSE, payload: closePayload(1000) }],
  ['on a ping between fragments', [start], { opcode: PING, payload }],
  ['on the frame after a whole message', [whole], { opcode: TEXT, payload }],
];

/** Creates chapter 3: reserved bits without an extension, for both roles. */
export function reserved<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(3);
  const facts = {
    section: 'RFC 6455, 5.2',
    expects: 'the target fails the connection with 1002: no extension was negotiated',
  };
  for (const [place, before, frame] of PLACES) {
    const add = chapter.section(facts);
    for (let rsv = 1; rsv < 8; rsv++) {
      add(`${bitsOf(rsv)} ${place}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames(...before, { ...frame, rsv });
        await expectFailure(peer, [1002], `${bitsOf(rsv)} ${place}`, { after: [whole] });
      });
    }
  }
  const add = chapter.section(facts);
  for (const rsv of [4, 2, 1]) {
    add(`${bitsOf(rsv)} on a text frame sent byte by byte`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut([{ opcode: TEXT, payload, rsv }], 1, { untilAnswered: true });
      await expectFailure(peer, [1002], bitsOf(rsv));
    });
  }
  addHeaderFaults(
    chapter,
    [TEXT, BINARY, PING].flatMap((opcode) =>
      [RSV1, RSV2, RSV3].map((rsv, at) => ({
        title: `only the header of a ${opcodeName(opcode)} frame with RSV${at + 1}`,
        frame: { opcode, rsv },
      })),
    ),
  );
  return chapter;
}

function bitsOf(rsv: number): string {
  return ['RSV1', 'RSV2', 'RSV3'].filter((_, at) => (rsv & (4 >> at)) !== 0).join(' and ');
}
