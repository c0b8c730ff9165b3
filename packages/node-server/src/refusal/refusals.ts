import { channel } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { debuglog } from 'node:util';
import { isInstance } from '@ws/http-shared';
import { HandshakeError } from '../errors.ts';

/** A message of the channel `@ws:refuse` of `node:diagnostics_channel`. */
export interface RefusedRequest {
  readonly request: IncomingMessage;
  /** The HTTP status of the answer. */
  readonly status: number;
  /** Its message has the values, and the option to change. */
  readonly error: HandshakeError;
  /** The client's address, as the handler gets it. */
  readonly address: string | undefined;
}

const refuse = channel('@ws:refuse');
const debug = debuglog('ws');

/** Counts and publishes the refusals of an upgrader. */
export class Refusals {
  readonly #byStatus = new Map<number, number>();

  /** The number of refusals by status. */
  get byStatus(): Record<number, number> {
    return Object.fromEntries(this.#byStatus);
  }

  /** Records a refusal. Other errors are no refusals. */
  record(request: IncomingMessage, error: unknown, address: string | undefined): void {
    if (!isInstance(error, HandshakeError)) return;
    const { status } = error;
    this.#byStatus.set(status, (this.#byStatus.get(status) ?? 0) + 1);
    debug('refused %s: %s', address ?? 'a client', error.message);
    refuse.publish({ request, status, error, address } satisfies RefusedRequest);
  }
}
