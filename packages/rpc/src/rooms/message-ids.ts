import { portablePlatform } from '@ws/conn';

/** 128 random bits in base64url. */
export function randomId(): string {
  const words = new Int32Array(4);
  portablePlatform.randomFill(words);
  const text = btoa(String.fromCharCode(...new Uint8Array(words.buffer)));
  return text.slice(0, 22).replaceAll('+', '-').replaceAll('/', '_');
}

/** A hash of 53 bits: a repetition has the id of the first message and the same data. */
export function hashOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  high =
    Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low =
    Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0);
}
