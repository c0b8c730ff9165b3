import {
  BadHandshakeError,
  CloseError,
  ReadLimitError,
  TimeoutError,
  TransportError,
  WebSocketError,
} from '@ws/node-client';

/** A failure of a connection, with a kind that can be counted. */
export interface ClassifiedFailure {
  readonly kind: string;
  readonly example: string;
}

/** Classifies a failed dial. */
export function dialFailure(error: unknown): ClassifiedFailure {
  return { kind: dialFailureKind(error), example: messageOf(error) };
}

function dialFailureKind(error: unknown): string {
  if (error instanceof BadHandshakeError) {
    if (error.status === 0) return 'handshake: no HTTP';
    return error.status === 101 ? 'handshake: wrong answer' : `handshake: status ${error.status}`;
  }
  if (error instanceof TimeoutError) return 'connect: timeout';
  return `connect: ${systemCode(error) ?? 'failed'}`;
}

/** Classifies the unexpected end of a connection. */
export function endFailure(error: unknown): ClassifiedFailure {
  return { kind: endFailureKind(error), example: messageOf(error) };
}

function endFailureKind(error: unknown): string {
  if (error instanceof CloseError) return `close: ${error.closeCode}`;
  if (error instanceof ReadLimitError) return 'message too long';
  if (error instanceof TransportError) return `connection: ${systemCode(error) ?? 'broken'}`;
  if (error instanceof WebSocketError) return `protocol: ${error.code}`;
  return 'connection: failed';
}

/** The first system error code in the chain of causes, such as `ECONNRESET`. */
function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof AggregateError && at.errors.length > 0) return systemCode(at.errors[0]);
    const code: unknown = (at as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && !code.startsWith('WS_ERR_')) return code;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const why = cause instanceof Error && !error.message.includes(cause.message) ? cause.message : '';
  return why === '' ? error.message : `${error.message}: ${why}`;
}
