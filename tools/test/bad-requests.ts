import net from 'node:net';

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const VERSION = 'Sec-WebSocket-Version: 13';
const UPGRADE = ['Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket'];
const GOOD = request('GET / HTTP/1.1', ...UPGRADE, KEY, VERSION);

function request(...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** What a server must outlive, by name: bytes sent as they are to a new connection. */
const REQUESTS: Readonly<Record<string, string>> = {
  'bytes that are no HTTP': '\x00\x16\x03\x01\xff\xfe\r\n\r\n',
  'no Host': request('GET / HTTP/1.1'),
  'a plain GET': request('GET / HTTP/1.1', 'Host: localhost', 'Connection: close'),
  'HTTP/1.0': request('GET / HTTP/1.0', ...UPGRADE, KEY, VERSION),
  'a POST that upgrades': request('POST / HTTP/1.1', ...UPGRADE, KEY, VERSION),
  'a body': `${request('GET / HTTP/1.1', ...UPGRADE, KEY, VERSION, 'Content-Length: 5')}hello`,
  'no key': request('GET / HTTP/1.1', ...UPGRADE, VERSION),
  'a short key': request('GET / HTTP/1.1', ...UPGRADE, 'Sec-WebSocket-Key: abc', VERSION),
  'two keys': request('GET / HTTP/1.1', ...UPGRADE, KEY, KEY, VERSION),
  'no version': request('GET / HTTP/1.1', ...UPGRADE, KEY),
  'version 7': request('GET / HTTP/1.1', ...UPGRADE, KEY, 'Sec-WebSocket-Version: 7'),
  'a foreign origin': request(
    'GET / HTTP/1.1',
    ...UPGRADE,
    KEY,
    VERSION,
    'Origin: http://evil.test',
  ),
  'an origin that is no URL': request(
    'GET / HTTP/1.1',
    ...UPGRADE,
    KEY,
    VERSION,
    'Origin: http://[',
  ),
  'a target that is no URL': request('GET http://[ HTTP/1.1', ...UPGRADE, KEY, VERSION),
  'a target of slashes': request('GET ///// HTTP/1.1', ...UPGRADE, KEY, VERSION),
  'the target *': request('GET * HTTP/1.1', ...UPGRADE, KEY, VERSION),
  'a broken escape': request('GET /%zz%ff HTTP/1.1', ...UPGRADE, KEY, VERSION),
  'broken extensions': request(
    'GET / HTTP/1.1',
    ...UPGRADE,
    KEY,
    VERSION,
    'Sec-WebSocket-Extensions: ;,="',
  ),
  'broken subprotocols': request(
    'GET / HTTP/1.1',
    ...UPGRADE,
    KEY,
    VERSION,
    'Sec-WebSocket-Protocol: a b,,@',
  ),
  'a large head': request('GET / HTTP/1.1', ...UPGRADE, KEY, VERSION, `X: ${'x'.repeat(40_000)}`),
  'half a head, then a reset': GOOD.slice(0, 60),
  'a whole head, then a reset': GOOD,
};

/** What a server must outlive after a good handshake: frames, as bytes in hex. */
const FRAMES: Readonly<Record<string, string>> = {
  'an unmasked frame': '81 01 61',
  'reserved bits': 'f1 80 00000000',
  'a reserved opcode': '83 80 00000000',
  'a continuation of nothing': '80 80 00000000',
  'a fragmented ping': '09 80 00000000',
  'a ping of 126 bytes': '89 fe 007e 00000000',
  'a length with its top bit set': '82 ff 8000000000000000 00000000',
  'a length of 2^62': '82 ff 4000000000000000 00000000',
  'a length that is not minimal': '82 fe 0001 00000000 00',
  'text that is no UTF-8': '81 81 00000000 ff',
  'a close payload of one byte': '88 81 00000000 03',
  'a close code that must not be sent': '88 82 00000000 03ed',
  'half a frame': '81 85 0000',
  'a message and a reset': '81 85 00000000 68656c6c6f',
};

/**
 * Throws every bad request at `127.0.0.1:port`, one connection each, and resolves when all are
 * over.
 */
export async function throwBadRequests(port: number): Promise<void> {
  for (const [name, bytes] of Object.entries(REQUESTS)) {
    await send(port, name, Buffer.from(bytes, 'latin1'), name.endsWith('a reset'));
  }
  for (const [name, frame] of Object.entries(FRAMES)) {
    const bytes = Buffer.from(frame.replaceAll(' ', ''), 'hex');
    await send(port, name, Buffer.concat([Buffer.from(GOOD), bytes]), false);
    await send(port, name, Buffer.concat([Buffer.from(GOOD), bytes]), true);
  }
}

/** Resolves with the status line that a good handshake gets. */
export async function goodHandshake(port: number, path = '/'): Promise<string> {
  const request = GOOD.replace('GET / ', `GET ${path} `);
  const answer = await send(port, 'a good handshake', Buffer.from(request), false);
  return answer.split('\r\n', 1)[0]!;
}

/** Sends `bytes`; resets at once, or once something is answered. */
function send(port: number, name: string, bytes: Buffer, reset: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let answer = '';
    socket.setTimeout(15_000, () => socket.destroy(new Error(`no answer: ${name}`)));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      socket.resetAndDestroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // The server may refuse the rest of a large head while it is still on its way.
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => resolve(answer));
    socket.write(bytes, () => {
      if (reset) socket.resetAndDestroy();
    });
  });
}
