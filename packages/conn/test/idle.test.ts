import { BinaryMessage, TextMessage } from '@ws/codec';
import { FakeHost, naiveEncode } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { Intake, MESSAGE, NOTHING, PING } from '../src/intake.ts';
import { resolveSettings } from '../src/options.ts';

const MASK = { mask: 0x01020304 };

function intake(): Intake {
  const { readLimit } = resolveSettings({}, 'server');
  const taken = new Intake('server', resolveSettings({}, 'server'), new FakeHost(), false);
  taken.serve({ framesIn: 0, messagesIn: 0, pingsIn: 0, readLimit, deflating: undefined });
  return taken;
}

describe('an intake with nothing left to parse', () => {
  it.each([
    {
      of: 'a message',
      frame: naiveEncode(BinaryMessage, Buffer.alloc(60_000), MASK),
      event: MESSAGE,
    },
    { of: 'a text', frame: naiveEncode(TextMessage, Buffer.from('hello'), MASK), event: MESSAGE },
    { of: 'a ping', frame: naiveEncode(9, Buffer.from('hello'), MASK), event: PING },
  ])('holds nothing of the chunk of $of', ({ frame, event }) => {
    const taken = intake();
    taken.push(new Uint8Array(frame));
    expect(taken.next()).toBe(event);
    expect(taken.bytes.length).toBeGreaterThan(0);
    expect(taken.next()).toBe(NOTHING);
    expect(taken.bytes.length).toBe(0);
    expect(taken.held).toBe(0);
  });
});
