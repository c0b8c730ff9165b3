import { createServer } from 'node:http';
import { type Conn, type UpgradeListener, Upgrader } from '@ws/node-server';
import { turn } from '@ws/testkit';
import { Input, piecesOf } from '../harness/input.ts';
import { MemorySocket } from '../harness/memory-socket.ts';
import { bytesOf, must, same, type Target } from '../harness/target.ts';
import { agreementOf } from '../judges/deflate-offers.ts';
import { compareMessages } from '../judges/first-frames.ts';
import { elementsOf, subprotocolsOf } from '../judges/header-fields.ts';
import { acceptOf, type Head, headOf, linesOf } from '../judges/http-head.ts';
import { statusOf } from '../judges/request.ts';

const PROTOCOLS = ['chat', 'superchat'];
/** How many turns an answer may take. */
const PATIENCE = 12;

const REQUEST = [
  'GET /chat HTTP/1.1',
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/** The bytes of a request, cut anywhere, to Node's parser and an Upgrader, judged by a parser and a list of our own. */
export function serverHandshake(
  listen: (upgrader: Upgrader, onConn: (conn: Conn) => void) => UpgradeListener = (
    upgrader,
    onConn,
  ) => upgrader.handler(onConn),
): Target {
  const upgrader = new Upgrader({
    subprotocols: PROTOCOLS,
    compression: 'shared',
    report: () => {},
  });
  return {
    name: 'server-handshake',
    says: 'a request gets a 101 when every rule holds, else the status of the first that does not, and once',
    covers: ['packages/node-server/src/', 'packages/codec/src/handshake/'],
    maxLength: 1_200,
    dictionary: bytesOf(
      ...REQUEST.map((line) => `${line}\r\n`),
      'Origin: http://server.example.com\r\n',
      'Origin: null\r\n',
      'Content-Length: 0\r\n',
      'Content-Length: 5\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Expect: 100-continue\r\n',
      'Sec-WebSocket-Protocol: superchat, chat\r\n',
      'keep-alive, ',
      'POST',
      'HTTP/1.0',
      'http://',
      ':80',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n',
      '[::1]',
      '8',
      '\r\n',
      '\n',
      'upgrade',
      'websocket',
      ', ',
      '\t',
      '\0',
      '#',
      '@',
      '://',
      '%',
      '"',
    ),
    separators: bytesOf('\r\n', ' ', ',', ':'),
    seeds: [
      REQUEST,
      [
        ...REQUEST,
        'Origin: http://server.example.com:80',
        'Sec-WebSocket-Protocol: superchat, chat',
      ],
      [
        ...REQUEST,
        'Sec-WebSocket-Extensions: x-a; b="c", permessage-deflate; client_max_window_bits',
      ],
      ['POST /chat HTTP/1.1', ...REQUEST.slice(1)],
      [
        'GET http://[::1]:80/ HTTP/1.1',
        'Host: [::1]:80',
        ...REQUEST.slice(2),
        'Origin: ws://[::1]',
      ],
    ].map((lines, i) => {
      const head = Buffer.from(`\0\0${lines.join('\r\n')}\r\n\r\n`, 'latin1');
      const frames = i === 0 ? [0x82, 0x81, 0, 0, 0, 0, 7, 0x89, 0x80, 1, 2, 3, 4] : [];
      return Uint8Array.from([...head, ...frames]);
    }),
    async run(input) {
      const read = new Input(input);
      const cuts = read.cuts(2);
      const bytes = read.rest();
      const socket = new MemorySocket();
      socket.on('error', () => {});
      const called = await serve(upgrader, listen, socket, bytes, cuts);
      judge(Buffer.from(bytes), socket.written, called);
    },
  };
}

interface Served {
  /** Whether Node took it for an upgrade. */
  readonly upgraded: boolean;
  /** Whether a request of another kind came first: its answer is the connection's last. */
  readonly behind: boolean;
  readonly messages: readonly Buffer[];
}

async function serve(
  upgrader: Upgrader,
  listen: (upgrader: Upgrader, onConn: (conn: Conn) => void) => UpgradeListener,
  socket: MemorySocket,
  bytes: Uint8Array,
  cuts: readonly number[],
): Promise<Served> {
  let upgraded = false;
  let requested = false;
  let open: Conn | undefined;
  const messages: Buffer[] = [];
  const server = createServer({ insecureHTTPParser: false, requireHostHeader: false });
  server.maxHeadersCount = 0;
  const listener = listen(upgrader, (conn) => {
    open = conn;
    void conn.receive((message) => void messages.push(Buffer.from(message.data)));
  });
  server.on('upgrade', (...args) => {
    upgraded = true;
    listener(...args);
  });
  server.on('request', (_, response) => {
    requested = true;
    response.writeHead(426, { Connection: 'close' }).end();
  });
  server.emit('connection', socket);
  for (const piece of piecesOf(bytes, cuts, 12)) {
    socket.feed(piece);
    await turn();
  }
  for (let i = 0; i < PATIENCE && !socket.destroyed && !socket.writableEnded; i++) await turn();
  open?.terminate();
  socket.destroy();
  await turn();
  return { upgraded, behind: upgraded && requested, messages };
}

function judge(request: Buffer, written: Buffer, { upgraded, behind, messages }: Served): void {
  const answers = written.toString('latin1');
  const final = answers.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  if (behind) {
    must(final.startsWith('HTTP/1.1 426 '), 'the request in front of an upgrade is answered');
    must(!final.includes('HTTP/1.1', 1), 'nothing is answered behind an answer that closes');
    return same(messages.length, 0, 'messages behind an answer that closes');
  }
  const head = headOf(request.toString('latin1'));
  const expected = typeof head === 'string' || !upgraded ? undefined : statusOf(head);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(final)?.[1]);
  if (upgraded) must(status > 100, 'an upgrade request is answered');
  if (status !== 101) {
    if (expected !== undefined) same(status, expected, 'status');
    checkRefusal(answers, upgraded);
    same(messages.length, 0, 'messages after a refusal');
    return;
  }
  must(typeof head !== 'string', 'a 101 answers a request that is well-formed');
  same(status, expected, 'status');
  checkAcceptance(head, answers);
  const agreed = agreementOf(offersOf(head), LIMITS) !== undefined;
  compareMessages(request.subarray(head.end), 'server', agreed, messages);
}

/** One answer, and the connection's last. */
function checkRefusal(answers: string, upgraded: boolean): void {
  if (!upgraded) return;
  const answer = headOf(answers);
  must(typeof answer !== 'string', 'the refusal is well-formed');
  must(linesOf(answer, 'connection').join().includes('close'), 'a refusal ends the connection');
  const length = Number(linesOf(answer, 'content-length')[0]);
  same(answers.length - answer.end, length, 'bytes of the body');
}

const LIMITS = { serverNoContextTakeover: true, clientNoContextTakeover: true };

function offersOf(head: Head) {
  return elementsOf(linesOf(head, 'sec-websocket-extensions').join(',')) ?? [];
}

function checkAcceptance(head: Head, answers: string): void {
  const answer = headOf(answers);
  must(typeof answer !== 'string', 'the 101 is well-formed');
  const once = (name: string): string => {
    const lines = linesOf(answer, name);
    must(lines.length < 2, `${name} stands once in the 101`);
    return lines[0] ?? '';
  };
  same(once('upgrade').toLowerCase(), 'websocket', 'Upgrade');
  same(once('connection').toLowerCase(), 'upgrade', 'Connection');
  same(once('sec-websocket-accept'), acceptOf(linesOf(head, 'sec-websocket-key')[0]!), 'Accept');
  const offered = subprotocolsOf(linesOf(head, 'sec-websocket-protocol').join(',')) ?? [];
  const wanted = PROTOCOLS.find((name) => offered.includes(name)) ?? '';
  same(once('sec-websocket-protocol'), wanted, 'subprotocol');
  const agreed = agreementOf(offersOf(head), LIMITS);
  const [extension] = elementsOf(once('sec-websocket-extensions')) ?? [];
  same(extension?.name, agreed && 'permessage-deflate', 'extension');
  const params = new Map(extension?.params);
  if (agreed === undefined) return;
  const bits = (side: string): number => Number(params.get(`${side}_max_window_bits`) ?? 15);
  const takeover = (side: string): boolean => params.has(`${side}_no_context_takeover`);
  same(
    [takeover('server'), takeover('client'), bits('server'), bits('client')].join(),
    Object.values(agreed).join(),
    'parameters',
  );
}
