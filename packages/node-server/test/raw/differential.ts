// The same bytes to node:http with an Upgrader and to a RawUpgrader, without sockets.
import { createServer, type Server } from 'node:http';
import type { Conn } from '@ws/conn';
import { Random } from '@ws/tests/random';
import { Upgrader } from '../../src/index.ts';
import { RawUpgrader } from '../../src/raw/index.ts';
import { Wire } from './wire.ts';

/** A request of a browser, by lines. */
const LINES = [
  'GET /chat?a=b HTTP/1.1',
  'Host: example.org',
  'Connection: keep-alive, Upgrade',
  'Upgrade: websocket',
  'Origin: http://example.org',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  'Cookie: a=b; c=d',
];

/** Parts of requests that parsers disagree about. */
const PARTS = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\n\n',
  ' ',
  '\t',
  ' \r\n',
  '\r\n ',
  '\r\n\t',
  ':',
  ': ',
  ' : ',
  ',',
  '\0',
  '\x7f',
  '\x80',
  '\xff',
  '\x0b',
  '\x0c',
  '"',
  '\\',
  '#',
  '%00',
  '//',
  '*',
  '@',
  '|',
  'GET ',
  'POST ',
  'CONNECT ',
  'OPTIONS ',
  'PRI ',
  'get ',
  'HTTP/1.0',
  'HTTP/1.2',
  'HTTP/2.0',
  'HTTP/0.9',
  'HTTP/1.10',
  'http://example.org',
  'http://evil.example/',
  'ws://example.org/',
  'https://u@example.org/',
  'Host: example.org\r\n',
  'Host: evil.example\r\n',
  'Host:\r\n',
  'host: example.org:80\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 00\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: +0\r\n',
  'Content-Length: 0 \r\n',
  'Content-Length: 0\t\r\n',
  'Content-Length:\r\n',
  'Content-Length: 0, 0\r\n',
  'Content-Length: 18446744073709551616\r\n',
  'Content_Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding:\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  'Transfer-Encoding: chunked, gzip\r\n',
  'Expect: 100-continue\r\n',
  'Expect: x\r\n',
  'Connection: close\r\n',
  'Connection: Upgrade\r\n',
  'Connection: xUpgrade\r\n',
  'Proxy-Connection: Upgrade\r\n',
  'Upgrade: h2c\r\n',
  'Upgrade: h2c, websocket\r\n',
  'Upgrade: WebSocket/13\r\n',
  'Origin: null\r\n',
  'Origin: https://evil.example\r\n',
  'Sec-WebSocket-Version: 8\r\n',
  'Sec-WebSocket-Version: 13, 8\r\n',
  'Sec-WebSocket-Key: x\r\n',
  'Sec-WebSocket-Protocol: a, b\r\n',
  'Sec-WebSocket-Protocol: a b\r\n',
  'Sec-WebSocket-Extensions: x; y="\r\n',
  'Trailer: X\r\n',
  ': x\r\n',
  'X\r\n',
  ' X: folded\r\n',
  'X: \x01\r\n',
  'X: \xe4\r\n',
  'X:\r\n',
];

/** Makes a request: mostly a sound one with a few changes. */
function randomRequest(random: Random): Buffer {
  const lines = [...LINES];
  if (random.below(4) === 0) lines.splice(1 + random.below(lines.length - 1), 1);
  if (random.below(6) === 0) lines.push(lines[1 + random.below(lines.length - 1)]!);
  let text = `${lines.join('\r\n')}\r\n\r\n`;
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = random.below(text.length);
    const start = random.below(2) === 0 ? at : text.indexOf('\r\n', at) + 2;
    const removed = [0, 0, 1, 2, random.below(20)][random.below(5)]!;
    const part =
      random.below(4) === 0
        ? String.fromCharCode(random.below(256))
        : PARTS[random.below(PARTS.length)]!;
    text = text.slice(0, start) + part + text.slice(start + removed);
  }
  if (random.below(8) === 0) text += '\x81\x85\0\0\0\0hello';
  return Buffer.from(text, 'latin1');
}

/** The status of each side; 0 when it waits for more bytes, or ends without an answer. */
interface Verdicts {
  readonly bytes: Buffer;
  readonly node: number;
  readonly raw: number;
}

/** Both servers. */
class Differential {
  readonly #upgrader = new Upgrader({ heartbeat: false, report: () => {} });
  readonly #rawUpgrader = new RawUpgrader({ heartbeat: false, report: () => {} });
  readonly #http: Server = createServer({ insecureHTTPParser: false, requireHostHeader: false });
  readonly #listener = this.#rawUpgrader.listener((conn) => this.#end(conn));

  constructor() {
    const upgrade = this.#upgrader.handler((conn) => this.#end(conn));
    this.#http.on('upgrade', upgrade).on('connect', upgrade);
    this.#http.on('request', (_req, res) => {
      res.writeHead(426, { Connection: 'close' }).end();
    });
    this.#http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      socket.end(`HTTP/1.1 ${error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400} Bad\r\n\r\n`);
    });
  }

  /** Judges requests. Each is cut once for the raw side, at a place of its own. */
  async judge(requests: readonly Buffer[], random: Random): Promise<Verdicts[]> {
    const pairs = requests.map((bytes) => {
      const [node, raw] = [new Wire(), new Wire()];
      for (const wire of [node, raw]) wire.on('error', () => {});
      this.#http.emit('connection', node);
      this.#listener(raw);
      node.push(Buffer.from(bytes));
      const cut = random.below(bytes.length);
      raw.push(Buffer.from(bytes.subarray(0, cut)));
      raw.push(Buffer.from(bytes.subarray(cut)));
      return { bytes, node, raw };
    });
    for (let i = 0; i < 6; i++) await new Promise(setImmediate);
    return pairs.map(({ bytes, node, raw }) => {
      const verdicts = { bytes, node: statusOf(node), raw: statusOf(raw) };
      node.destroy();
      raw.destroy();
      return verdicts;
    });
  }

  #end(conn: Conn): void {
    conn.terminate();
  }
}

function statusOf({ output }: Wire): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(output.toString('latin1', 0, 13))?.[1] ?? 0);
}

/**
 * Judges random requests.
 *
 * @param onProgress - Called after each batch with the number of judged requests.
 * @returns How often each pair of verdicts occurred, as `node raw`, with an example.
 * @throws Error with the bytes when the raw side opens a connection that the other refuses.
 */
export async function compare(
  cases: number,
  seed: number,
  onProgress: (done: number) => void = () => {},
): Promise<Map<string, { count: number; bytes: string }>> {
  const random = new Random(seed);
  const differential = new Differential();
  const seen = new Map<string, { count: number; bytes: string }>();
  const BATCH = 256;
  for (let done = 0; done < cases; done += BATCH) {
    const requests = Array.from({ length: Math.min(BATCH, cases - done) }, () =>
      randomRequest(random),
    );
    for (const { bytes, node, raw } of await differential.judge(requests, random)) {
      const text = JSON.stringify(bytes.toString('latin1'));
      if (raw === 101 && node !== 101) throw new Error(`node:http answers ${node} to ${text}`);
      const entry = seen.get(`${node} ${raw}`) ?? { count: 0, bytes: text };
      entry.count++;
      seen.set(`${node} ${raw}`, entry);
    }
    onProgress(Math.min(done + BATCH, cases));
  }
  return seen;
}
