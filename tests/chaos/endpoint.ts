import { turn } from '../kit/fake-platform.ts';
import type { Random } from '../kit/random.ts';
import type { DeliveryLog, Sent } from './delivery-log.ts';
import type { Content } from './message-content.ts';
import { drawSize, type Part } from './script.ts';

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
  /** Messages whose stream is still open. */
  readonly streams: Set<Sent>;
  /** Result of reading: `failed` after an error. */
  reading: 'pending' | 'done' | 'failed';
  /** Contract violations that only this endpoint sees. */
  readonly faults: string[];
}

type Given = Pick<Endpoint, 'role' | 'make' | 'part' | 'out' | 'in' | 'tag' | 'onProgress'>;

/** Returns an endpoint before its handshake. */
export function makeEndpoint(given: Given): Endpoint {
  return {
    ...given,
    end: undefined,
    closed: undefined,
    terminated: false,
    close: undefined,
    streams: new Set(),
    reading: 'pending',
    faults: [],
  };
}

/** A connection of one of the libraries. */
export interface Driver {
  readonly isOpen: () => boolean;
  /** Resolves to false when the connection is over. */
  readonly send: (content: Content, random: Random) => Promise<boolean>;
  readonly ping: (number: number) => void;
  readonly close: (code: number) => void;
  readonly terminate: () => void;
  readonly over: Promise<EndpointEnd>;
  readonly reading?: Promise<void>;
  /** Called after each message. */
  readonly onSent?: () => void;
  /** Called after the endpoint has left. */
  readonly onLeft?: () => void;
}

/** Plays a part. Resolves when the connection and all its operations have ended. */
export async function play(endpoint: Endpoint, driver: Driver, random: Random): Promise<void> {
  const { out } = endpoint;
  endpoint.close = (code) => {
    endpoint.closed ??= { code, after: out.sent.length };
    driver.close(code);
  };
  const writing = write(endpoint, driver, random).catch((error: unknown) => {
    addFault(endpoint, `writing threw ${String(error)}`);
  });
  endpoint.end = await driver.over;
  endpoint.close = undefined;
  await Promise.all([driver.reading, writing]);
  // Promises without an awaiter settle now or never.
  for (let i = 0; i < 3 && out.pending > 0; i++) await turn();
}

async function write(endpoint: Endpoint, driver: Driver, random: Random): Promise<void> {
  const { messages, writing, leaves } = endpoint.part;
  for (let number = 0; number < messages; number++) {
    if (number === leaves?.after) return leave(endpoint, driver);
    if (!driver.isOpen()) break;
    const size = drawSize(random, writing);
    const content = { text: random.once(2), tag: endpoint.tag, number, size };
    const flowing = driver.send(content, random);
    const waits = writing === 'awaited' || random.below(writing === 'heavy' ? 6 : 50) === 0;
    if (waits && !(await flowing)) break;
    if (random.once(60)) driver.ping(number);
    driver.onSent?.();
  }
  if (leaves !== undefined && leaves.after >= messages) return leave(endpoint, driver);
  endpoint.out.done = true;
  endpoint.onProgress();
}

/** Leaves early. */
function leave(endpoint: Endpoint, driver: Driver): void {
  if (endpoint.part.leaves!.how === 'terminate') {
    endpoint.terminated = true;
    driver.terminate();
  } else if (driver.isOpen()) endpoint.close?.(4001);
  endpoint.out.done = true;
  driver.onLeft?.();
}

/** Records a contract violation. */
export function addFault(endpoint: Endpoint, fault: string): void {
  if (endpoint.faults.length < 5) endpoint.faults.push(fault);
}
