import { expect, it } from 'vitest';
import { Visitor } from './visitor.ts';
import type { ToVisitor } from './visits.ts';

const position = { epoch: 'e', offset: 1 };
const message = (number: number): ToVisitor => ({ run: 'n', number, position });
const start = (complete: boolean, sentAt: number): ToVisitor => ({ complete, position, sentAt });
const accepted = new Map([['n', new Map([1, 2, 3].map((number) => [number, undefined]))]]);
const published = new Map([['n', new Map([1, 2, 3].map((number) => [number, 10 * number]))]]);

/** Judges a visitor that lacks the message 2, of the time 20. */
function judge(...events: ToVisitor[]): number[] {
  const visitor = new Visitor(1, 'room', () => '0');
  visitor.events.push(...events.map((event) => ({ ...event, visit: 1, node: 'n', at: '0' })));
  const { told, lost } = visitor.judge(accepted, published, new Set());
  return [told, lost.length];
}

it.each<[string, ToVisitor[], number[]]>([
  ['no word', [start(true, 40), message(1), message(3)], [0, 1]],
  ['a gap', [message(1), { gap: true, position }, message(3)], [1, 0]],
  ['a history that is not complete', [start(false, 40), message(1), message(3)], [1, 0]],
  ['the end of such a history', [start(false, 40), message(1)], [2, 0]],
  ['a later message', [start(false, 19), message(1), message(3)], [0, 1]],
  ['a later start', [start(false, 40), message(1), start(true, 50), message(3)], [0, 1]],
])('the judge of a visitor knows what it was told: %s', (_, events, result) => {
  expect(judge(...events)).toEqual(result);
});

it.each([
  ['as many messages as are missing', 2, 'm', [2, 0]],
  ['fewer messages than are missing', 1, 'm', [1, 1]],
  ['fewer messages before its death', 1, 'killed', [2, 0]],
])('the judge of a visitor counts what a node has dropped: %s', (_, count, run, result) => {
  const visitor = new Visitor(1, 'room', () => '0');
  const ofVisit = { visit: 1, node: 'm', at: '0' };
  visitor.events.push({ ...message(1), ...ofVisit }, { ...message(4), ...ofVisit });
  visitor.dropped.set(1, { run, count });
  // Another connection has lost other messages.
  visitor.dropped.set(2, { run: 'm', count: 5 });
  const all = new Map([['n', new Map([1, 2, 3, 4].map((number) => [number, undefined]))]]);
  const times = new Map([['n', new Map([1, 2, 3, 4].map((number) => [number, number]))]]);
  const { told, lost } = visitor.judge(all, times, new Set(['killed']));
  expect([told, lost.length]).toEqual(result);
});
