import {
  BORROWED,
  CHECKED_ONLY,
  CLOSE,
  FAILED,
  IGNORED,
  LEASED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  MessageDecoder,
  type MessageEvent,
  NEED_MORE,
  OWNED,
  type Role,
} from '@ws/codec';
import { ToyExtension, toHex } from '@ws/tests';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { check } from './check.ts';
import { chunksOf, cuts, stream } from './streams.ts';

/** One connection that borrows the decoder. */
const loan = fc.record({
  stream,
  cuts,
  readLimit: fc.constantFrom(Infinity, 100, 5000),
  extension: fc.boolean(),
  streaming: fc.boolean(),
  memory: fc.constantFrom(BORROWED, LEASED, OWNED),
  /** When a connection changes what it wants, in events. */
  unwantedAfter: fc.oneof({ weight: 3, arbitrary: fc.constant(Infinity) }, fc.nat(6)),
  use: fc.constantFrom(CHECKED_ONLY, IGNORED),
  /** When the connection ends, in events. */
  endsAfter: fc.oneof({ weight: 2, arbitrary: fc.constant(Infinity) }, fc.nat(6)),
});
type Loan = typeof loan extends fc.Arbitrary<infer T> ? T : never;

/** Decodes one stream, and returns what the connection sees of it. The decoder is idle afterwards. */
function decode(decoder: MessageDecoder, role: Role, loan: Loan): string[] {
  const { readLimit, streaming, memory, endsAfter, unwantedAfter, use } = loan;
  const counters = { framesIn: 0, messagesIn: 0, pingsIn: 0 };
  const seen: string[] = [];
  const extension = loan.extension ? new ToyExtension(0x40, 3) : undefined;
  decoder.lendTo(counters, readLimit, extension);
  decoder.stopAt = Infinity;
  decoder.memory = memory;
  decoder.streaming = streaming;
  const bytes = role === 'server' ? loan.stream.masked : loan.stream.unmasked;
  for (const chunk of chunksOf(bytes, loan.cuts)) {
    decoder.push(chunk);
    let event: MessageEvent;
    do {
      event = decoder.next();
      const { type, fin, length, assembled } = decoder;
      const isPiece = event === MESSAGE_BEGIN || event === MESSAGE_DATA;
      const message = isPiece || event === MESSAGE ? `${type} ${length} ${isPiece && fin}` : '';
      seen.push(`${event} ${message} ${assembled} ${toHex(decoder.data())}`);
      if (seen.length === unwantedAfter) decoder.setPayloadUse(use);
    } while (event !== NEED_MORE && event !== CLOSE && event !== FAILED && seen.length < endsAfter);
    decoder.keep();
    if (event !== NEED_MORE) break;
  }
  seen.push(JSON.stringify(counters), `error ${String(decoder.error)} idle ${decoder.idle}`);
  if (!decoder.idle) decoder.destroy();
  decoder.takeBack();
  return seen;
}

describe('a MessageDecoder', () => {
  it('decodes for each connection that borrows it as a new one does', () => {
    const roles = fc.constantFrom<Role>('server', 'client');
    const loans = fc.array(loan, { minLength: 2, maxLength: 5 });
    check(fc.tuple(roles, loans), 300, ([role, loans]) => {
      const lent = new MessageDecoder({ role });
      for (const loan of loans) {
        const expected = decode(new MessageDecoder({ role }), role, loan);
        const found = decode(lent, role, loan);
        const at = expected.findIndex((line, i) => line !== found[i]);
        if (at < 0 && found.length === expected.length) continue;
        throw new Error(`lent: ${found[at]}\nnew:  ${expected[at]}`);
      }
    });
  });
});
