import { NaiveDecoder, type NaiveFrame } from '@ws/testkit';

/** What one end has sent, read by the naive decoder. */
function framesSent(bytes: Uint8Array, by: 'server' | 'client'): readonly NaiveFrame[] {
  const decoder = new NaiveDecoder(by === 'server' ? 'client' : 'server', { allowedRsv: 0x40 });
  decoder.push(bytes);
  if (decoder.failure !== undefined) {
    throw new Error(`broken frames were sent: ${decoder.failure.faults.join()}`);
  }
  return decoder.frames;
}

/** The code of the close frame that one end has sent: undefined for none, 1005 for one without. */
export function closeCodeSent(bytes: Uint8Array, by: 'server' | 'client'): number | undefined {
  const closes = framesSent(bytes, by).filter(({ opcode }) => opcode === 8);
  if (closes.length > 1) throw new Error('more than one close frame was sent');
  const [close] = closes;
  if (close === undefined) return undefined;
  const [high, low] = close.payload;
  return low === undefined ? 1005 : high! * 256 + low;
}
