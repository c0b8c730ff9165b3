import { formatCloseMessage } from '@ws/codec';
import type { ControlHandlers } from '../control/control-handlers.ts';
import type { Pinged, PingWait } from '../control/heartbeat.ts';
import type { Pings } from '../control/pings.ts';
import type { CloseInfo } from '../platform/observer.ts';
import { checkExpires } from '../time/deadline.ts';
import { Expiry } from '../time/expiry.ts';
import type { Deferred } from '../time/promises.ts';
import type { LastReads } from './read-ahead.ts';
import { ReadTerms, type ReadTermsOwner } from './read-terms.ts';
import { WriteTerms, type WriteTermsOwner } from './write-terms.ts';

/** The close code for a login that is missing or has expired. Applications use the same code. */
const LOGIN_EXPIRED = 4401;

/** The part of a connection that its control uses. */
type Controlled = ReadTermsOwner &
  WriteTermsOwner & {
    endingOrNew(): { ourClose(payload: Uint8Array, timeout: undefined, discard: boolean): void };
  };

/**
 * What one connection knows beside its messages: pings, handlers of control frames, the expiry of the
 * login, the promise of its end, and the terms of reads and writes. The object and each part are created on
 * first use. An idle connection usually has none.
 */
export class Control implements Pinged {
  /** The application's handlers of control frames. */
  handlers: ControlHandlers | undefined;
  /**
   * Resolves when the reader has written its last answers. A waiting reader gets the end of reading at
   * once. Our close frame follows this promise.
   */
  lastWrite: Promise<void> | undefined;
  pings: Pings | undefined;
  /** Present once the transport can send nothing more. */
  lastReads: LastReads | undefined;
  closed: Deferred<CloseInfo> | undefined;
  pingedAt: number | undefined;
  pingWait: PingWait | undefined;
  isAsked = false;
  bytesSent: Pinged['bytesSent'];
  pingsOut = 0;
  reads: ReadTerms | undefined;
  writes: WriteTerms | undefined;
  readonly #connection: Controlled;
  #expiry: Expiry | undefined;

  constructor(connection: Controlled) {
    this.#connection = connection;
  }

  readsOrNew(): ReadTerms {
    this.reads ??= new ReadTerms(this.#connection);
    return this.reads;
  }

  writesOrNew(): WriteTerms {
    this.writes ??= new WriteTerms(this.#connection);
    return this.writes;
  }

  /** Sets when the peer's login expires. The connection then closes, and drops later messages. */
  setExpiry(at: Date | number | null): void {
    const connection = this.#connection;
    checkExpires(at);
    if (connection.state === 'closed') return;
    this.#expiry ??= this.#createExpiry(connection);
    this.#expiry.set(at);
  }

  /**
   * Ends the connection if the login has expired. Called before each chunk, each pull read and each
   * message of the read-ahead.
   */
  checkExpiry(): void {
    this.#expiry?.check();
  }

  #createExpiry(connection: Controlled): Expiry {
    const { platform } = connection;
    const { heartbeat } = connection.settings;
    const expired = (): void => {
      const payload = formatCloseMessage(LOGIN_EXPIRED, 'login expired');
      connection.endingOrNew().ourClose(payload, undefined, true);
    };
    return new Expiry(platform, expired, heartbeat === false ? undefined : heartbeat.interval);
  }

  stopTimers(): void {
    this.lastReads?.stop();
    this.reads?.stopTimer();
    this.writes?.stopTimer();
    this.#expiry?.clear();
  }
}
