import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { NaiveConnection, type NaiveTerms } from './naive-connection.ts';
import type { Fault, Liberty } from './naive-faults.ts';

/** A simple echo server that can have planted faults. */
export interface NaiveServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts a naive server on a free port of 127.0.0.1. */
export async function naiveServer(...faults: readonly (Fault | Liberty)[]): Promise<NaiveServer> {
  const has = (fault: Fault | Liberty): boolean => faults.includes(fault);
  const server = createServer((_, res) =>
    res
      .writeHead(has('answers plain requests with 200') ? 200 : 426, {
        Upgrade: 'websocket',
        Connection: 'close, Upgrade',
        'Sec-WebSocket-Version': '13',
      })
      .end(),
  );
  const sockets = new Set<Duplex>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  server.on('upgrade', (req, socket, head) => {
    const answer = answerTo(req, has);
    if (!('fields' in answer)) {
      const version = has('does not list its version') ? '' : 'Sec-WebSocket-Version: 13\r\n';
      if (has('drops refused handshakes')) return void socket.end();
      const status = has('answers bad handshakes with 200') ? 200 : answer.refuse;
      socket.end(
        `HTTP/1.1 ${status} No\r\nConnection: close\r\n${version}Content-Length: 0\r\n\r\n`,
      );
      return;
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\n${answer.fields.map((line) => `${line}\r\n`).join('')}\r\n`,
    );
    const connection = new NaiveConnection(socket, has, answer.terms);
    if (head.length > 0 && !has('loses frames in the segment of the request'))
      connection.take(head);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Handshakes so far, of all servers. */
let handshakes = 0;

type Answer =
  | { readonly refuse: number }
  | { readonly fields: readonly string[]; readonly terms: NaiveTerms | undefined };

function answerTo(req: IncomingMessage, has: (fault: Fault | Liberty) => boolean): Answer {
  const lines = (name: string): string[] =>
    req.rawHeaders.filter((_, at, all) => at % 2 === 1 && all[at - 1]!.toLowerCase() === name);
  const list = (name: string): string[] =>
    lines(name).flatMap((line) => line.split(',').map((one) => one.trim()));
  const lower = (values: string[]): string[] => values.map((value) => value.toLowerCase());
  const upgrade = list('upgrade');
  const exact = has('requires "websocket" in lower case');
  const [key = '', ...keys] = lines('sec-websocket-key');
  const version = lines('sec-websocket-version');
  const hasBody =
    lines('transfer-encoding').length > 0 || Number(lines('content-length')[0] ?? 0) > 0;
  const checks: readonly (readonly [holds: boolean, status: number])[] = [
    [req.httpVersion === '1.1', 400],
    [lines('host').length === 1 && /^[\w.:[\]-]+$/.test(lines('host')[0]!), 400],
    [req.method === 'GET' || has('accepts any method'), 405],
    [(exact ? upgrade : lower(upgrade)).includes('websocket'), 400],
    [lower(list('connection')).includes('upgrade'), 400],
    [version.length === 1 && (version[0] === '13' || has('accepts any version')), 400],
    [/^[A-Za-z0-9+/]{22}==$/.test(key), 400],
    [keys.length === 0 || has('accepts two keys'), 400],
    [!hasBody || has('reads the body of a handshake as frames'), 400],
  ];
  const broken = checks.find(([holds]) => !holds);
  if (broken !== undefined) return { refuse: broken[1] };

  const offered = lines('sec-websocket-extensions').join(', ');
  const offers = parseOffers(offered);
  if (offers === undefined && !has('accepts malformed extensions')) return { refuse: 400 };
  const proof = has('answers with a wrong accept') ? key.toLowerCase() : key;
  const accept = createHash('sha1')
    .update(`${proof}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  const fields = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`];
  if (has('selects an unoffered subprotocol')) fields.push('Sec-WebSocket-Protocol: mine');
  if (has('selects another subprotocol each time')) {
    const names = list('sec-websocket-protocol');
    if (names.length > 0)
      fields.push(`Sec-WebSocket-Protocol: ${names[handshakes++ % names.length]}`);
  }
  if (has('copies the escapes of a subprotocol')) {
    const [copied] = lines('sec-websocket-protocol');
    if (copied !== undefined)
      fields.push(`Sec-WebSocket-Protocol: ${copied.replaceAll('%0d%0a', '\r\n')}`);
  }
  if (has('accepts unknown extensions') && offers?.[0] !== undefined) {
    return { fields: [...fields, `Sec-WebSocket-Extensions: ${offers[0].name}`], terms: undefined };
  }
  const terms = negotiate(offers ?? [], has);
  return { fields: terms === undefined ? fields : [...fields, terms.line], terms };
}

interface Offer {
  readonly name: string;
  readonly params: readonly (readonly [string, string | undefined])[];
}

/** Parses a list of extensions (RFC 6455, 9.1). Returns undefined for a malformed list. */
function parseOffers(value: string): Offer[] | undefined {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  const param = new RegExp(`^(${token})(?:\\s*=\\s*(?:(${token})|"((?:${token}|\\\\.)+)"))?$`);
  const elements = value
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  const offers: Offer[] = [];
  for (const element of elements) {
    const [name = '', ...params] = element.split(';').map((one) => one.trim());
    const found = params.map((one) => param.exec(one));
    if (!new RegExp(`^${token}$`).test(name) || found.includes(null)) return undefined;
    offers.push({ name, params: found.map((one) => [one![1]!, one![2] ?? one![3]] as const) });
  }
  return offers;
}

const TAKEOVERS = ['server_no_context_takeover', 'client_no_context_takeover'];

function negotiate(
  offers: readonly Offer[],
  has: (fault: Fault | Liberty) => boolean,
): (NaiveTerms & { readonly line: string }) | undefined {
  const offer = offers.find(
    ({ name, params }) =>
      name === 'permessage-deflate' &&
      (has('accepts bad parameters') || params.every(isGood(params))),
  );
  if (offer === undefined) return undefined;
  const asked = offer.params.find(([name]) => name === 'server_max_window_bits')?.[1];
  const line = ['Sec-WebSocket-Extensions: permessage-deflate', ...TAKEOVERS];
  if (asked !== undefined) line.push(`server_max_window_bits=${asked}`);
  if (has('answers with unoffered parameters')) line.push('client_max_window_bits=15');
  return { serverBits: Number(asked ?? 15), line: line.join('; ') };
}

function isGood(all: Offer['params']): (param: Offer['params'][number]) => boolean {
  return ([name, value]) => {
    if (all.filter(([one]) => one === name).length > 1) return false;
    if (TAKEOVERS.includes(name)) return value === undefined;
    if (name === 'client_max_window_bits' && value === undefined) return true;
    return (
      /^(?:client|server)_max_window_bits$/.test(name) && /^(?:[89]|1[0-5])$/.test(value ?? '')
    );
  };
}
