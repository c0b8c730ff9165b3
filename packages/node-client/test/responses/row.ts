import type { SeenRequest } from '../servers.ts';

/** The bytes of a server as Latin-1, or a function that makes them from the request. */
export type Bytes = string | ((request: SeenRequest) => string);

/** The outcome of a dial. */
export type Outcome =
  | {
      readonly is: 'refused';
      readonly status: number;
      /** The whole message after `websocket: bad handshake: `. */
      readonly words: string;
      /** As Latin-1, if it is checked. */
      readonly body?: string;
    }
  | { readonly is: 'broken' }
  | {
      readonly is: 'open';
      readonly subprotocol: string;
      /** The first message, if any. */
      readonly text: string | undefined;
    };

/** Title, bytes, outcome, and the offer. */
export type Row = readonly [
  says: string,
  bytes: Bytes,
  outcome: Outcome,
  subprotocols?: readonly string[],
];

export const refused = (status: number, words: string, body?: string): Outcome => {
  return body === undefined
    ? { is: 'refused', status, words }
    : { is: 'refused', status, words, body };
};
/** A refusal because of the status only. */
export const no = (status: number, phrase: string, body?: string): Outcome => {
  return refused(status, `the server answered ${`${status} ${phrase}`.trim()}, not 101`, body);
};
export const notHttp: Outcome = refused(0, 'the answer is not HTTP; check host and port', '');
export const tlsAlert: Outcome = refused(
  0,
  'the answer is not HTTP; check host and port; perhaps the server speaks TLS; use wss:',
  '',
);
export const http2Only: Outcome = refused(
  0,
  "the answer is not HTTP/1.1 but HTTP/2; use the option http2: 'only'",
  '',
);
export const tooLarge: Outcome = refused(
  0,
  'the head of the answer is larger than 65536 bytes',
  '',
);
/** The stream ended first. */
export const broken: Outcome = { is: 'broken' };
export const open: Outcome = { is: 'open', subprotocol: '', text: undefined };
export const opens = (text: string | undefined, subprotocol = ''): Outcome => {
  return { is: 'open', subprotocol, text };
};

export const UP = 'Upgrade: websocket';
export const CONN = 'Connection: Upgrade';
export const accept = (request: SeenRequest): string => `Sec-WebSocket-Accept: ${request.accept}`;
/** A text frame with `hi`. */
export const HI = '\x81\x02hi';

/** A 101 of these lines. */
export function head(...lines: string[]): string {
  return ['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n');
}

/** A valid response with additional lines. */
export function plus(...lines: string[]): (request: SeenRequest) => string {
  return (request) => head(UP, CONN, accept(request), ...lines);
}

/** A valid response with another status line. */
export function line(statusLine: string): (request: SeenRequest) => string {
  return (request) => request.ok().replace(/^.*/, statusLine);
}

/** A valid response with these Upgrade, Connection or Accept lines instead. */
export function instead(
  name: 'Upgrade' | 'Connection' | 'Sec-WebSocket-Accept',
  ...lines: Bytes[]
) {
  return (request: SeenRequest): string => {
    const others = [UP, CONN, accept(request)].filter((other) => !other.startsWith(name));
    return head(...others, ...lines.map((own) => (typeof own === 'string' ? own : own(request))));
  };
}

/** A refusal with these lines and this body. */
export function refusal(status: number, lines: readonly string[], body = ''): string {
  return `${[`HTTP/1.1 ${status} Whatever`, ...lines].join('\r\n')}\r\n\r\n${body}`;
}
