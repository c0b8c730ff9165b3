import type { RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HandshakeError } from './errors.ts';
import { endRefusedResponse } from './linger.ts';

/** Answers a plain request with a line of text; nothing behind it on its connection is for anybody. */
function refusePlain(res: ServerResponse, { status, headers, body }: HandshakeError): void {
  const upgrades = headers.some(([name]) => name === 'Upgrade');
  res.writeHead(status, {
    ...Object.fromEntries(headers),
    Connection: upgrades ? 'close, Upgrade' : 'close',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Sec-WebSocket-Version': '13',
  });
  res.write(body);
  endRefusedResponse(res);
}

/** Answers a plain request where there is nothing else to answer it. */
export const upgradeRequired: RequestListener = (_req, res) => {
  const headers = [['Upgrade', 'websocket']] as const;
  refusePlain(
    res,
    new HandshakeError(426, 'plain request', { headers, body: 'this is a WebSocket server\n' }),
  );
};

/** The plain requests of a server of ours, as long as their responses are not out. */
export class PlainRequests {
  /** How many responses are not out yet. */
  pending = 0;
  readonly #serve: RequestListener;
  readonly #progress: () => void;
  readonly #open = new Map<Duplex, Set<ServerResponse>>();
  readonly #refused = new WeakSet<Duplex>();
  #closing = false;

  /**
   * @param serve - Answers those that are well-formed.
   * @param progress - Called whenever a response is over.
   */
  constructor(serve: RequestListener, progress: () => void) {
    this.#serve = serve;
    this.#progress = progress;
  }

  /** For 'request'. */
  readonly onRequest: RequestListener = (req, res) => {
    // RFC 9112, section 3.2.
    if (req.httpVersion === '1.1' && req.headers.host === undefined) {
      this.#refuse(res, new HandshakeError(400, "not an HTTP request: 'Host' header is missing"));
    } else if (this.#begin(res)) this.#serve(req, res);
  };

  /** For 'checkExpectation': what a request expects besides a 100. */
  readonly onExpectation: RequestListener = (_req, res) => {
    this.#refuse(res, new HandshakeError(417, "unknown expectation in 'Expect' header"));
  };

  /** From now on each answer is its connection's last. */
  drain(): void {
    this.#closing = true;
    for (const open of this.#open.values()) open.forEach(makeLast);
  }

  #refuse(res: ServerResponse, error: HandshakeError): void {
    if (!this.#begin(res)) return;
    this.#refused.add(res.req.socket);
    refusePlain(res, error);
  }

  /** False for a request behind one that was refused: Node drops its connection. */
  #begin(res: ServerResponse): boolean {
    const { socket } = res.req;
    if (this.#refused.has(socket)) return false;
    if (this.#closing) makeLast(res);
    const open = this.#openOn(socket);
    open.add(res);
    this.pending++;
    res.once('close', () => {
      if (open.delete(res)) this.#over(1);
    });
    return true;
  }

  /** Responses that wait behind another are not told when their socket closes. */
  #openOn(socket: Duplex): Set<ServerResponse> {
    const known = this.#open.get(socket);
    if (known !== undefined) return known;
    const open = new Set<ServerResponse>();
    this.#open.set(socket, open);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#over(open.size);
      open.clear();
    });
    return open;
  }

  #over(responses: number): void {
    this.pending -= responses;
    this.#progress();
  }
}

function makeLast(res: ServerResponse): void {
  if (!res.headersSent) res.setHeader('Connection', 'close');
}
