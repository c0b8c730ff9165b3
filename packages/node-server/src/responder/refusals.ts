import { channel } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { debuglog } from 'node:util';
import type { RequestFacts } from '@ws/codec';
import type { Diagnostics as ConnDiagnostics } from '@ws/node-io';
import type { HandshakeError } from '../errors.ts';
import type { PhaseChange } from '../phase.ts';

/** A message of the channel `@ws:refuse` of `node:diagnostics_channel`. */
export interface RefusedRequest {
  /** Undefined for bytes that are no HTTP request, and for a request that node:http has not read. */
  readonly request: IncomingMessage | undefined;
  /** The facts of a request that node:http has not read: see `@ws/node-server/raw`. */
  readonly facts?: RequestFacts | undefined;
  /** The HTTP status of the refusal. The option `error` may answer with another one. */
  readonly status: number;
  /** Its message contains the values and the option to change. */
  readonly error: HandshakeError;
  /** The client's address, as the handler gets it; without a request, the peer of the socket. */
  readonly address: string | undefined;
}

/** The channels of `node:diagnostics_channel` and their payloads, for a server. */
export interface Diagnostics extends ConnDiagnostics {
  /** A request was refused. */
  readonly '@ws:refuse': RefusedRequest;
  /** The phase of a server has changed, at most a second ago. */
  readonly '@ws:phase': PhaseChange;
}

/** Records a refusal that is written outside a handshake. */
export type OnRefused = (
  error: HandshakeError,
  socket: Duplex,
  request: IncomingMessage | undefined,
) => void;

const refuse = channel('@ws:refuse' satisfies keyof Diagnostics);
const debug = debuglog('ws');

/** The parts of a request that are published. */
type Refused = { readonly incoming: IncomingMessage | undefined; readonly facts: RequestFacts };

/** Counts and publishes the refusals of an upgrader. */
export class Refusals {
  readonly #byStatus = new Map<number, number>();

  /** The number of refusals by status. */
  get byStatus(): Record<number, number> {
    return Object.fromEntries(this.#byStatus);
  }

  record(error: HandshakeError, request: Refused | undefined, address: string | undefined): void {
    const { status } = error;
    this.#byStatus.set(status, (this.#byStatus.get(status) ?? 0) + 1);
    debug('refused %s: %s', address ?? 'a client', error.message);
    if (!refuse.hasSubscribers) return;
    const { incoming, facts } = request ?? {};
    const parsed = incoming === undefined ? { request: undefined, facts } : { request: incoming };
    refuse.publish({ ...parsed, status, error, address } satisfies RefusedRequest);
  }
}
