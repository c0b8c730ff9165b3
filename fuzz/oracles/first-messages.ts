import { isUtf8 } from 'node:buffer';
import type { Role } from '@ws/codec';
import { NaiveDecoder } from '@ws/tests';
import { ensure, ensureSame } from '../harness/target.ts';

/**
 * Compares the messages after a handshake with the frames that the naive decoder reads from the
 * same bytes.
 *
 * @param role - Role of the end that received the bytes.
 * @param compressed - Whether messages may be compressed. The comparison ends at the first
 *   compressed message.
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
    // A close frame ends the messages.
    if (opcode === 8) break;
    if (rsv !== 0)
      return ensure(
        expected.every((one, i) => messages[i]?.equals(one)),
        'the messages before a compressed one are equal',
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
  ensureSame(
    messages.map((one) => one.toString('hex')).join(),
    expected.map((one) => one.toString('hex')).join(),
    'messages after the handshake',
  );
}
