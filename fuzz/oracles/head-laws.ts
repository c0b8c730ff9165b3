import type { RequestHead, ResponseHead } from '@ws/codec';
import { piecesOf } from '../harness/input.ts';
import { ensureSame } from '../harness/target.ts';
import { type Head, linesOf } from './http-head.ts';

/**
 * Pushes a head in pieces and checks that the cuts change nothing.
 *
 * @returns The head, or undefined when it is incomplete or malformed.
 */
export function pushHead<H extends RequestHead | ResponseHead>(
  createHead: () => H,
  bytes: Uint8Array,
  cuts: readonly number[],
): H | undefined {
  const whole = createHead();
  const verdict = whole.push(bytes);
  const head = createHead();
  let before = 0;
  for (const piece of piecesOf(bytes, cuts)) {
    if (head.push(piece) !== 'more') break;
    before += piece.length;
  }
  ensureSame(head.push(new Uint8Array(0)), verdict, 'verdict about pieces');
  ensureSame(head.fault?.message, whole.fault?.message, 'fault of pieces');
  if (verdict !== 'done') return undefined;
  ensureSame(before + head.end, whole.end, 'end of the head in pieces');
  return head;
}

/** Compares all fields of a head with those of the oracle. */
export function compareFields(head: RequestHead | ResponseHead, expected: Head): void {
  for (const [name] of expected.fields) {
    const values = JSON.stringify(linesOf(expected, name));
    ensureSame(JSON.stringify(head.lines(name)), values, `lines of ${name}`);
  }
}
