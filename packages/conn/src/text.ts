import { copyOf } from './copy.ts';
import type { Host } from './host.ts';
import { portableHost } from './portable-host.ts';

/** `text` as UTF-8 in memory of its own; lone surrogates become U+FFFD. */
export function utf8(text: string, host: Host = portableHost): Uint8Array {
  const room = new Uint8Array(text.length * 3);
  return copyOf(room, 0, host.writeUtf8(room, 0, text));
}
