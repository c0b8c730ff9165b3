import { NodeRequestParser } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { RawUpgrader } from '../../src/raw/index.ts';
import { nothingUnhandled, parseAnswer, request } from '../raw.ts';
import { LLHTTP_CASES } from './llhttp-cases.ts';
import { Wire } from './wire.ts';

nothingUnhandled();

describe('a raw upgrade and the request tests of llhttp', () => {
  const node = new NodeRequestParser();
  const upgrader = new RawUpgrader({ heartbeat: false });
  const listener = upgrader.listener((conn) => conn.terminate());

  it.each(LLHTTP_CASES)('$file: $title', async ({ change, taken, stricter, status }) => {
    const bytes = request(change);
    const wire = new Wire();
    listener(wire);
    wire.push(bytes);
    const answer = parseAnswer(await wire.answered());
    expect(answer.status).toBe(status ?? (taken ? 101 : 400));
    expect(answer.status === 101).toBe(taken && stricter === undefined);
    // The llhttp of this Node may be stricter than the list, or may ignore a body of an upgrade.
    if (answer.status === 101) expect(await node.accepts(Uint8Array.from(bytes))).toBe(true);
    wire.destroy();
  });
});
