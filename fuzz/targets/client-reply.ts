import { BadHandshakeError, Dialer, WebSocketError } from '@ws/node-client';
import { turn } from '@ws/tests';
import { Input, piecesOf } from '../harness/input.ts';
import { MemorySocket } from '../harness/memory-socket.ts';
import { bytesOf, ensure, type Target } from '../harness/target.ts';
import { compareMessages } from '../oracles/first-messages.ts';
import { elementsOf } from '../oracles/header-fields.ts';
import { acceptOf, headOf, linesOf } from '../oracles/http-head.ts';
import { type HandshakeRequest, verdictOf } from '../oracles/reply.ts';

const SUBPROTOCOLS = ['chat', 'superchat'];
/** As the value of its header, replaced by the right value for the key of the request. */
const ACCEPT = '$accept';
/** The key is random. Elsewhere, its value would run other code each time. */
const ACCEPT_LINE = /^(sec-websocket-accept:[ \t]*)\$accept(?=[ \t]*$)/gim;

const REPLY = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${ACCEPT}`,
];

type Handshake = Dialer['handshake'];

/** Feeds a Dialer the bytes of a response, cut anywhere. Oracles judge the outcome. */
export function clientReply(
  wrap: (handshake: Handshake) => Handshake = (handshake) => handshake,
): Target {
  const dialer = new Dialer({ subprotocols: SUBPROTOCOLS, compression: 'shared' });
  const handshake = wrap((...args) => dialer.handshake(...args));
  return {
    name: 'client-reply',
    description: 'a dial follows RFC 6455, section 4.1, and rejects only with a WebSocketError',
    covers: ['packages/node-client/src/', 'packages/codec/src/handshake/'],
    maxLength: 1_200,
    dictionary: bytesOf(
      ...REPLY.map((line) => `${line}\r\n`),
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 302 Found\r\nLocation: /\r\n',
      'HTTP/1.0',
      'HTTP/1.1',
      'Content-Length: 5\r\n',
      '401',
      ACCEPT,
      'Transfer-Encoding: chunked\r\n',
      'Sec-WebSocket-Protocol: superchat\r\n',
      'chat',
      'Connection: close\r\n',
      'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n',
      '; client_max_window_bits=9',
      '; server_max_window_bits=8',
      ', ',
      '\r\n',
      '\n',
      '\t',
      '\0',
      '"',
    ),
    separators: bytesOf('\r\n', ' ', ',', ';'),
    seeds: [
      REPLY,
      [...REPLY, 'Sec-WebSocket-Protocol: superchat'],
      [
        ...REPLY,
        'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=9',
      ],
      ['HTTP/1.1 100 Continue', '', ...REPLY],
      ['HTTP/1.1 401 Unauthorized', 'Content-Length: 2', '', 'no'],
      ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '', '2', 'no', '0'],
    ].map((lines, i) => {
      const head = Buffer.from(`\0\0${lines.join('\r\n')}\r\n\r\n`, 'latin1');
      const frames = i === 0 ? [0x82, 0x01, 7, 0x89, 0x00, 0x01, 0x01, 0x61] : [];
      return Uint8Array.from([...head, ...frames]);
    }),
    async run(input) {
      const read = new Input(input);
      const cuts = read.cuts(2);
      const socket = new MemorySocket();
      const dialing = handshake(socket, 'ws://server.example.com/chat').then(
        (conn) => conn,
        (error: unknown) => error,
      );
      while (!socket.written.includes('\r\n\r\n')) await turn();
      const asked = requestOf(socket.written.toString('latin1'));
      const text = Buffer.from(read.rest()).toString('latin1');
      const accept = acceptOf(asked.key);
      const reply = Buffer.from(text.replace(ACCEPT_LINE, `$1${accept}`), 'latin1');
      for (const piece of piecesOf(reply, cuts, 12)) {
        socket.feed(piece);
        await turn();
      }
      socket.feedEnd();
      const dialed = await dialing;
      const { accepted, end, compressed } = verdictOf(reply.toString('latin1'), asked);
      if (dialed instanceof Error) {
        ensure(accepted !== true, `a valid handshake succeeds: ${String(dialed)}`);
        ensure(
          dialed instanceof WebSocketError,
          `the error is a WebSocketError: ${String(dialed)}`,
        );
        ensure(accepted !== 'either' || dialed instanceof BadHandshakeError, String(dialed));
        ensure(socket.destroyed, 'a failed dial destroys its stream');
        return;
      }
      ensure(accepted !== false, 'an invalid handshake fails');
      const conn = dialed as Awaited<ReturnType<Handshake>>;
      const messages: Buffer[] = [];
      await conn
        .receive((message) => void messages.push(Buffer.from(message.data)))
        .catch((error: unknown) =>
          ensure(
            error instanceof WebSocketError,
            `the error is a WebSocketError: ${String(error)}`,
          ),
        );
      conn.terminate();
      await turn();
      compareMessages(reply.subarray(end), 'client', compressed, messages);
    },
  };
}

function requestOf(request: string): HandshakeRequest {
  const head = headOf(request);
  ensure(typeof head !== 'string', 'the request is well-formed');
  const [offer] = elementsOf(linesOf(head, 'sec-websocket-extensions').join(',')) ?? [];
  return {
    key: linesOf(head, 'sec-websocket-key')[0]!,
    subprotocols: linesOf(head, 'sec-websocket-protocol').join().split(/, */),
    offer: offer!,
  };
}
