import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { Chapter } from '../model/chapter.ts';
import { letters, utf8 } from '../wire/bytes.ts';
import { expectFailure } from '../wire/expect.ts';
import { type FrameSpec, TEXT } from '../wire/frame.ts';
import { addHeaderFaults } from './rows.ts';

const RESERVED = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
const payload = utf8('unknown');
const whole = { opcode: TEXT, payload: utf8('a whole message') };

const PLACES: readonly (readonly [
  title: string,
  before: readonly FrameSpec[],
  frame: Omit<FrameSpec, 'opcode'>,
])[] = [
  ['empty', [], {}],
  ['with a payload', [], { payload }],
  ['not final', [], { payload, fin: false }],
  ['with 126 bytes', [], { payload: letters(126) }],
  ['after a whole message', [whole], { payload }],
  ['between fragments', [{ opcode: TEXT, payload, fin: false }], { payload }],
];

/** Creates chapter 4: reserved opcodes, for both roles. */
export function opcodes<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(4);
  const facts = {
    section: 'RFC 6455, 5.2',
    expects: 'the target fails the connection with 1002: the opcode is reserved',
  };
  for (const [place, before, frame] of PLACES) {
    const add = chapter.section(facts);
    for (const opcode of RESERVED) {
      const name = `opcode 0x${opcode.toString(16)}`;
      add(`${name}, ${place}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames(...before, { ...frame, opcode });
        await expectFailure(peer, [1002], `${name} is reserved`, { after: [whole] });
      });
    }
  }
  const add = chapter.section(facts);
  for (const opcode of [3, 11]) {
    add(`opcode 0x${opcode.toString(16)}, byte by byte`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut([{ opcode, payload }], 1, { untilAnswered: true });
      await expectFailure(peer, [1002], 'the opcode is reserved');
    });
  }
  for (const opcode of [7, 15]) {
    add(`opcode 0x${opcode.toString(16)}, byte by byte, after a whole message`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut([whole, { opcode, payload }], 1);
      await expectFailure(peer, [1002], 'the opcode is reserved', { after: [whole] });
    });
  }
  addHeaderFaults(
    chapter,
    [3, 7, 11, 15].map((opcode) => ({
      title: `only the header of a frame with opcode 0x${opcode.toString(16)}`,
      frame: { opcode },
    })),
  );
  return chapter;
}
