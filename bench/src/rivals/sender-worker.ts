// A client that sends batches of small messages, in its own process. See `SenderAnswers`.
import { dial } from '@ws/node-client';
import { WebSocket } from 'ws';
import { answer } from '../harness/child.ts';
import { cpu } from '../harness/usage.ts';
import { makePayloads } from '../load/echo-corpus.ts';
import type { SinkPlan } from '../load/sink-worker.ts';
import type { Library } from './echo-servers.ts';

interface OpenRequest {
  readonly library: Library;
  readonly port: number;
  readonly connections: number;
  readonly plan: SinkPlan;
}

/** The requests that the process answers. */
export type SenderAnswers = {
  open: (request: OpenRequest) => Promise<void>;
  /**
   * Sends for `ms` milliseconds and waits for the answer to the last batch. Returns the number of
   * messages.
   */
  run: (ms: number) => Promise<number>;
  cpu: (nothing?: undefined) => number;
};

/** Sends one message without awaiting the write. The answer to the batch limits the rate. */
type Send = (payload: Buffer) => void;

const connections: BatchSender[] = [];

/** The batches of one connection. */
class BatchSender {
  send: Send = () => {};
  readonly #payloads: readonly Buffer[];
  readonly #batch: number;
  #next = 0;
  #messages = 0;
  #mayContinue = false;
  #onDone: (messages: number) => void = () => {};

  constructor(payloads: readonly Buffer[], batch: number) {
    this.#payloads = payloads;
    this.#batch = batch;
  }

  start(onDone: (messages: number) => void): void {
    this.#onDone = onDone;
    this.#messages = 0;
    this.#mayContinue = true;
    this.#sendBatch();
  }

  stop(): void {
    this.#mayContinue = false;
  }

  /** The sink has received the whole batch. */
  readonly answered = (): void => {
    if (this.#mayContinue) this.#sendBatch();
    else this.#onDone(this.#messages);
  };

  #sendBatch(): void {
    for (let i = 0; i < this.#batch; i++) {
      this.send(this.#payloads[this.#next]!);
      this.#next = this.#next + 1 === this.#payloads.length ? 0 : this.#next + 1;
    }
    this.#messages += this.#batch;
  }
}

async function open({ library, port, connections: count, plan }: OpenRequest): Promise<void> {
  const payloads = makePayloads({ content: 'binary', size: plan.size, count: plan.count });
  for (let i = 0; i < count; i++) {
    const batches = new BatchSender(payloads, plan.batch);
    const url = `ws://127.0.0.1:${port}`;
    batches.send = await (library === 'ours' ? openOurs : openWs)(url, batches.answered);
    connections.push(batches);
  }
}

async function openOurs(url: string, answered: () => void): Promise<Send> {
  const conn = await dial(url);
  conn.receive(answered).catch(() => {});
  return (payload) => void conn.send(payload);
}

async function openWs(url: string, answered: () => void): Promise<Send> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('message', answered);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.on('error', reject);
  });
  return (payload) => socket.send(payload);
}

async function run(ms: number): Promise<number> {
  const timer = setTimeout(() => {
    for (const one of connections) one.stop();
  }, ms);
  const counts = await Promise.all(
    connections.map((one) => new Promise<number>((resolve) => one.start(resolve))),
  );
  clearTimeout(timer);
  return counts.reduce((sum, messages) => sum + messages, 0);
}

answer({ open, run, cpu } satisfies SenderAnswers);
