import { naiveEncode } from './naive-encoder.ts';

/** The example of RFC 6455, section 1.2. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const USUAL: readonly string[] = [
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
];

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':')).toLowerCase();
}

/** Changes to a valid request. */
export interface RequestChange {
  line?: string;
  /** Names of fields to omit, in lower case. */
  without?: readonly string[];
  /** Lines that replace fields of the same name. */
  set?: readonly string[];
  /** Lines to add. */
  add?: readonly string[];
  /** Bytes after the head. */
  behind?: string | Uint8Array;
}

/** The bytes of a valid upgrade request with `change` applied. */
export function request(change: RequestChange = {}): Buffer {
  const { line = 'GET /chat HTTP/1.1', without = [], set = [], add = [], behind = '' } = change;
  const dropped = [...without, ...set.map(nameOf)];
  const kept = USUAL.filter((usual) => !dropped.includes(nameOf(usual)));
  const head = `${[line, ...kept, ...set, ...add].join('\r\n')}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(behind as string)]);
}

/** An HTTP answer as on the wire. */
export interface Answer {
  readonly status: number;
  readonly statusLine: string;
  readonly names: readonly string[];
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly raw: string;
}

/** Parses an answer. */
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

/** A masked frame as a client sends it. */
export function masked(opcode: number, payload: string | Uint8Array, fin = true): Buffer {
  return Buffer.from(naiveEncode(opcode, payload, { mask: 0x37fa213d, fin }).buffer);
}
