import { createHash } from 'node:crypto';
import { type Duplex, duplexPair } from 'node:stream';
import type { Dialed } from '@ws/node-client';
import { vi } from 'vitest';
import { turn } from '../../src/fake-host.ts';
import type { Watch } from '../../src/hostile/index.ts';

const STEP = 1_000;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A request as a server in memory sees it. */
export interface Asked {
  /** The head, as Latin-1. */
  readonly text: string;
  readonly accept: string;
  /** The head of a right answer, with `extra` header lines, each ended by CRLF. */
  readonly ok: (extra?: string) => string;
}

/** What a server in memory does with its end once the head of a request is there. */
export type Answering = (end: Duplex, request: Asked) => void;

/** Servers in memory that all answer alike: `netDial` opens a stream to one more of them. */
export class Answerer {
  /** Our ends, oldest first. */
  readonly streams: Duplex[] = [];
  readonly #answer: Answering;

  constructor(answer: Answering | string) {
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
      this.#answer(theirs, asked(text));
    };
    theirs.on('data', read);
    return ours;
  };

  /** How many of our ends were not destroyed. */
  get left(): number {
    return this.streams.filter(({ destroyed }) => !destroyed).length;
  }
}

/** Reads a request. */
export function asked(text: string): Asked {
  const key = /sec-websocket-key: (.*)\r\n/i.exec(text)?.[1] ?? '';
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  const ok = (extra = ''): string =>
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n${extra}\r\n`;
  return { text, accept, ok };
}

/** Writes `chunk` again and again, for as long as the other end takes it. */
export function endlessly(end: Duplex, chunk: Uint8Array, watch: Watch): void {
  const more = (): void => {
    while (!end.destroyed && end.write(chunk)) watch.sent(chunk.length);
  };
  end.on('drain', more);
  more();
}

/** What dials came to: how many opened, and the errors of the others. */
export class Dials {
  opened = 0;
  readonly errors: Error[] = [];

  /** Waits for one; a connection that opened is dropped. */
  async take(dialed: Promise<Dialed>): Promise<void> {
    try {
      const { conn } = await dialed;
      this.opened++;
      conn.terminate();
    } catch (error) {
      this.errors.push(error as Error);
    }
    // What happens in memory takes no turn by itself, and the next dial is not this one's stall.
    await turn();
  }
}

/**
 * Lets time pass, in steps of a second, until a dial has settled; for tests with fake timers.
 *
 * @param each - What the other end does in each step.
 * @returns How many milliseconds it took.
 */
export async function elapsed(
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
