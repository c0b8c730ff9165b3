import { letters, utf8 } from '../wire/bytes.ts';

const WORDS = (
  'the server sends a frame and closes while every client waits for message payload bytes of ' +
  'compressed text über straße 你好 Привет that may come back in any number of fragments'
).split(' ');

/** A pseudorandom sequence, the same in every run (Numerical Recipes). */
function* numbers(): Generator<number, never> {
  for (let state = 42; ; ) yield (state = (state * 1_664_525 + 1_013_904_223) >>> 0) >>> 8;
}

/** Repeats what `next` returns until the text has `size` bytes. */
function textOf(size: number, next: (number: () => number) => string): Buffer {
  const source = numbers();
  const number = (): number => source.next().value;
  const parts: Buffer[] = [];
  for (let left = size; left > 0; ) {
    const part = utf8(next(number));
    parts.push(part);
    left -= part.length;
  }
  return fitted(Buffer.concat(parts), size);
}

/** Cuts a text to `size` bytes. Letters replace the bytes of a cut character. */
function fitted(bytes: Buffer, size: number): Buffer {
  let end = size;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return Buffer.concat([bytes.subarray(0, end), letters(size - end)]);
}

const word = (number: () => number): string => WORDS[number() % WORDS.length]!;

/** Returns `size` bytes of records as an API returns them. */
export function json(size: number): Buffer {
  return textOf(size, (number) =>
    JSON.stringify({ id: number(), name: word(number), ok: number() % 2 === 0, at: [number()] }),
  );
}

/** Returns `size` bytes of words. */
export function prose(size: number): Buffer {
  return textOf(size, (number) => `${word(number)}${number() % 9 === 0 ? '.\n' : ' '}`);
}

/** Returns `size` bytes of a table. */
export function html(size: number): Buffer {
  return textOf(
    size,
    (number) => `<tr class="row"><td>${word(number)}</td><td>${number()}</td></tr>\n`,
  );
}

/** Returns `size` bytes of pixels: a gradient with noise in its lowest bits. */
export function bitmap(size: number): Buffer {
  const source = numbers();
  return Buffer.from(
    Uint8Array.from({ length: size }, (_, at) => (at >> 4) ^ (source.next().value & 3)),
  );
}

/** Returns `size` bytes of objects of text, each with bytes that do not compress behind it. */
export function pdf(size: number): Buffer {
  const source = numbers();
  const next = (): number => source.next().value;
  const parts: Buffer[] = [];
  for (let left = size, at = 1; left > 0; at++) {
    const head = utf8(`${at} 0 obj\n<< /Length 700 /Filter /FlateDecode >>\nstream\n`);
    parts.push(
      head,
      Buffer.from(Uint8Array.from({ length: 700 }, next)),
      utf8('\nendstream\nendobj\n'),
    );
    left -= head.length + 700;
  }
  return Buffer.concat(parts).subarray(0, size);
}

/** Maximum size of the data that the slices of a case come from, in bytes. */
const MAX_SOURCE = 256 * 1024;

/** Returns `count` messages of `size` bytes, which slide over the data as often as necessary. */
export function* slices(
  make: (size: number) => Buffer,
  size: number,
  count: number,
): Generator<Buffer> {
  const source = make(Math.min(MAX_SOURCE, size * count) + 8);
  const room = source.length - size - 4;
  for (let at = 0; at < count; at++) {
    let start = (at * size) % Math.max(1, room);
    const isText = make !== bitmap && make !== pdf;
    if (isText) while ((source[start]! & 0xc0) === 0x80) start++;
    const rest = source.subarray(start, start + size + 1);
    yield isText ? fitted(rest, size) : rest.subarray(0, size);
  }
}
