/**
 * Classifies UTF-8 by RFC 3629: `whole` is valid, `cut` ends inside a sequence that can still become valid, `bad` has a
 * byte that no continuation can repair.
 */
export function naiveUtf8(bytes: Uint8Array): 'whole' | 'cut' | 'bad' {
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at]!;
    const size =
      first < 0x80
        ? 1
        : first < 0xc0
          ? 0
          : first < 0xe0
            ? 2
            : first < 0xf0
              ? 3
              : first < 0xf8
                ? 4
                : 0;
    if (size === 0) return 'bad';
    // Smallest and largest code point that the bytes so far can encode.
    let least = size === 1 ? first : first & (0x7f >> size);
    let most = least;
    for (let i = 1; i < size; i++) {
      const next = bytes[at + i];
      if (next !== undefined && (next < 0x80 || next > 0xbf)) return 'bad';
      least = least * 64 + (next === undefined ? 0 : next - 0x80);
      most = most * 64 + (next === undefined ? 63 : next - 0x80);
    }
    const shortest = [0, 0, 0x80, 0x800, 0x10000][size]!;
    if (most < shortest || least > 0x10ffff || (least >= 0xd800 && most <= 0xdfff)) return 'bad';
    if (at + size > bytes.length) return 'cut';
    at += size;
  }
  return 'whole';
}
