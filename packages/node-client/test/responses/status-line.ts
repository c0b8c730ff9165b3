import { STATUS_CODES } from 'node:http';
import {
  HI,
  head,
  http2Only,
  line,
  no,
  notHttp,
  open,
  opens,
  type Row,
  refusal,
  refused,
  tlsAlert,
  tooLarge,
} from './row.ts';

const STATUSES = [
  200, 201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401,
  402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 417, 418, 421, 422, 425, 426,
  428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 511, 599, 600, 999,
];
const interim = (status: number, n: number): string =>
  `HTTP/1.1 ${status} Wait\r\nLink: x\r\n\r\n`.repeat(n);
const many = 'more than 10 interim answers (1xx)';

export const statuses: Row[] = STATUSES.map((status) => [
  `status ${status}`,
  refusal(status, ['Content-Length: 0']),
  no(status, STATUS_CODES[status] ?? ''),
]);

export const statusLines: Row[] = [
  ['the line of the RFC', line('HTTP/1.1 101 Switching Protocols'), open],
  ['another reason', line('HTTP/1.1 101 Web Socket Protocol Handshake'), open],
  ['an empty reason', line('HTTP/1.1 101 '), open],
  ['no reason', line('HTTP/1.1 101'), open],
  ['a reason of other bytes', line('HTTP/1.1 101 \xe9\xff'), open],
  [
    'a reason that obeys no terminal',
    'HTTP/1.1 403 \x9b2J\r\nContent-Length: 0\r\n\r\n',
    no(403, 'Forbidden', ''),
  ],
  ['a reason with a control character', line('HTTP/1.1 101 \x1b[2J'), notHttp],
  ['a reason of 66,000 bytes', `HTTP/1.1 101 ${'a'.repeat(66_000)}\r\n\r\n`, tooLarge],
  ['HTTP/1.0', line('HTTP/1.0 101 S'), refused(101, 'HTTP/1.0, not HTTP/1.1')],
  ['HTTP/2.0', line('HTTP/2.0 101 S'), notHttp],
  ['HTTP/0.9', line('HTTP/0.9 101 S'), notHttp],
  ['HTTP/1.0 and 200', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', no(200, 'OK')],
  ['HTTP/1.2', line('HTTP/1.2 101 S'), notHttp],
  ['HTTP/3.0', line('HTTP/3.0 101 S'), notHttp],
  ['HTTP/11', line('HTTP/11 101 S'), notHttp],
  ['HTTP/1.10', line('HTTP/1.10 101 S'), notHttp],
  ['HTTP without a version', line('HTTP 101 S'), notHttp],
  ['http in lower case', line('http/1.1 101 S'), notHttp],
  ['HTTPS', line('HTTPS/1.1 101 S'), notHttp],
  ['two spaces before the status', line('HTTP/1.1  101 S'), notHttp],
  ['a tab before the status', line('HTTP/1.1\t101 S'), notHttp],
  ['a space before HTTP', line(' HTTP/1.1 101 S'), notHttp],
  ['a byte order mark before HTTP', line('\xef\xbb\xbfHTTP/1.1 101 S'), notHttp],
  ['a status of four digits', line('HTTP/1.1 1010 S'), notHttp],
  ['a status of two digits', line('HTTP/1.1 10 S'), notHttp],
  ['a status of one digit', line('HTTP/1.1 1 S'), notHttp],
  ['no status', 'HTTP/1.1\r\n\r\n', notHttp],
  ['a status that is empty', 'HTTP/1.1 \r\n\r\n', notHttp],
  ['a status with a sign', line('HTTP/1.1 +101 S'), notHttp],
  ['a negative status', line('HTTP/1.1 -101 S'), notHttp],
  ['a hexadecimal status', line('HTTP/1.1 0x65 S'), notHttp],
  ['a status of letters', line('HTTP/1.1 abc S'), notHttp],
  ['a status with a fraction', line('HTTP/1.1 101.0 S'), notHttp],
  ['a status beside a letter', line('HTTP/1.1 101S'), notHttp],
  ['status 000', refusal(0, ['Content-Length: 0']).replace(' 0 ', ' 000 '), notHttp],
  ['status 099', refusal(99, ['Content-Length: 0']).replace(' 99 ', ' 099 '), notHttp],
  ['only an end of line', '\r\n\r\n\r\nhello', notHttp],
  ['a line of text', 'hello\r\n\r\n', notHttp],
  ['a page without a head, as HTTP/0.9 had it', '<html>hi</html>', notHttp],
  ['an SSH banner', 'SSH-2.0-OpenSSH_9.2\r\n', notHttp],
  ['an SMTP banner', '220 mail ESMTP\r\n', notHttp],
  ['a Redis error', '-ERR unknown command\r\n', notHttp],
  ['an HTTP/2 frame', '\x00\x00\x12\x04\x00\x00\x00\x00\x00', http2Only],
  ['a TLS alert', '\x15\x03\x01\x00\x02\x02\x46', tlsAlert],
  ['a WebSocket frame', '\x81\x05hello', notHttp],
  ['a request', 'GET / HTTP/1.1\r\n\r\n', notHttp],
  ['another protocol of the same form', 'ICY 200 OK\r\n\r\n', notHttp],
];

export const interims: Row[] = [
  ['100, then 101', (r) => interim(100, 1) + r.ok(), open],
  ['102, then 101', (r) => interim(102, 1) + r.ok(), open],
  ['103, then 101', (r) => interim(103, 1) + r.ok(), open],
  ['199, then 101', (r) => interim(199, 1) + r.ok(), open],
  [
    '100, 102 and 103, then 101 with a frame',
    (r) => interim(100, 1) + interim(102, 1) + interim(103, 1) + r.ok() + HI,
    opens('hi'),
  ],
  ['ten of them, then 101', (r) => interim(103, 10) + r.ok(), open],
  ['eleven of them, then 101', (r) => interim(103, 11) + r.ok(), refused(103, many, '')],
  ['eleven times 100', (r) => interim(100, 11) + r.ok(), refused(100, many, '')],
  ['a flood of them', interim(102, 500), refused(102, many, '')],
  [
    'one, then a refusal',
    interim(102, 1) + refusal(403, ['Content-Length: 2'], 'no'),
    no(403, 'Forbidden', 'no'),
  ],
  [
    'one, then a 101 without a header',
    interim(103, 1) + head(),
    refused(101, 'no Upgrade header, no Connection header, no Sec-WebSocket-Accept header'),
  ],
  [
    'one that closes the connection, then 101',
    (r) => `HTTP/1.1 103 H\r\nConnection: close\r\n\r\n${r.ok()}`,
    notHttp,
  ],
  ['one of HTTP/1.0, then 101', (r) => `HTTP/1.0 103 H\r\n\r\n${r.ok()}`, notHttp],
  ['one, then nonsense', `${interim(103, 1)}nonsense\r\n\r\n`, notHttp],
  [
    'one with 66,000 bytes of headers',
    `HTTP/1.1 103 Wait\r\nX: ${'a'.repeat(66_000)}\r\n\r\n`,
    tooLarge,
  ],
  [
    'nine with 8,000 bytes of headers each, then 101',
    (r) => `HTTP/1.1 103 Wait\r\nX: ${'a'.repeat(8000)}\r\n\r\n`.repeat(9) + r.ok(),
    tooLarge,
  ],
  [
    'a 101 in front of the 101',
    (r) => head() + r.ok(),
    refused(101, 'no Upgrade header, no Connection header, no Sec-WebSocket-Accept header'),
  ],
];
