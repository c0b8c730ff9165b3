/** RFC 6455's own example, section 1.2. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const USUAL: readonly string[] = [
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
];

/** The name of a header line, in lower case. */
function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':')).toLowerCase();
}

/** How a request differs from a good one. */
export interface RequestChange {
  line?: string;
  /** Fields of the good request to leave out, by name in lower case. */
  without?: readonly string[];
  /** Lines that stand in place of the good request's fields of the same names. */
  set?: readonly string[];
  /** Lines to add. */
  add?: readonly string[];
  /** What follows the head. */
  behind?: string | Uint8Array;
}

/** The bytes of an upgrade request, good but for `change`. */
export function request(change: RequestChange = {}): Buffer {
  const { line = 'GET /chat HTTP/1.1', without = [], set = [], add = [], behind = '' } = change;
  const dropped = [...without, ...set.map(nameOf)];
  const kept = USUAL.filter((usual) => !dropped.includes(nameOf(usual)));
  const head = `${[line, ...kept, ...set, ...add].join('\r\n')}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(behind as string)]);
}

/** A server's answer as it stood on the wire. */
export interface Answer {
  readonly status: number;
  readonly statusLine: string;
  readonly names: readonly string[];
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly raw: string;
}

/** Reads an answer. */
export function parseAnswer(raw: string): Answer {
  const end = raw.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = raw.slice(0, end).split('\r\n');
  const pairs = lines.map(
    (l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 2)] as const,
  );
  return {
    status: Number(statusLine.split(' ')[1]),
    statusLine,
    names: pairs.map(([name]) => name),
    headers: new Map(pairs.map(([name, value]) => [name.toLowerCase(), value])),
    body: raw.slice(end + 4),
    raw,
  };
}

/** A masked frame as a client sends it, payload below 126 bytes. */
export function masked(opcode: number, payload: string | Uint8Array, fin = true): Buffer {
  const bytes = Buffer.from(payload as string);
  const key = [0x37, 0xfa, 0x21, 0x3d];
  return Buffer.from([
    (fin ? 0x80 : 0) | opcode,
    0x80 | bytes.length,
    ...key,
    ...bytes.map((b, i) => b ^ key[i & 3]!),
  ]);
}
