import { broken, HI, no, opens, type Row, refusal } from './row.ts';

const body = (n: number): string => 'x'.repeat(n);
const sized = (n: number): string => refusal(403, [`Content-Length: ${n}`], body(n));
const chunked = (chunks: string): string => refusal(403, ['Transfer-Encoding: chunked'], chunks);
const forbidden = (text: string) => no(403, 'Forbidden', text);

// biome-ignore format: a table
export const bodies: Row[] = [
  ['no body', sized(0), forbidden('')],
  ['one byte', sized(1), forbidden('x')],
  ['1,023 bytes', sized(1023), forbidden(body(1023))],
  ['1,024 bytes', sized(1024), forbidden(body(1024))],
  ['1,025 bytes', sized(1025), forbidden(body(1024))],
  ['a megabyte', sized(1_000_000), forbidden(body(1024))],
  ['bytes of all values', refusal(403, ['Content-Length: 256'], String.fromCharCode(...Array(256).keys())), forbidden(String.fromCharCode(...Array(256).keys()))],
  ['one chunk', chunked('5\r\nsorry\r\n0\r\n\r\n'), forbidden('sorry')],
  ['many chunks', chunked(`${'1\r\ny\r\n'.repeat(2000)}0\r\n\r\n`), forbidden('y'.repeat(1024))],
  ['no chunk', chunked('0\r\n\r\n'), forbidden('')],
  ['chunks in hexadecimal', chunked(`0A\r\n${body(10)}\r\n0\r\n\r\n`), forbidden(body(10))],
  ['chunks with an extension', chunked('5;a=b\r\nsorry\r\n0\r\n\r\n'), forbidden('sorry')],
  ['chunks with a trailer', chunked('5\r\nsorry\r\n0\r\nX: a\r\n\r\n'), forbidden('sorry')],
  ['a chunk that is not a number', chunked('5\r\nsorry\r\nzz\r\n'), forbidden('sorry')],
  ['a first chunk that is not a number', chunked('zz\r\n'), forbidden('')],
  ['a chunk beyond all numbers', chunked(`5\r\nsorry\r\n${'f'.repeat(20)}\r\n`), forbidden('sorry')],
  ['a chunk that is longer than it says', chunked('3\r\nsorry\r\n0\r\n\r\n'), forbidden('sor')],
  ['gzip, as it is', refusal(403, ['Content-Encoding: gzip', 'Content-Length: 4'], '\x1f\x8b\x08\x00'), forbidden('\x1f\x8b\x08\x00')],
  ['more than its length', refusal(403, ['Content-Length: 2'], 'no, not this'), forbidden('no')],
  ['none, where none may be', refusal(204, ['Content-Length: 5'], 'sorry'), no(204, 'No Content', '')],
  ['none with a 304', refusal(304, ['Content-Length: 5'], 'sorry'), no(304, 'Not Modified', '')],
];

/** Only the bytes of the first half second count. */
export const unendedBodies: Row[] = [
  ['an end that never comes', refusal(403, [], 'sorry'), forbidden('sorry')],
  ['less than its length', refusal(403, ['Content-Length: 50'], 'sorry'), forbidden('sorry')],
  ['chunks without end', chunked('5\r\nsorry\r\n'), forbidden('sorry')],
];

/** The bytes of a server before it ends, by FIN and by RST. */
export const ends: Row[] = [
  ['before its first byte', '', broken],
  ['in HTTP', 'HT', broken],
  ['in the status', 'HTTP/1.1 10', broken],
  ['after the status', 'HTTP/1.1 101', broken],
  ['in the reason', 'HTTP/1.1 101 Switch', broken],
  ['between CR and LF', 'HTTP/1.1 101 S\r', broken],
  ['after the status line', 'HTTP/1.1 101 S\r\n', broken],
  ['in a name', 'HTTP/1.1 101 S\r\nUpgr', broken],
  ['after a colon', 'HTTP/1.1 101 S\r\nUpgrade:', broken],
  ['in a value', 'HTTP/1.1 101 S\r\nUpgrade: webso', broken],
  ['before the empty line', (r) => r.ok().slice(0, -2), broken],
  ['in the empty line', (r) => r.ok().slice(0, -1), broken],
  ['after an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n', broken],
  ['in an answer after an interim one', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 S\r\n', broken],
  ['in the head of a refusal', 'HTTP/1.1 403 No\r\nContent-', broken],
  ['after the head of a refusal', refusal(403, ['Content-Length: 50']), forbidden('')],
  ['in the body of a refusal', refusal(403, ['Content-Length: 50'], 'sorry'), forbidden('sorry')],
  ['in a body that only its end ends', refusal(403, [], 'sorry'), forbidden('sorry')],
  ['in a chunk', chunked('9\r\nsorry'), forbidden('sorry')],
  ['after a chunk', chunked('5\r\nsorry\r\n'), forbidden('sorry')],
  ['after a refusal', refusal(403, ['Content-Length: 5'], 'sorry'), forbidden('sorry')],
];

/** The first bytes after a valid response are frames. */
// biome-ignore format: a table
export const frames: Row[] = [
  ['a text', (r) => r.ok() + HI, opens('hi')],
  ['an empty text', (r) => `${r.ok()}\x81\x00`, opens('')],
  ['two texts', (r) => `${r.ok()}${HI}\x81\x02ho`, opens('hi')],
  ['a ping and a text', (r) => `${r.ok()}\x89\x00${HI}`, opens('hi')],
  ['fragments', (r) => `${r.ok()}\x01\x01h\x80\x01i`, opens('hi')],
  ['a text of 300 bytes', (r) => `${r.ok()}\x81\x7e\x01\x2c${'a'.repeat(300)}`, opens('a'.repeat(300))],
  ['a text of 70,000 bytes', (r) => `${r.ok()}\x81\x7f\0\0\0\0\0\x01\x11\x70${'a'.repeat(70_000)}`, opens('a'.repeat(70_000))],
];
