import { type Duplex, duplexPair } from 'node:stream';
import type { ClientConn } from '@ws/node-client';
import { vi } from 'vitest';
import { turn } from '../kit/fake-platform.ts';
import { acceptOf, switchingProtocols } from '../kit/raw-peer.ts';
import type { Watch } from './harness/index.ts';

const STEP = 1_000;

/** A request that a hostile server received. */
export interface ReceivedRequest {
  /** The head, as Latin-1. */
  readonly text: string;
  readonly accept: string;
  /** Returns the head of a valid answer, with `extra` header lines, each ended by CRLF. */
  readonly ok: (extra?: string) => string;
}

/** What a server in memory does after it has received the head of a request. */
export type RequestHandler = (end: Duplex, request: ReceivedRequest) => void;

/** Servers in memory with one behavior. Each call of `netDial` opens a stream to a new one. */
export class HostileServer {
  /** The client's ends, oldest first. */
  readonly streams: Duplex[] = [];
  readonly #answer: RequestHandler;

  constructor(answer: RequestHandler | string) {
    this.#answer = typeof answer === 'string' ? (end) => void end.write(answer, 'latin1') : answer;
  }

  readonly netDial = (): Duplex => {
    const [ours, theirs] = duplexPair();
    this.streams.push(ours);
    theirs.on('error', () => {});
    ours.once('close', () => theirs.destroy());
    let text = '';
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      theirs.off('data', read);
      theirs.resume();
      this.#answer(theirs, receivedRequest(text));
    };
    theirs.on('data', read);
    return ours;
  };

  /** The number of client ends that are not destroyed. */
  get left(): number {
    return this.streams.filter(({ destroyed }) => !destroyed).length;
  }
}

export function receivedRequest(text: string): ReceivedRequest {
  return { text, accept: acceptOf(text), ok: (extra) => switchingProtocols(text, extra) };
}

/** Writes `chunk` again and again while the other end accepts data. */
export function writeForever(end: Duplex, chunk: Uint8Array, watch: Watch): void {
  const more = (): void => {
    while (!end.destroyed && end.write(chunk)) watch.sent(chunk.length);
  };
  end.on('drain', more);
  more();
}

/** The results of dials: the number of opened connections, and the errors. */
export class Dials {
  opened = 0;
  readonly errors: Error[] = [];

  /** Waits for a dial. Terminates a connection that opened. */
  async take(dialed: Promise<ClientConn>): Promise<void> {
    try {
      const conn = await dialed;
      this.opened++;
      conn.terminate();
    } catch (error) {
      this.errors.push(error as Error);
    }
    // Streams in memory take no turn. The next dial must not count for this one's stall.
    await turn();
  }
}

/**
 * Advances fake time in steps of a second until a dial has settled.
 *
 * @param each - Called in each step.
 * @returns The duration in ms.
 */
export async function msUntilSettled(
  dialed: Promise<unknown>,
  each: () => void = () => {},
): Promise<number> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  dialed.then(end, end);
  for (let ms = 0; ; ms += STEP) {
    for (let turns = 0; turns < 3; turns++) await turn();
    if (over || ms > 60_000) return ms;
    each();
    await vi.advanceTimersByTimeAsync(STEP);
  }
}
