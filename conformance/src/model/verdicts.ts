/** The target broke a rule. The message is one sentence that names the fault. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** The target did not do something in time. On a late machine that may not be its fault. */
export class TimedOut extends Violation {}

/** The target broke a MUST that every case checks: a verdict of `fail` also in a case for a SHOULD. */
export class HardViolation extends Violation {}

/** The server refused a handshake with an HTTP status. It may be what a case for a SHOULD asks about. */
export class Refused extends Violation {}

/** The server ended the connection without an answer to the handshake. */
export class Unanswered extends Violation {
  constructor() {
    super('the connection ended without an answer to the handshake');
  }
}

/** The case does not apply to this target. The message contains the reason. */
export class Skip extends Error {
  override readonly name = 'Skip';
}

/** The TCP or TLS connection failed or timed out, so the case could not test its rule. */
export class Unreachable extends Violation {
  /** On a late machine that may not be the fault of the server. */
  readonly timedOut: boolean;

  constructor(message: string, timedOut = false) {
    super(message);
    this.timedOut = timedOut;
  }
}
