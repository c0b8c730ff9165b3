import { isUtf8 } from 'node:buffer';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { UTF8_ACCEPT, utf8Step } from '@ws/codec';

/** Says whether bytes are text. */
export type Validate = (bytes: Buffer) => boolean;

const require = createRequire(import.meta.url);
// ws has it in a file of its own, and exports it to nobody.
const { isValidUTF8 } = require(
  join(dirname(require.resolve('ws/package.json')), 'lib/validation.js'),
) as { isValidUTF8: Validate };

/** Ours as it is used, the table alone, Node's check alone, and what ws does. */
export const VALIDATORS: ReadonlyMap<string, Validate> = new Map<string, Validate>([
  ['ours', (bytes) => utf8Step(UTF8_ACCEPT, bytes, 0, bytes.length, isUtf8) === UTF8_ACCEPT],
  ['table', (bytes) => utf8Step(UTF8_ACCEPT, bytes, 0, bytes.length) === UTF8_ACCEPT],
  ['isUtf8', isUtf8],
  ['ws', isValidUTF8],
]);

/** So many bytes of text, all of it ASCII or of several scripts. */
export function textOf(bytes: number, mixed: boolean): Buffer {
  const text = Buffer.alloc(bytes, mixed ? 'Grüße, 世界 🌍! ' : 'lorem ipsum, ');
  // The last character may be cut.
  for (let i = bytes; !isUtf8(text); ) text[--i] = 0x20;
  return text;
}
