import { expect, it } from 'vitest';
import { nothingUnhandled } from '../raw.ts';
import { compare } from './differential.ts';

nothingUnhandled();

/** Different answers, never a connection on the raw side alone: node:http first. */
const KNOWN = [
  '400 405', // A method that node:http does not know.
  '400 426',
  '426 400', // The server of this test does not check Host; serve does.
  '100 426', // Expect of a plain request.
  '100 400',
  '417 426',
  '417 400',
  '101 400', // Stricter: two spaces before the version, empty lines before the request.
  '403 400', // The same bytes with an Origin that both refuse.
  '405 400', // The target of a CONNECT is neither a path nor a URL, and raw checks it before the method.
  '0 400',
  '400 0', // node:http judges a field before the head is complete.
];

it('a raw upgrade refuses what node:http with an Upgrader refuses, with the same status', async () => {
  const seen = await compare(2_000, 1);
  const different = [...seen].filter(([pair]) => {
    const [node, raw] = pair.split(' ');
    return node !== raw && !KNOWN.includes(pair);
  });
  expect(different).toEqual([]);
  expect(seen.get('101 101')?.count).toBeGreaterThan(250);
});
