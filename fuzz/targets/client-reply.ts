import { BadHandshakeError, Dialer, WebSocketError } from '@ws/node-client';
import { turn } from '@ws/testkit';
import { Input, piecesOf } from '../harness/input.ts';
import { MemorySocket } from '../harness/memory-socket.ts';
import { bytesOf, must, type Target } from '../harness/target.ts';
import { compareMessages } from '../judges/first-frames.ts';
import { elementsOf } from '../judges/header-fields.ts';
import { acceptOf, headOf, linesOf } from '../judges/http-head.ts';
import { type Question, verdictOf } from '../judges/reply.ts';

const SUBPROTOCOLS = ['chat', 'superchat'];
/** Stands for the right answer to the key of the moment. */
const ACCEPT = '$accept';

const REPLY = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${ACCEPT}`,
];

type Handshake = Dialer['handshake'];

/** The bytes of an answer, cut anywhere, to a Dialer, judged by a parser and a list of our own. */
export function clientReply(
  wrap: (handshake: Handshake) => Handshake = (handshake) => handshake,
): Target {
  const dialer = new Dialer({ subprotocols: SUBPROTOCOLS, compression: 'shared' });
  const handshake = wrap((...args) => dialer.handshake(...args));
  return {
    name: 'client-reply',
    says: 'a dial succeeds when every rule of RFC 6455, section 4.1, holds, else rejects with an error of ours',
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
        ({ conn }) => conn,
        (error: unknown) => error,
      );
      while (!socket.written.includes('\r\n\r\n')) await turn();
      const question = questionOf(socket.written.toString('latin1'));
      const text = Buffer.from(read.rest()).toString('latin1');
      const reply = Buffer.from(text.replaceAll(ACCEPT, acceptOf(question.key)), 'latin1');
      for (const piece of piecesOf(reply, cuts, 12)) {
        socket.feed(piece);
        await turn();
      }
      socket.feedEnd();
      const dialed = await dialing;
      const { stands, end, compressed } = verdictOf(reply.toString('latin1'), question);
      if (dialed instanceof Error) {
        must(stands !== true, `a handshake that stands is taken, and not ${String(dialed)}`);
        must(dialed instanceof WebSocketError, `an error of ours, and not ${String(dialed)}`);
        must(stands !== 'either' || dialed instanceof BadHandshakeError, String(dialed));
        must(socket.destroyed, 'a dial that fails leaves no stream');
        return;
      }
      must(stands !== false, 'a handshake with a fault is refused');
      const conn = dialed as Awaited<ReturnType<Handshake>>['conn'];
      const messages: Buffer[] = [];
      await conn
        .receive((message) => void messages.push(Buffer.from(message.data)))
        .catch((error: unknown) =>
          must(error instanceof WebSocketError, `an error of ours: ${String(error)}`),
        );
      conn.terminate();
      await turn();
      compareMessages(reply.subarray(end), 'client', compressed, messages);
    },
  };
}

function questionOf(request: string): Question {
  const head = headOf(request);
  must(typeof head !== 'string', 'the request is well-formed');
  const [offer] = elementsOf(linesOf(head, 'sec-websocket-extensions').join(',')) ?? [];
  return {
    key: linesOf(head, 'sec-websocket-key')[0]!,
    subprotocols: linesOf(head, 'sec-websocket-protocol').join().split(/, */),
    offer: offer!,
  };
}
