import { sequence } from './sequence.ts';
import { closing } from './states.ts';
import { arrow, box, picture, text } from './svg.ts';

/** Every diagram of docs/diagrams, by its file name. */
export function diagrams(): Record<string, string> {
  return {
    'architecture.svg': architecture(),
    'byte.svg': byte(),
    'backpressure.svg': backpressure(),
    'closing.svg': closing(),
    'handshake.svg': handshake(),
  };
}

/** Each package uses those that its arrows point to. */
function architecture(): string {
  const [left, middle, right] = [20, 273, 526];
  const rows: [x: number, y: number, width: number, name: string, what: string][] = [
    [middle, 20, 220, '@ws/proxy', 'reverse proxy'],
    [right, 20, 220, '@ws/obs', 'OBS Studio'],
    [left, 120, 220, '@ws/compat', 'the API of ws'],
    [middle, 120, 220, '@ws/node-server', 'HTTP request to Conn'],
    [right, 120, 220, '@ws/node-client', 'URL to Conn'],
    [left, 220, 473, '@ws/node-io', 'sockets and Node'],
    [right, 220, 220, '@ws/browser', "a page's WebSocket"],
    [left, 320, 220, '@ws/deflate', 'compression'],
    [293, 320, 200, '@ws/hub', 'rooms, sessions'],
    [right, 320, 220, '@ws/reconnect', 'clients that dial again'],
    [middle, 420, 473, '@ws/conn', 'reads and writes: Conn, in any runtime'],
    [left, 520, 726, '@ws/codec', 'bytes to messages: no I/O, no timer'],
  ];
  const arrows = [
    'M383 77v42',
    'M470 77L560 119',
    'M636 77v42',
    'M130 177v42',
    'M383 177v42',
    'M560 177L470 219',
    'M636 177v42',
    'M130 277v42',
    'M256 277L284 419',
    'M636 277v42',
    'M130 377v142',
    'M393 377v42',
    'M636 377v42',
    'M510 477v42',
  ];
  return picture('The packages, and which of them each one uses', 766, 596, [
    ...rows.map(([x, y, width, name, what]) => box({ x, y, width, lines: [name, what] })),
    ...arrows.map((path) => arrow(path)),
  ]);
}

function byte(): string {
  const [incoming, outgoing] = [40, 400];
  const column = (x: number, names: readonly (readonly string[])[]): string[] =>
    names.map((lines, i) => box({ x, y: 52 + i * 96, width: 320, lines }));
  const between = (x: number, count: number): string[] =>
    Array.from({ length: count }, (_, i) => arrow(`M${x} ${109 + i * 96}v35`));
  return picture('The way of a byte, in and out', 760, 576, [
    text(incoming + 160, 32, 'a byte comes in', 'bold'),
    text(outgoing + 160, 32, 'a byte goes out', 'bold'),
    ...column(incoming, [
      ['socket', 'a chunk of bytes'],
      ['transport', 'lends the chunk to the connection'],
      ['frame decoder', 'header, rules'],
      ['message decoder', 'unmasks, joins, inflates, UTF-8, limits'],
      ['reader', 'a pending read gets the message'],
    ]),
    ...column(outgoing, [
      ['your write', 'checked against the limits'],
      ['extension', 'compresses, if both ends agreed'],
      ['frame writer', 'header and payload in a slab'],
      ['send queue', 'one write for each turn'],
      ['socket', 'the slab is released when sent'],
    ]),
    ...between(incoming + 160, 4),
    ...between(outgoing + 160, 4),
    text(incoming + 160, 550, 'no pending read: it queues, then pauses the transport'),
    text(outgoing + 160, 550, 'the socket is full: your await waits'),
  ]);
}

function backpressure(): string {
  return sequence(
    'Backpressure: who waits for whom',
    ['your loop', 'your Conn', "the peer's Conn", "the peer's loop"],
    190,
    [
      { from: 0, to: 1, text: 'send(message)' },
      { from: 1, to: 2, text: 'frames' },
      { at: 3, note: ['busy', 'it does not read'] },
      { at: 2, note: ['readAhead is full', 'it pauses the socket'] },
      { from: 2, to: 1, text: 'TCP window is 0', late: true },
      { at: 1, note: ['highWaterMark is full', 'the socket takes nothing'] },
      { at: 0, note: ['await send() waits', 'no memory grows'] },
      { from: 3, to: 2, text: 'reads the next message' },
      { from: 2, to: 1, text: 'TCP window opens', late: true },
      { from: 1, to: 0, text: 'send() resolves', late: true },
    ],
  );
}

function handshake(): string {
  return sequence('A handshake', ['client: dial', 'server: serve', 'your functions'], 260, [
    { from: 0, to: 1, text: 'GET /chat, Upgrade: websocket' },
    { at: 1, note: ['limits', 'too many: 503, 429'] },
    { at: 1, note: ['rules of RFC 6455', 'a fault: 400, 426'] },
    { at: 1, note: ['route, host, origin', 'unknown: 404, 421, 403'] },
    { from: 1, to: 2, text: 'authenticate(req)' },
    { from: 2, to: 1, text: 'auth, or a refusal: 401', late: true },
    { from: 1, to: 0, text: '101 Switching Protocols', late: true },
    { from: 1, to: 2, text: 'handler(conn, req, { auth })' },
    { from: 0, to: 1, text: 'messages' },
    { from: 1, to: 0, text: 'messages' },
  ]);
}
