import { isUtf8 } from 'node:buffer';
import { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from '@ws/codec';
import { utf8Length } from '@ws/codec/internal';
import { naiveUtf8 } from '@ws/tests';
import { Input, piecesOf } from '../harness/input.ts';
import { bytesOf, ensureSame, type Target } from '../harness/target.ts';

/** Compares `utf8Step` with the platform and the definition, and `utf8Length` with Buffer. */
export function utf8(step: typeof utf8Step = utf8Step): Target {
  return {
    name: 'utf8',
    description:
      'utf8Step agrees with isUtf8 and RFC 3629 for any pieces, and fails at the first bad byte',
    covers: ['packages/codec/src/text/utf8-automaton.ts'],
    maxLength: 400,
    dictionary: bytesOf(
      'é',
      ...[
        'c3a9',
        'e282ac',
        'f09f9880',
        'c080',
        'eda080',
        'f4908080',
        'efbfbd',
        'f0908080',
        'e0a080',
      ].map((hex) => Buffer.from(hex, 'hex')),
      'a'.repeat(64),
      Buffer.from('漢'.repeat(30)),
    ),
    separators: [],
    seeds: [
      Buffer.from('\0\0\0\0aé€😀'),
      Buffer.from(`\u0003\u0005\0\u0001${'漢😀a'.repeat(20)}`),
      Buffer.from(`\u0002\u0040\0\u0001${'a'.repeat(90)}é`),
    ].map((seed) => Uint8Array.from(seed)),
    run(input) {
      const read = new Input(input);
      const cuts = read.cuts(3);
      const platform = read.flag() ? isUtf8 : undefined;
      const bytes = read.rest();
      let state = UTF8_ACCEPT;
      let at = 0;
      for (const piece of piecesOf(bytes, cuts, 40)) {
        state = step(state, bytes, at, at + piece.length, platform);
        at += piece.length;
        const verdict = state === UTF8_ACCEPT ? 'whole' : state === UTF8_REJECT ? 'bad' : 'cut';
        ensureSame(verdict, naiveUtf8(bytes.subarray(0, at)), `after ${at} bytes`);
      }
      ensureSame(state === UTF8_ACCEPT, isUtf8(bytes), 'all bytes');
      const units = Buffer.from(bytes).toString('utf16le');
      ensureSame(utf8Length(units), Buffer.byteLength(units), 'length of the text');
    },
  };
}
