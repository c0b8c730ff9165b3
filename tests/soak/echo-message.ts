import type { Random } from '../kit/random.ts';

const MOST = 128 * 1024;
const BYTES = Buffer.alloc(MOST);
for (let i = 0; i < MOST; i++) BYTES[i] = Math.imul(i, 0x9e3779b1) >>> 24;
/** ASCII, about as compressible as prose. */
const TEXT = Buffer.from(BYTES.map((b, i) => (i % 64 < 48 ? 97 + (i % 23) : 32 + (b % 90))));

/** A message for an echo. */
export interface EchoMessage {
  readonly binary: boolean;
  readonly bytes: Buffer;
}

/** A message of random size, mostly small; a view of constant memory. */
export function randomMessage(random: Random): EchoMessage {
  const binary = random.below(2) === 0;
  const most = random.once(20) ? MOST : random.pick([200, 2_000, 20_000]);
  const size = random.below(most);
  const at = random.below(MOST - size);
  return { binary, bytes: (binary ? BYTES : TEXT).subarray(at, at + size) };
}

/** @throws Error when the echo differs. */
export function checkEcho(sent: EchoMessage, binary: boolean, heard: Uint8Array): void {
  if (sent.binary !== binary) throw new Error('echo of the other type');
  if (!sent.bytes.equals(heard)) throw new Error('echo of other bytes');
}
