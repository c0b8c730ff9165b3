import type { Role } from '@ws/conn';
import { pack } from '../compression/support.ts';
import { frame } from './victim.ts';

/** The shapes in which an attacker sends a message of `size` bytes: JSON text, `"aaa…"`. */
export const SHAPES = [
  'one big frame',
  'many fragments',
  'empty fragments',
  'compressed',
  'compressed, in fragments',
  'controls interleaved',
  'claimed but not sent',
] as const;
export type Shape = (typeof SHAPES)[number];

const RSV1 = 0x40;

/** Whether a shape needs permessage-deflate. */
export function isCompressed(shape: Shape): boolean {
  return shape.startsWith('compressed');
}

/** The bytes of a message of `size` bytes in that shape. */
export function shaped(shape: Shape, role: Role, size: number): Buffer {
  const payload = Buffer.alloc(size, 'a');
  payload[0] = payload[size - 1] = 0x22;
  if (shape === 'one big frame') return frame(role, 1, payload);
  if (shape === 'claimed but not sent') return frame(role, 1, '', { claims: size });
  if (shape === 'compressed') return frame(role, 1, pack(payload), { rsv: RSV1 });
  const wire = isCompressed(shape) ? pack(payload) : payload;
  const parts = 16;
  const frames: Buffer[] = [];
  for (let i = 0; i < parts; i++) {
    const piece = wire.subarray(
      Math.floor((i * wire.length) / parts),
      Math.floor(((i + 1) * wire.length) / parts),
    );
    const rsv = i === 0 && isCompressed(shape) ? RSV1 : 0;
    frames.push(frame(role, i === 0 ? 1 : 0, piece, { fin: i === parts - 1, rsv }));
    if (i === parts - 1) break;
    if (shape === 'empty fragments') {
      for (let j = 0; j < 50; j++) frames.push(frame(role, 0, '', { fin: false }));
    }
    if (shape === 'controls interleaved') frames.push(frame(role, 9, 'ping'), frame(role, 10));
  }
  return Buffer.concat(frames);
}
