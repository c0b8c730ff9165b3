import { isUtf8 } from 'node:buffer';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { UTF8_ACCEPT, utf8Step } from '@ws/codec';

/** Whether bytes are valid UTF-8. */
export type Validate = (bytes: Buffer) => boolean;

const require = createRequire(import.meta.url);
// ws does not export its check.
const { isValidUTF8 } = require(
  join(dirname(require.resolve('ws/package.json')), 'lib/validation.js'),
) as { isValidUTF8: Validate };

/** Our check as the codec uses it, our table alone, Node's check alone, and the check of ws. */
export const VALIDATORS: ReadonlyMap<string, Validate> = new Map<string, Validate>([
  ['ours', (bytes) => utf8Step(UTF8_ACCEPT, bytes, 0, bytes.length, isUtf8) === UTF8_ACCEPT],
  ['table', (bytes) => utf8Step(UTF8_ACCEPT, bytes, 0, bytes.length) === UTF8_ACCEPT],
  ['isUtf8', isUtf8],
  ['ws', isValidUTF8],
]);

/** Text of `bytes` bytes, either ASCII or of several scripts. */
export function textOf(bytes: number, mixed: boolean): Buffer {
  const text = Buffer.alloc(bytes, mixed ? 'Grüße, 世界 🌍! ' : 'lorem ipsum, ');
  // Replaces a truncated last character.
  for (let i = bytes; !isUtf8(text); ) text[--i] = 0x20;
  return text;
}
