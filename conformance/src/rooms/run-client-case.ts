import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Attempt } from '../model/attempt.ts';
import { TimedOut, Violation } from '../model/verdicts.ts';
import { ClientCommand } from '../run/client-command.ts';
import { acceptOf, headText } from '../wire/handshake.ts';
import { fieldOf } from '../wire/head.ts';
import { Peer } from '../wire/peer.ts';
import { fits, Names, type Step } from './case-data.ts';
import { shown, Talk } from './talk.ts';

/** Time for the first connection of a command, in ms. An interpreter may start slowly. */
const START_MS = 20_000;

/** What arrives in order, and is awaited one by one. */
class Arrivals<T> {
  readonly #values: T[] = [];
  #wake = (): void => {};

  add(value: T): void {
    this.#values.push(value);
    this.#wake();
  }

  /** @throws TimedOut after `ms`; what `why` returns, if nothing can arrive any more. */
  async next(awaited: string, ms: number, why: () => string | undefined): Promise<T> {
    const until = performance.now() + ms;
    while (this.#values.length === 0) {
      const left = until - performance.now();
      const reason = why();
      if (reason !== undefined) throw new Violation(`${reason}, expected ${awaited}`);
      if (left <= 0) throw new TimedOut(`timeout after ${ms} ms, waiting for ${awaited}`);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((done) => {
        this.#wake = done;
        timer = setTimeout(done, Math.min(left, 100));
      });
      clearTimeout(timer);
    }
    return this.#values.shift()!;
  }
}

/** Plays the server of a case against a client: a command that gets the steps `do` and prints lines. */
export async function runClientCase(
  attempt: Attempt,
  steps: readonly Step[],
  command: readonly string[],
): Promise<void> {
  const sockets = new Arrivals<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const lines = new Arrivals<string>();
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new ClientCommand(command, url, (line) => lines.add(line));
  attempt.onDispose(() => {
    server.close();
    void client.stop();
  });
  const play = new ClientPlay(attempt, client, sockets, lines);
  try {
    for (const step of steps) await play.step(step);
  } finally {
    await client.stop();
  }
}

class ClientPlay {
  readonly #attempt: Attempt;
  readonly #client: ClientCommand;
  readonly #sockets: Arrivals<Socket>;
  readonly #lines: Arrivals<string>;
  readonly #names = new Names();
  #connections = 0;
  #talk: Talk | undefined;
  #endedAt = 0;

  constructor(
    attempt: Attempt,
    client: ClientCommand,
    sockets: Arrivals<Socket>,
    lines: Arrivals<string>,
  ) {
    this.#attempt = attempt;
    this.#client = client;
    this.#sockets = sockets;
    this.#lines = lines;
  }

  async step(step: Step): Promise<void> {
    const { dial, refuse, retryAfter, print } = step;
    if (step.do !== undefined) return this.#client.write(JSON.stringify(this.#names.fill(step)));
    if (step.wait !== undefined) return this.#attempt.rest(step.wait);
    if (print !== undefined) return this.#print(print);
    if (dial !== undefined) this.#checkDelay(dial, await this.#connection(refuse, retryAfter));
    else if (this.#talk === undefined) await this.#connection(refuse, retryAfter);
    const isEnd = step.close !== undefined || step.cut === true || refuse !== undefined;
    if (isEnd) this.#endedAt = performance.now();
    await this.#talk?.step(step);
    if (isEnd) this.#talk = undefined;
  }

  /** Waits for the next connection, and answers its handshake. @returns When it came, in ms. */
  async #connection(refuse: number | undefined, retryAfter = 0): Promise<number> {
    const ms = this.#connections === 0 ? START_MS : this.#attempt.timeout;
    const socket = await this.#sockets.next('a connection', ms, () => this.#ended());
    const at = performance.now();
    const peer = new Peer(socket, this.#attempt, ++this.#connections, 'server');
    const head = await peer.readHead('the request of the client');
    const key = head && fieldOf(head, 'sec-websocket-key');
    if (key === undefined) throw new Violation('the client sent no Sec-WebSocket-Key');
    if (refuse !== undefined) {
      const text = headText(`HTTP/1.1 ${refuse} Refused`, [
        ['Retry-After', String(retryAfter)],
        ['Content-Length', '0'],
        ['Connection', 'close'],
      ]);
      await peer.send(Buffer.from(text), 'a refusal');
      peer.endWrites();
      return at;
    }
    const answer = headText('HTTP/1.1 101 Switching Protocols', [
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', acceptOf(key)],
    ]);
    await peer.send(Buffer.from(answer), 'the answer to the handshake');
    this.#talk = new Talk(peer, this.#names);
    return at;
  }

  #checkDelay([least, most]: readonly [number, number], at: number): void {
    const ms = Math.round(at - this.#endedAt);
    if (ms < least)
      throw new Violation(`the client dialed after ${ms} ms, expected at least ${least}`);
    if (ms > most && this.#attempt.lateness.share < 0.1) {
      throw new TimedOut(`the client dialed after ${ms} ms, expected at most ${most}`);
    }
  }

  async #print(print: unknown): Promise<void> {
    const wanted = this.#names.fill(print);
    const why = (): string | undefined => this.#ended();
    const line = await this.#lines.next(shown(wanted), this.#attempt.timeout, why);
    this.#attempt.transcript.event(this.#connections, `printed: ${line.slice(0, 300)}`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new Violation(`the client printed a line that is no JSON: ${line}`);
    }
    if (!fits(value, wanted)) {
      throw new Violation(`the client printed ${shown(value)}, expected ${shown(wanted)}`);
    }
  }

  #ended(): string | undefined {
    const { hasExited, startFault, ended } = this.#client;
    return hasExited ? (startFault ?? `the client has exited with ${ended}`) : undefined;
  }
}
