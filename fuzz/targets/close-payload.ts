import { isUtf8 } from 'node:buffer';
import { formatCloseMessage, ProtocolError, parseCloseMessage } from '@ws/codec';
import { bytesOf, must, same, type Target } from '../harness/target.ts';

/** What RFC 6455, section 7.4, and the registry at IANA let travel. */
const VALID = /^(?:100[0-3]|100[7-9]|101[0-4]|[34]\d{3})$/;

/** `parseCloseMessage` and `formatCloseMessage` against the list of codes and the platform's UTF-8. */
export function closePayload(
  parse: typeof parseCloseMessage = parseCloseMessage,
  format: typeof formatCloseMessage = formatCloseMessage,
): Target {
  return {
    name: 'close-payload',
    says: 'close payloads are read and written by the list of codes, and UTF-8 is held to',
    covers: ['packages/codec/src/close-', 'packages/codec/src/utf8-text'],
    maxLength: 140,
    dictionary: bytesOf(
      [0x03, 0xe8],
      [0x03, 0xed],
      [0x03, 0xf7],
      [0x0b, 0xb8],
      [0x13, 0x88],
      [0xc3, 0xa9],
      [0xe2, 0x82, 0xac],
      [0xf0, 0x9f, 0x98, 0x80],
      [0xed, 0xa0, 0x80],
      [0xc0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
    ),
    separators: [],
    seeds: bytesOf([0x03, 0xe8], [0x03, 0xe9, 0x62, 0x79, 0x65], [0x0f, 0xa0, 0xe2, 0x82, 0xac]),
    run(input) {
      const code = input.length === 0 ? 1005 : (input[0]! << 8) | (input[1] ?? 0);
      const reason = input.subarray(2);
      const codeHolds = input.length === 0 || (input.length > 1 && VALID.test(String(code)));
      const expected = !codeHolds ? 1002 : isUtf8(reason) ? undefined : 1007;
      try {
        const read = parse(input);
        same(undefined, expected, 'close code of a payload that was taken');
        same(`${read.code} ${read.reason}`, `${code} ${Buffer.from(reason).toString()}`, 'payload');
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        same(error.closeCode, expected, 'close code of a payload that was refused');
      }
      write(code, Buffer.from(reason).toString('utf16le'), format);
      write(code, Buffer.from(reason).toString(), format);
    },
  };
}

/** Any text, lone surrogates among it. */
function write(code: number, reason: string, format: typeof formatCloseMessage): void {
  const bytes = Buffer.from(reason);
  const fits = code === 1005 || (VALID.test(String(code)) && bytes.length <= 123);
  try {
    const written = Buffer.from(format(code, reason)).toString('hex');
    must(fits, 'what must not be sent is refused');
    const all = Buffer.concat([Buffer.from([code >> 8, code & 255]), bytes]);
    same(written, code === 1005 ? '' : all.toString('hex'), 'what is written');
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    must(!fits || (code === 1005 && bytes.length > 123), 'what may be sent is written');
  }
}
