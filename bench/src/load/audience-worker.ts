// Those whom a broadcast reaches, in a process of their own: answers what `AudienceAnswers` says.
import type { Socket } from 'node:net';
import { answer } from '../harness/child.ts';
import type { BroadcastPlan } from '../rivals/broadcast-worker.ts';
import { maskedFrame } from './corpus.ts';
import { makeEchoCorpus } from './echo-corpus.ts';
import { EchoStream } from './echo-stream.ts';
import { openSocket } from './handshake.ts';

const TEXT = 0x81;
const PONG = 0x8a;
/** Connections that are opened at a time. */
const OPENING = 64;
/** How long a message may take to reach all, in ms. */
const STILL = 20_000;

interface Opening {
  readonly port: number;
  readonly receivers: number;
  readonly plan: BroadcastPlan;
}

interface Running {
  readonly audience: number;
  /** How many messages are asked for at a time; the next are, when all have all of them. */
  readonly perTurn: number;
  readonly ms: number;
}

/** What the process answers. */
export type AudienceAnswers = {
  /** Gives the audience's number. */
  open: (opening: Opening) => Promise<number>;
  /** Gives how many messages each receiver got, every byte of them verified. */
  run: (running: Running) => Promise<number>;
};

/** Receivers of one server, the first of which asks for messages. */
class Audience {
  readonly #sockets: Socket[] = [];
  #missing = 0;
  #failure: Error | undefined;
  #onAll: () => void = () => {};

  async open({ port, receivers, plan }: Opening): Promise<void> {
    const corpus = makeEchoCorpus({ content: 'binary', ...plan, fragments: 1, raw: false });
    while (this.#sockets.length < receivers) {
      const some = Math.min(OPENING, receivers - this.#sockets.length);
      const opened = await Promise.all(Array.from({ length: some }, () => openSocket(port, '')));
      for (const { socket } of opened) {
        this.#sockets.push(socket);
        this.#listen(socket, new EchoStream(corpus.replies, corpus.replySize, 0));
      }
    }
  }

  /** Asks for `count` messages to all, and waits until all have them. */
  async ask(count: number): Promise<void> {
    this.#missing = count * this.#sockets.length;
    const all = new Promise<void>((resolve) => {
      this.#onAll = resolve;
    });
    this.#sockets[0]!.write(maskedFrame(TEXT, Buffer.from(`${count}`), 0x5ca1ab1e));
    const timer = setTimeout(() => this.#fail(new Error('not all receivers were reached')), STILL);
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
      if (this.#missing < 0) this.#fail(new Error('more messages came than were asked for'));
      else if (this.#missing === 0) this.#onAll();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server ended a connection')));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#onAll();
  }
}

const audiences: Audience[] = [];

async function open(opening: Opening): Promise<number> {
  const audience = new Audience();
  await audience.open(opening);
  return audiences.push(audience) - 1;
}

async function run({ audience, perTurn, ms }: Running): Promise<number> {
  const until = performance.now() + ms;
  let messages = 0;
  do {
    await audiences[audience]!.ask(perTurn);
    messages += perTurn;
  } while (performance.now() < until);
  return messages;
}

answer({ open, run } satisfies AudienceAnswers);
