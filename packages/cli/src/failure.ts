import type { CloseInfo } from '@ws/node-client';
import { excerpt } from './escape.ts';

/** The exit codes. docs/wsx.md has the table. */
export const ExitCode = {
  /** Both close frames were exchanged, with code 1000, 1001 or without one. */
  Clean: 0,
  /** The connection broke: no close frame, a fault of the peer, no answer to pings. */
  Broken: 1,
  /** The command line is wrong. */
  Usage: 2,
  /** No connection: name, network, TLS, certificate, proxy, time. */
  NotConnected: 3,
  /** The server has refused the handshake. */
  Refused: 4,
  /** The peer has closed with another code. */
  OtherCode: 5,
  /** A message was longer than `--max`. */
  TooLong: 6,
  /** `replay --expect`: the answers differ. */
  Different: 7,
  /** stdin, stdout, a file or a port failed. */
  InputOutput: 8,
  /** Interrupted before the connection was open, or twice. */
  Interrupted: 130,
} as const;

/** Ends a command with a message on stderr. */
export class Failure extends Error {
  readonly exitCode: number;
  /** What to do, on a line of its own. */
  readonly cure: string;

  constructor(exitCode: number, message: string, cure = '', options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
    this.cure = cure;
  }
}

/** A mistake on the command line. */
export function usage(message: string, cure = ''): Failure {
  return new Failure(ExitCode.Usage, message, cure);
}

/** A failure of stdin, stdout, a file or a port. */
export function inputOutput(what: string, cause: unknown): Failure {
  const { message, code } = cause as NodeJS.ErrnoException;
  const words = ERRNO.get(code ?? '') ?? message;
  return new Failure(ExitCode.InputOutput, `${what}: ${words}`, '', { cause });
}

const ERRNO: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file'],
  ['EACCES', 'permission denied'],
  ['EISDIR', 'it is a folder'],
  ['ENOTDIR', 'a part of the path is no folder'],
  ['ENOSPC', 'no space left'],
  ['EADDRINUSE', 'the address is in use'],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOTFOUND', 'the name does not exist'],
  ['ECONNRESET', 'the peer has reset the connection'],
  ['EPIPE', 'the reader has gone'],
]);

/** An error of the library, or of Node under it. */
type Cause = Error & {
  readonly code?: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
};

/** Makes a failed dial a {@link Failure}: the library's words, and a cure in options of `wsx`. */
export function dialFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const failed = error as Cause;
  if (
    failed instanceof SyntaxError ||
    failed instanceof TypeError ||
    failed instanceof RangeError
  ) {
    const [message, cure] = inWords(failed.message);
    return new Failure(ExitCode.Usage, message, cure, { cause: error });
  }
  const code = failed.code === 'WS_ERR_BAD_HANDSHAKE' ? ExitCode.Refused : ExitCode.NotConnected;
  return new Failure(code, failed.message, cureOf(failed), { cause: error });
}

/** The cures of the library name options of its functions. */
const OWN_CURES: readonly (readonly [library: string, cure: string])[] = [
  ['; send it with the option headers: { Authorization }', 'log in with --user NAME:PASSWORD'],
  ['; raise it with the option readLimit', '--max sets another limit'],
];

/** A message of the library without its cure, and a cure in options of `wsx`. */
function inWords(message: string): readonly [message: string, cure: string] {
  const [library = '', cure = ''] = OWN_CURES.find(([text]) => message.includes(text)) ?? [];
  return [message.replace(library, ''), cure];
}

function cureOf(error: Cause): string {
  const { status, headers } = error;
  if (status !== undefined) return statusCure(status, headers?.['location']);
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const cure = CERTIFICATE_CURES.get((cause as Cause).code ?? '');
    if (cure !== undefined) return cure;
  }
  return '';
}

function statusCure(status: number, location: string | readonly string[] | undefined): string {
  if (status >= 300 && status < 400 && typeof location === 'string') {
    return `dial ${JSON.stringify(location)} if you trust it`;
  }
  return STATUS_CURES.get(status) ?? '';
}

const STATUS_CURES: ReadonlyMap<number, string> = new Map([
  [0, 'the port speaks another protocol; check the port, and ws:// against wss://'],
  [200, 'a web page is at this path; check the path of the URL'],
  [401, "log in with --user NAME:PASSWORD or --header 'Authorization: …' or --header 'Cookie: …'"],
  [403, 'the server may check the origin: --origin https://its.own.page'],
  [404, 'check the path of the URL'],
  [407, 'write the password of the proxy into its URL: --proxy http://NAME:PASSWORD@host:port'],
  [426, 'the server wants another protocol version or a --subprotocol'],
]);

const TRUST = '--cacert FILE trusts its authority, --insecure accepts any certificate';
const CERTIFICATE_CURES: ReadonlyMap<string, string> = new Map([
  ...[
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ].map((code): [string, string] => [code, TRUST]),
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'dial the name of the certificate, or use --insecure'],
  ['CERT_HAS_EXPIRED', '--insecure accepts it all the same'],
]);

/** Close codes of a conversation that is over. */
const NORMAL: readonly number[] = [1000, 1001, 1005];

/** @returns Undefined for a clean end with a normal code. */
export function endFailure({ code, reason, wasClean, error }: CloseInfo): Failure | undefined {
  if (wasClean && NORMAL.includes(code)) return undefined;
  const cause: Cause | undefined = error;
  if (cause?.code === 'WS_ERR_READ_LIMIT') {
    return new Failure(ExitCode.TooLong, ...inWords(cause.message));
  }
  const words = reason === '' ? '' : `: ${excerpt(reason)}`;
  if (wasClean) return new Failure(ExitCode.OtherCode, `the peer has closed with ${code}${words}`);
  const why = cause?.message ?? 'the peer has not answered the close frame';
  return new Failure(ExitCode.Broken, `the connection broke: ${why}`);
}
