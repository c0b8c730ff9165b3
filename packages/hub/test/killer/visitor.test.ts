import { expect, it } from 'vitest';
import { Visitor } from './visitor.ts';
import type { ToVisitor } from './visits.ts';

const at = (offset: number, epoch = 'e') => ({ epoch, offset });
const message = (number: number): ToVisitor => ({ run: 'n', number, position: at(number) });
const accepted = new Map([['n', new Map([1, 2, 3].map((number) => [number, undefined]))]]);

/** Judges a visitor that lacks the message 2. */
function judge(...events: ToVisitor[]): number[] {
  const visitor = new Visitor(1, 'room', () => '0');
  visitor.events.push(...events.map((event) => ({ ...event, visit: 1, node: 'n', at: '0' })));
  const { told, lost } = visitor.judge(accepted);
  return [told, lost.length];
}

it.each<[string, ToVisitor[], number[]]>([
  ['no word', [{ complete: true, position: at(0) }, message(1), message(3)], [0, 1]],
  ['a gap', [message(1), { gap: true, position: at(2) }, message(3)], [1, 0]],
  [
    'a history that is not complete',
    [{ complete: false, position: at(3) }, message(1), message(3)],
    [1, 0],
  ],
  [
    'a live message after it',
    [{ complete: false, position: at(1) }, message(1), message(3)],
    [0, 1],
  ],
  ['another history', [{ complete: false, position: at(3, 'f') }, message(1), message(3)], [0, 1]],
])('the judge of a visitor knows what it was told: %s', (_, events, result) => {
  expect(judge(...events)).toEqual(result);
});
