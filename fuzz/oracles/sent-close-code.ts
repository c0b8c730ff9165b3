import { CloseCode } from '@ws/codec';
import { NaiveDecoder, type NaiveFrame } from '@ws/tests';

/** Decodes the frames that one end sent, with the naive decoder. */
function framesSent(bytes: Uint8Array, by: 'server' | 'client'): readonly NaiveFrame[] {
  const decoder = new NaiveDecoder(by === 'server' ? 'client' : 'server', { allowedRsv: 0x40 });
  decoder.push(bytes);
  if (decoder.failure !== undefined) {
    throw new Error(`invalid frames sent: ${decoder.failure.faults.join()}`);
  }
  return decoder.frames;
}

/** Code of the close frame that one end sent: undefined for no frame, 1005 for an empty payload. */
export function closeCodeSent(bytes: Uint8Array, by: 'server' | 'client'): number | undefined {
  const closes = framesSent(bytes, by).filter(({ opcode }) => opcode === 8);
  if (closes.length > 1) throw new Error('more than one close frame sent');
  const [close] = closes;
  if (close === undefined) return undefined;
  const [high, low] = close.payload;
  return low === undefined ? CloseCode.NoStatusReceived : high! * 256 + low;
}
