// The receivers of a broadcast, in their own process. See `AudienceAnswers`.
import type { Socket } from 'node:net';
import { answer } from '../harness/child.ts';
import type { BroadcastPlan } from '../rivals/broadcast-worker.ts';
import { maskedFrame } from './corpus.ts';
import { makeEchoCorpus } from './echo-corpus.ts';
import { EchoStream } from './echo-stream.ts';
import { openSocket } from './handshake.ts';

const TEXT = 0x81;
const PONG = 0x8a;
/** Number of connections that are opened at a time. */
const PARALLEL_DIALS = 64;
/** Limit for a message to reach every receiver, in ms. */
const STALL_TIMEOUT_MS = 20_000;

interface OpenRequest {
  readonly port: number;
  readonly receivers: number;
  readonly plan: BroadcastPlan;
}

interface RunRequest {
  readonly audience: number;
  /** Messages of one request. The next request follows when every receiver has all of them. */
  readonly perTurn: number;
  readonly ms: number;
}

/** The requests that the process answers. */
export type AudienceAnswers = {
  /** Returns the number of the audience. */
  open: (request: OpenRequest) => Promise<number>;
  /** Returns the number of messages that each receiver got. Every byte is verified. */
  run: (request: RunRequest) => Promise<number>;
};

/** Receivers of one server. The first one requests messages. */
class Audience {
  readonly #sockets: Socket[] = [];
  #missing = 0;
  #failure: Error | undefined;
  #onAll: () => void = () => {};

  async open({ port, receivers, plan }: OpenRequest): Promise<void> {
    const corpus = makeEchoCorpus({ content: 'binary', ...plan, fragments: 1, raw: false });
    while (this.#sockets.length < receivers) {
      const some = Math.min(PARALLEL_DIALS, receivers - this.#sockets.length);
      const opened = await Promise.all(Array.from({ length: some }, () => openSocket(port, '')));
      for (const { socket } of opened) {
        this.#sockets.push(socket);
        this.#listen(socket, new EchoStream(corpus.replies, corpus.replySize, 0));
      }
    }
  }

  /** Requests `count` messages for every receiver and waits for them. */
  async ask(count: number): Promise<void> {
    this.#missing = count * this.#sockets.length;
    const all = new Promise<void>((resolve) => {
      this.#onAll = resolve;
    });
    this.#sockets[0]!.write(maskedFrame(TEXT, Buffer.from(`${count}`), 0x5ca1ab1e));
    const timer = setTimeout(
      () =>
        this.#fail(
          new Error(`a message did not reach all receivers within ${STALL_TIMEOUT_MS} ms`),
        ),
      STALL_TIMEOUT_MS,
    );
    await all;
    clearTimeout(timer);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #listen(socket: Socket, stream: EchoStream): void {
    socket.on('data', (chunk) => {
      try {
        this.#missing -= stream.push(chunk);
      } catch (error) {
        this.#fail(error as Error);
        return;
      }
      for (const payload of stream.pings.splice(0)) socket.write(maskedFrame(PONG, payload, 0));
      if (this.#missing < 0) this.#fail(new Error('received more messages than requested'));
      else if (this.#missing === 0) this.#onAll();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed a connection')));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#onAll();
  }
}

const audiences: Audience[] = [];

async function open(opening: OpenRequest): Promise<number> {
  const audience = new Audience();
  await audience.open(opening);
  return audiences.push(audience) - 1;
}

async function run({ audience, perTurn, ms }: RunRequest): Promise<number> {
  const until = performance.now() + ms;
  let messages = 0;
  do {
    await audiences[audience]!.ask(perTurn);
    messages += perTurn;
  } while (performance.now() < until);
  return messages;
}

answer({ open, run } satisfies AudienceAnswers);
