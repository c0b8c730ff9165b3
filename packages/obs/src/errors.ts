import { CloseError, type CloseInfo, WebSocketError } from '@ws/conn';
import { printable } from '@ws/conn/internal';
import type { RequestStatus } from './generated/enums.ts';
import { AUTHENTICATION_FAILED, UNSUPPORTED_RPC_VERSION } from './generated/wire.ts';

/**
 * OBS refused a request. The connection stays usable.
 *
 * @example
 * ```ts no-run
 * import { connect, ObsRequestError, RequestStatus } from '@ws/obs';
 *
 * await using obs = await connect('ws://obs.example.org:4455', { password: 'secret' });
 * try {
 *   await obs.call('SetCurrentProgramScene', { sceneName: 'Nowhere' });
 * } catch (error) {
 *   if (!(error instanceof ObsRequestError)) throw error;
 *   console.log(error.status === RequestStatus.ResourceNotFound); // true
 * }
 * ```
 */
export class ObsRequestError extends WebSocketError {
  declare readonly code: 'WS_ERR_OBS_REQUEST';
  readonly requestType: string;
  /** The reason as a number; `RequestStatus.Unknown` when OBS gives none. */
  readonly status: RequestStatus;
  /** The reason in OBS's words, `''` without. Escape it before you print it. */
  readonly comment: string;

  constructor(requestType: string, status: RequestStatus, comment: unknown = '') {
    const words = typeof comment === 'string' ? comment : '';
    const reason = status > 0 ? ` with status ${status}` : '';
    const why = words && `: ${printable(words)}`;
    super(`OBS refused ${printable(requestType)}${reason}${why}`, 'WS_ERR_OBS_REQUEST');
    this.requestType = requestType;
    this.status = status;
    this.comment = words;
  }

  override get name(): string {
    return 'ObsRequestError';
  }
}

/** Characters of an ObsProtocolError's message: it may contain a part of the server's. */
const MAX_MESSAGE = 200;

/** What to do about a close code, for messages. */
const CURES: Readonly<Record<number, string>> = {
  [AUTHENTICATION_FAILED]: 'check the option password',
  [UNSUPPORTED_RPC_VERSION]: 'check the option rpcVersion',
};

/** Whether a message of OBS was too long. The class may be that of another copy of `@ws/conn`. */
function isReadLimit(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'WS_ERR_READ_LIMIT';
}

/**
 * The connection to OBS has ended. Every pending call rejects with it, and every later one.
 * `closeCode` is a `WebSocketCloseCode` (4000 and above) when obs-websocket closed the connection,
 * else a code of RFC 6455: 1001 when OBS exits, 1006 when it ended without a close frame.
 *
 * @example
 * ```ts no-run
 * import { connect, ObsCloseError, WebSocketCloseCode } from '@ws/obs';
 *
 * try {
 *   await connect('ws://obs.example.org:4455', { password: 'wrong' });
 * } catch (error) {
 *   if (!(error instanceof ObsCloseError)) throw error;
 *   console.log(error.closeCode === WebSocketCloseCode.AuthenticationFailed); // true
 * }
 * ```
 */
export class ObsCloseError extends CloseError {
  /** @param info - How the connection ended. `info.error` becomes the `cause`. */
  constructor({ code, reason, error }: Pick<CloseInfo, 'code' | 'reason' | 'error'>) {
    super(code, reason, isReadLimit(error) ? 'raise the option readLimit' : CURES[code]);
    if (error !== undefined) this.cause = error;
  }

  override get name(): string {
    return 'ObsCloseError';
  }
}

/**
 * The server sent a message that obs-websocket does not send: it may be another program.
 *
 * @example
 * ```ts no-run
 * import { connect, ObsProtocolError } from '@ws/obs';
 *
 * try {
 *   await connect('ws://example.org/chat');
 * } catch (error) {
 *   console.log(error instanceof ObsProtocolError); // true: the server is not OBS
 * }
 * ```
 */
export class ObsProtocolError extends WebSocketError {
  declare readonly code: 'WS_ERR_OBS_PROTOCOL';

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message.slice(0, MAX_MESSAGE)), 'WS_ERR_OBS_PROTOCOL', options);
  }

  override get name(): string {
    return 'ObsProtocolError';
  }
}
