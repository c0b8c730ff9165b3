import { isUtf8 } from 'node:buffer';
import { formatCloseMessage, ProtocolError, parseCloseMessage } from '@ws/codec';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';

/** Codes that RFC 6455, section 7.4, and the IANA registry allow on the wire. */
const VALID = /^(?:100[0-3]|100[7-9]|101[0-4]|[34]\d{3})$/;

/** Compares the close payload functions with a list of codes and the platform's UTF-8 check. */
export function closePayload(
  parse: typeof parseCloseMessage = parseCloseMessage,
  format: typeof formatCloseMessage = formatCloseMessage,
): Target {
  return {
    name: 'close-payload',
    description: 'close payloads follow the list of codes, and reasons are UTF-8',
    covers: ['packages/codec/src/close/', 'packages/codec/src/text/'],
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
        ensureSame(undefined, expected, 'close code for an accepted payload');
        ensureSame(
          `${read.code} ${read.reason}`,
          `${code} ${Buffer.from(reason).toString()}`,
          'payload',
        );
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        ensureSame(error.closeCode, expected, 'close code for a rejected payload');
      }
      write(code, Buffer.from(reason).toString('utf16le'), format);
      write(code, Buffer.from(reason).toString(), format);
    },
  };
}

/** Compares `format` for any text, including lone surrogates. */
function write(code: number, reason: string, format: typeof formatCloseMessage): void {
  const bytes = Buffer.from(reason);
  const fits = code === 1005 || (VALID.test(String(code)) && bytes.length <= 123);
  try {
    const written = Buffer.from(format(code, reason)).toString('hex');
    ensure(fits, 'an invalid code or reason is rejected');
    const all = Buffer.concat([Buffer.from([code >> 8, code & 255]), bytes]);
    ensureSame(written, code === 1005 ? '' : all.toString('hex'), 'written bytes');
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    ensure(!fits || (code === 1005 && bytes.length > 123), 'a valid code and reason are written');
  }
}
