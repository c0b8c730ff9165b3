import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { hasToken } from '@ws/codec/internal';
import { cutStream } from '@ws/node-io/internal';
import { HandshakeWaits } from './handshake-waits.ts';
import type { PendingWork } from './pending-work.ts';
import { headFault, IncomingFacts } from './request.ts';
import { NodeHttpResponder } from './responder/node-http.ts';

/** Fields of an upgrade to another protocol (RFC 7540, section 3.2.1), in lower case. */
const UPGRADE_FIELDS: ReadonlySet<string> = new Set(['upgrade', 'http2-settings']);

/** The requests that were given back: several listeners of ours may get one. */
const givenBack = new WeakSet<IncomingMessage>();

type Parse = (this: Server, socket: Duplex) => void;

/**
 * Gives a request without `websocket` in its Upgrade back to its server, which emits 'request'
 * for it: a server may ignore an Upgrade (RFC 9110, section 7.8). curl and Java's HttpClient offer
 * `h2c` with ordinary requests. node:http emits 'upgrade' for them once that event has a listener.
 *
 * @param work - Counts the socket while the answers to earlier requests on it are pending.
 * @param timeout - Milliseconds until those are sent; then the socket is cut. Infinity for no bound.
 * @returns Whether the request was given back. Its socket must not be used then. Without a listener for
 *   'request' it is not: nothing would answer.
 */
export function giveBackPlainRequest(
  req: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  work: PendingWork,
  timeout: number,
): boolean {
  if (asksForWebSocket(req)) return false;
  if (givenBack.has(req)) return true;
  const { server } = req.socket as { server?: Server };
  const parse = server && parserOf(server);
  if (parse === undefined || server!.listenerCount('request') === 0) return false;
  if (req.method === 'CONNECT' || req.httpVersionMajor !== 1) return false;
  if (hasToken(new IncomingFacts(req).list('upgrade'), 'websocket')) return false;
  // The rules refuse it.
  if (headFault(req) !== undefined) return false;
  givenBack.add(req);
  const again = (rest: Uint8Array): void => parseAgain(server!, parse, req, socket, rest);
  const responder = new NodeHttpResponder(req, socket);
  if (responder.isQueued) void parseInTurn(responder, head, work, timeout, again);
  else if (!socket.destroyed) again(head);
  return true;
}

/** Waits for the answers to earlier requests: the new parser would not send its answer after them. */
async function parseInTurn(
  responder: NodeHttpResponder,
  head: Uint8Array,
  work: PendingWork,
  timeout: number,
  again: (rest: Uint8Array) => void,
): Promise<void> {
  const { stream } = responder;
  const waits = new HandshakeWaits(responder, head, timeout, performance.now());
  work.addSocket(stream);
  try {
    await responder.untilEarlierAnswered((answer) => waits.wait(answer));
    waits.stop();
    if (waits.failure === undefined) {
      waits.forgetSocket();
      again(waits.takeEarlyBytes());
      // The client has ended its half, and node:http serves no request after that.
    } else stream.end();
  } catch {
    waits.stop();
    // After an answer that is the last one, node:http ends the socket itself.
    if (!stream.writableEnded) cutStream(stream);
  } finally {
    work.removeSocket(stream);
  }
}

/** Whether the first Upgrade line is `websocket` alone, as in nearly every upgrade. */
function asksForWebSocket({ rawHeaders }: IncomingMessage): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length !== 7 || name.toLowerCase() !== 'upgrade') continue;
    return rawHeaders[i + 1]!.toLowerCase() === 'websocket';
  }
  return false;
}

/** Returns Node's own listener for connections. */
function parserOf(server: Server): Parse | undefined {
  const listeners = [...server.listeners('secureConnection'), ...server.listeners('connection')];
  return listeners.find(({ name }) => name === 'connectionListener') as Parse | undefined;
}

function parseAgain(
  server: Server,
  parse: Parse,
  req: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): void {
  socket.unshift(Buffer.concat([Buffer.from(headWithoutUpgrade(req), 'latin1'), head]));
  // Only the first parser of a socket takes its handle. This one reads the stream, with these bytes.
  parse.call(server, socket);
  socket.resume();
}

function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  let head = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    const value = rawHeaders[i + 1]!;
    const field = name.toLowerCase();
    if (UPGRADE_FIELDS.has(field)) continue;
    head += `${name}: ${field === 'connection' ? withoutUpgradeTokens(value) : value}\r\n`;
  }
  return `${head}\r\n`;
}

function withoutUpgradeTokens(connection: string): string {
  const tokens = connection.split(',').map((token) => token.trim());
  return tokens.filter((token) => !UPGRADE_FIELDS.has(token.toLowerCase())).join(', ');
}
