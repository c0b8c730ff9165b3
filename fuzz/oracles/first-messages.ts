import { isUtf8 } from 'node:buffer';
import type { Role } from '@ws/codec';
import { NaiveDecoder } from '@ws/testkit';
import { must, same } from '../harness/target.ts';

/**
 * Holds the messages that came out of the bytes behind a handshake against what the naive decoder reads in them, as far
 * as what is to come of them is said by their frames alone.
 *
 * @param role - Whose ears these are.
 * @param compressed - Whether messages may be compressed: what follows one that is, is not judged.
 */
export function compareMessages(
  bytes: Uint8Array,
  role: Role,
  compressed: boolean,
  messages: readonly Buffer[],
): void {
  const decoder = new NaiveDecoder(role, { allowedRsv: compressed ? 0x40 : 0 });
  decoder.push(bytes);
  const expected: Buffer[] = [];
  let pieces: Uint8Array[] = [];
  let text = false;
  for (const { opcode, fin, rsv, payload } of decoder.frames) {
    // A close frame ends it, and nobody but zlib knows what is compressed.
    if (opcode === 8) break;
    if (rsv !== 0)
      return must(
        expected.every((one, i) => messages[i]?.equals(one)),
        'the first messages',
      );
    if (opcode > 8) continue;
    if (opcode > 0) {
      text = opcode === 1;
      pieces = [];
    }
    pieces.push(payload);
    if (!fin) continue;
    const whole = Buffer.concat(pieces);
    if (text && !isUtf8(whole)) break;
    expected.push(whole);
  }
  same(
    messages.map((one) => one.toString('hex')).join(),
    expected.map((one) => one.toString('hex')).join(),
    'messages behind the handshake',
  );
}
