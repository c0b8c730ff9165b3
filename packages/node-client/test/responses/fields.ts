import type { SeenRequest } from '../servers.ts';
import { HI, no, notHttp, open, opens, plus, type Row, refusal, tooLarge } from './row.ts';

/** A valid response with a head of this length. */
function ofLength(bytes: number) {
  return (request: SeenRequest): string => {
    const rest = bytes - plus('X: ')(request).length;
    return plus(`X: ${'a'.repeat(rest)}`)(request) + HI;
  };
}

export const fields: Row[] = [
  ['a folded header', plus('X: a', ' b'), notHttp],
  ['a header folded by a tab', plus('X: a', '\tb'), notHttp],
  ['a fold before the first header', (r) => r.ok().replace('\r\n', '\r\n '), notHttp],
  ['bare LF everywhere', (r) => r.ok().replaceAll('\r\n', '\n'), notHttp],
  ['bare LF after the status line', (r) => r.ok().replace('\r\n', '\n'), notHttp],
  ['bare LF after a header', plus('X: a\nY: b'), notHttp],
  ['bare LF at the end of the head', (r) => r.ok().replace(/\r\n$/, '\n'), notHttp],
  ['CR alone after a header', plus('X: a\rY: b'), notHttp],
  ['CR alone in a value', plus('X: a\r b'), notHttp],
  ['CR CR LF', plus('X: a\r'), notHttp],
  ['a NUL in a value', plus('X: a\0b'), notHttp],
  ['a NUL in a name', plus('X\0: a'), notHttp],
  ['a control character in a value', plus('X: a\x01b'), notHttp],
  ['a DEL in a value', plus('X: a\x7fb'), notHttp],
  ['a space before a colon', plus('X : a'), notHttp],
  ['a tab before a colon', plus('X\t: a'), notHttp],
  ['a space in a name', plus('X Y: a'), notHttp],
  ['a header without a colon', plus('X'), notHttp],
  ['an empty name', plus(': a'), notHttp],
  ['a name with a bracket', plus('X(Y): a'), notHttp],
  ['a name in quotes', plus('"X": a'), notHttp],
  ['a name that is not ASCII', plus('\xdcber: a'), notHttp],
  ['a value that is not ASCII', plus('X: \xfcber \xff'), open],
  ['a value in UTF-8', plus(`X: ${Buffer.from('über').toString('latin1')}`), open],
  ['an empty value', plus('X:'), open],
  ['a value of colons', plus('X: :::'), open],
  ['a tab in a value', plus('X: a\tb'), open],
  ['every character that a name may have', plus("!#$%&'*+-.^_`|~09azAZ: a"), open],
  ['names of an object’s own', plus('__proto__: a', 'constructor: b', 'hasOwnProperty: c'), open],
  ['129 lines', plus(...Array<string>(126).fill('X: a')), open],
  ['1,500 lines', plus(...Array<string>(1500).fill('a:b')), open],
  ['a head of 65,536 bytes', ofLength(65_536), opens('hi')],
  ['a head of 65,537 bytes', ofLength(65_537), tooLarge],
  ['a value of 66,000 bytes', plus(`X: ${'a'.repeat(66_000)}`), tooLarge],
  ['a name of 66,000 bytes', plus(`${'a'.repeat(66_000)}: x`), tooLarge],
  ['7,000 lines', plus(...Array<string>(7000).fill('abc: def')), tooLarge],
  ['66,000 spaces before a value', plus(`X:${' '.repeat(66_000)}x`), tooLarge],
  ['66,000 spaces after a value', plus(`X: x${' '.repeat(66_000)}`), tooLarge],
  ['a head without end', `HTTP/1.1 101 S\r\n${'X: a\r\n'.repeat(100_000)}`, tooLarge],
  ['spaces without end', `HTTP/1.1 101 S\r\nX:${' '.repeat(300_000)}`, tooLarge],
  ['a refusal’s head without end', `HTTP/1.1 403 No\r\n${'X: a\r\n'.repeat(100_000)}`, tooLarge],
];

// biome-ignore format: a table
export const lengths: Row[] = [
  ['Content-Length: 0 beside a 101', (r) => `${plus('Content-Length: 0')(r)}${HI}`, opens('hi')],
  ['Content-Length: 4 beside a 101', (r) => `${plus('Content-Length: 4')(r)}${HI}`, opens('hi')],
  ['Transfer-Encoding beside a 101', (r) => `${plus('Transfer-Encoding: chunked')(r)}${HI}`, opens('hi')],
  ['a Content-Length of letters beside a 101', plus('Content-Length: ten'), notHttp],
  ['two lengths beside a 101', plus('Content-Length: 1', 'Content-Length: 2'), notHttp],
  ['two lengths', refusal(200, ['Content-Length: 1', 'Content-Length: 2'], 'ab'), notHttp],
  ['a length and chunks', refusal(200, ['Content-Length: 1', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), notHttp],
  ['a negative length', refusal(403, ['Content-Length: -1'], 'a'), notHttp],
  ['a length with a sign', refusal(403, ['Content-Length: +1'], 'a'), notHttp],
  ['a hexadecimal length', refusal(403, ['Content-Length: 0x1'], 'a'), notHttp],
  ['a length beyond all numbers', refusal(403, [`Content-Length: ${'9'.repeat(30)}`], 'a'), notHttp],
  ['a length of 15 digits', refusal(403, ['Content-Length: 999999999999999'], 'a'.repeat(1024)), no(403, 'Forbidden', 'a'.repeat(1024))],
  ['a length of 2^53', refusal(403, ['Content-Length: 9007199254740992'], 'a'), notHttp],
  ['a transfer coding before chunks', refusal(403, ['Transfer-Encoding: gzip, chunked']), notHttp],
  ['a transfer coding without chunks', refusal(403, ['Transfer-Encoding: identity']), notHttp],
  ['chunks in another case', refusal(403, ['Transfer-Encoding: Chunked'], '2\r\nno\r\n0\r\n\r\n'), no(403, 'Forbidden', 'no')],
];
