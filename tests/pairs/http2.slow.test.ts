// The pairs again, between the two ends of a stream of HTTP/2.
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../kit/index.ts';
import { expectedPairs } from './expected.ts';
import { runPair } from './run-pair.ts';
import { http2Wire } from './wire.ts';

const LOST = 'rejects with CloseError 1006; does not arrive';
/**
 * Outcomes that differ by nature. A FIN, a reset and the ping of the peer take turns of the event
 * loop: the connection has seen the FIN before the next call, and an earlier message has left.
 */
const DIFFERENT: Readonly<Record<string, readonly [at: 0 | 1, outcome: string]>> = {
  'send, then reset by the peer': [0, 'resolves; does not arrive'],
  'send, then handler that throws': [0, 'resolves; arrives whole'],
  'nextWriter with write, then end by the peer': [0, LOST],
  'end by the peer, then send': [1, LOST],
  'end by the peer, then nextWriter with write': [1, LOST],
  'end by the peer, then setReadDeadline': [1, 'a later read rejects with CloseError 1006'],
  'end by the peer, then abort of a signal': [1, 'rejects with CloseError 1006'],
};

const PAIRS = expectedPairs()
  .filter(({ expected }) => expected !== undefined)
  .map(({ first, second, expected }) => {
    const [at, outcome] = DIFFERENT[`${first}, then ${second}`] ?? [0, expected![0]];
    return { first, second, expected: expected!.with(at, outcome) };
  });

describe.each([
  { says: 'in clear', secure: false },
  { says: 'in TLS', secure: true },
])('over HTTP/2 $says', ({ secure }) => {
  describe.each(['server', 'client'] as const)('on a %s', (role) => {
    describe.each([
      { messages: 'plain', compressed: false },
      { messages: 'compressed', compressed: true },
    ])('with $messages messages', ({ compressed }) => {
      nothingLeft();

      it.each(PAIRS)('$first, then $second', async ({ first, second, expected }) => {
        const wire = http2Wire(secure, whenOver);
        const { outcome, broken } = await runPair(first, second, { role, compressed }, wire);
        expect({ outcome, broken }).toEqual({ outcome: expected, broken: [] });
      });
    });
  });
});
