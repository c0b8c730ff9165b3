import { WebSocketError } from '@ws/conn/parts';

/** A page has no such feature: browsers do not offer it. The message says what to use instead. */
export class UnsupportedError extends WebSocketError {
  declare readonly code: 'WS_ERR_UNSUPPORTED';

  /** @param member - A member of `Conn`. */
  constructor(member: string) {
    const cure = CURES.find(([members]) => members.test(member))![1];
    super(`${member} is not available in a page: ${cure}`, 'WS_ERR_UNSUPPORTED');
  }

  override get name(): string {
    return 'UnsupportedError';
  }
}

/** What to use instead of a member of `Conn` that a page lacks. */
const CURES: readonly [RegExp, string][] = [
  [/Compression|Addr/, 'browsers decide'],
  [/Close/, 'await conn.closed'],
  [/./, 'browsers answer pings; send a message of your own instead'],
];

/** The note of an error that a browser does not explain. */
export const CAUSE_HIDDEN = "browsers hide the cause; see the network tab or the server's log";
