import { createServer, type RequestListener } from 'node:http';
import { type Conn, type UpgradeListener, Upgrader } from '@ws/node-server';
import { turn } from '@ws/tests';
import { Input, piecesOf } from '../harness/input.ts';
import { MemorySocket } from '../harness/memory-socket.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { agreementOf } from '../oracles/deflate-negotiation.ts';
import { compareMessages } from '../oracles/first-messages.ts';
import { elementsOf, subprotocolsOf } from '../oracles/header-fields.ts';
import { acceptOf, type Head, headOf, linesOf } from '../oracles/http-head.ts';
import { statusOf } from '../oracles/request.ts';

const PROTOCOLS = ['chat', 'superchat'];
/** Limit for a response, in turns of the event loop. */
const MAX_TURNS = 12;

const REQUEST = [
  'GET /chat HTTP/1.1',
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/** Feeds the bytes of a request, cut anywhere, to Node's parser and an Upgrader. Oracles judge. */
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
    description: 'a request gets one response: 101, or the status of the first broken rule',
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
        'Origin: http://[::1]',
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
  /** Whether Node emitted `upgrade`. */
  readonly upgraded: boolean;
  /** Whether a plain request came first: its response is the last one of the connection. */
  readonly afterRequest: boolean;
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
  const onPlainRequest: RequestListener = (_, response) => {
    requested = true;
    response.writeHead(426, { Connection: 'close' }).end();
  };
  server.on('request', onPlainRequest);
  // Without a listener, Node answers an unknown expectation with 417 and keeps the connection.
  server.on('checkExpectation', onPlainRequest);
  server.emit('connection', socket);
  for (const piece of piecesOf(bytes, cuts, 12)) {
    socket.feed(piece);
    await turn();
  }
  for (let i = 0; i < MAX_TURNS && !socket.destroyed && !socket.writableEnded; i++) await turn();
  open?.terminate();
  socket.destroy();
  await turn();
  return { upgraded, afterRequest: upgraded && requested, messages };
}

function judge(
  request: Buffer,
  written: Buffer,
  { upgraded, afterRequest, messages }: Served,
): void {
  const answers = written.toString('latin1');
  const final = answers.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  if (afterRequest) {
    ensure(final.startsWith('HTTP/1.1 426 '), 'the request before an upgrade gets a response');
    ensure(!final.includes('HTTP/1.1', 1), 'no response follows one that closes');
    return ensureSame(messages.length, 0, 'messages after a response that closes');
  }
  const head = headOf(request.toString('latin1'));
  const expected = typeof head === 'string' || !upgraded ? undefined : statusOf(head);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(final)?.[1]);
  if (upgraded) ensure(status > 100, 'an upgrade request gets a response');
  if (status !== 101) {
    if (expected !== undefined) ensureSame(status, expected, 'status');
    checkRejection(answers, upgraded);
    ensureSame(messages.length, 0, 'messages after a rejection');
    return;
  }
  ensure(typeof head !== 'string', 'only a well-formed request gets a 101');
  ensureSame(status, expected, 'status');
  checkAcceptance(head, answers);
  const agreed = agreementOf(offersOf(head), LIMITS) !== undefined;
  compareMessages(request.subarray(head.end), 'server', agreed, messages);
}

/** Checks that a rejected request gets one response, and that it is the last. */
function checkRejection(answers: string, upgraded: boolean): void {
  if (!upgraded) return;
  const answer = headOf(answers);
  ensure(typeof answer !== 'string', 'the response is well-formed');
  ensure(
    linesOf(answer, 'connection').join().includes('close'),
    'a rejection closes the connection',
  );
  const length = Number(linesOf(answer, 'content-length')[0]);
  ensureSame(answers.length - answer.end, length, 'bytes of the body');
}

const LIMITS = { serverNoContextTakeover: true, clientNoContextTakeover: true };

function offersOf(head: Head) {
  return elementsOf(linesOf(head, 'sec-websocket-extensions').join(',')) ?? [];
}

function checkAcceptance(head: Head, answers: string): void {
  const answer = headOf(answers);
  ensure(typeof answer !== 'string', 'the 101 is well-formed');
  const once = (name: string): string => {
    const lines = linesOf(answer, name);
    ensure(lines.length < 2, `${name} occurs at most once in the 101`);
    return lines[0] ?? '';
  };
  ensureSame(once('upgrade').toLowerCase(), 'websocket', 'Upgrade');
  ensureSame(once('connection').toLowerCase(), 'upgrade', 'Connection');
  ensureSame(
    once('sec-websocket-accept'),
    acceptOf(linesOf(head, 'sec-websocket-key')[0]!),
    'Accept',
  );
  const offered = subprotocolsOf(linesOf(head, 'sec-websocket-protocol').join(',')) ?? [];
  const wanted = PROTOCOLS.find((name) => offered.includes(name)) ?? '';
  ensureSame(once('sec-websocket-protocol'), wanted, 'subprotocol');
  const agreed = agreementOf(offersOf(head), LIMITS);
  const [extension] = elementsOf(once('sec-websocket-extensions')) ?? [];
  ensureSame(extension?.name, agreed && 'permessage-deflate', 'extension');
  const params = new Map(extension?.params);
  if (agreed === undefined) return;
  const bits = (side: string): number => Number(params.get(`${side}_max_window_bits`) ?? 15);
  const takeover = (side: string): boolean => params.has(`${side}_no_context_takeover`);
  ensureSame(
    [takeover('server'), takeover('client'), bits('server'), bits('client')].join(),
    Object.values(agreed).join(),
    'parameters',
  );
}
