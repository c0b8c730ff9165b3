import type { DeliveryLog, Sent } from './delivery-log.ts';
import type { Part } from './script.ts';

/** The end of a connection, as the library reports it. */
interface EndpointEnd {
  readonly code: number;
  /** Both close frames were exchanged. */
  readonly clean: boolean;
}

/** One end of a connection and its records. */
export interface Endpoint {
  readonly role: 'client' | 'server';
  readonly make: 'own' | 'ws';
  readonly part: Part;
  /** Messages of this endpoint. */
  readonly out: DeliveryLog;
  /** Messages of the peer. */
  readonly in: DeliveryLog;
  /** Tag of its messages. */
  readonly tag: number;
  /** Called after each sent or received message: it may be time to close. */
  readonly onProgress: () => void;
  /** Undefined after a failed handshake. */
  end: EndpointEnd | undefined;
  /** Its own `close` call: the code, and the number of messages before it. */
  closed: { readonly code: number; readonly after: number } | undefined;
  /** It called `terminate`. */
  terminated: boolean;
  /** Closes the connection; undefined unless it is open. */
  close: ((code: number) => void) | undefined;
  /** The last streamed message, until it is complete. */
  stream: Sent | undefined;
  /** Result of reading: `failed` after an error. */
  reading: 'pending' | 'done' | 'failed';
  /** Contract violations that only this endpoint sees. */
  readonly faults: string[];
}

/** Records a contract violation. */
export function addFault(endpoint: Endpoint, fault: string): void {
  if (endpoint.faults.length < 5) endpoint.faults.push(fault);
}
