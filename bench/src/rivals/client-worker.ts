// A client that sends and receives messages in turns, in its own process. See `ClientAnswers`.
import { once } from 'node:events';
import { dial } from '@ws/node-client';
import { WebSocket } from 'ws';
import { answer } from '../harness/child.ts';
import { type Usage, usage } from '../harness/usage.ts';
import { clientPayloads, type SinkPlan } from '../load/client-turns.ts';
import { corkedSend } from './cork.ts';
import { maskOfWs } from './masks.ts';

interface OpenRequest {
  readonly client: string;
  readonly port: number;
  readonly connections: number;
  readonly plan: SinkPlan;
}

/** The requests that the process answers. */
export type ClientAnswers = {
  open: (request: OpenRequest) => Promise<void>;
  /** Takes turns for `ms` milliseconds. Returns the number of turns. */
  run: (ms: number) => Promise<number>;
  mask: (nothing?: undefined) => string;
  usage: (nothing?: undefined) => Usage;
};

/** Sends the messages of one turn, without awaiting the writes. The answer limits the rate. */
type SendTurn = () => void;
type Send = (data: Buffer) => void;
type Received = (count: number) => void;
/** Opens a connection that calls `received` for each message. */
type Open = (port: number, received: Received) => Promise<Send>;

const CLIENTS: Readonly<Record<string, Open>> = {
  ours: openOurs,
  ws: openPlainWs,
  'ws, native mask': openPlainWs,
  'ws, corked': openCorkedWs,
};

async function openOurs(port: number, received: Received): Promise<Send> {
  const conn = await dial(`ws://127.0.0.1:${port}`);
  conn.receive(() => received(1)).catch(() => {});
  return (data) => void conn.send(data);
}

async function openPlainWs(port: number, received: Received): Promise<Send> {
  const socket = await openWs(port, received);
  return (data) => socket.send(data);
}

async function openCorkedWs(port: number, received: Received): Promise<Send> {
  const send = corkedSend(await openWs(port, received));
  return (data) => send(data, true);
}

async function openWs(port: number, received: Received): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  socket.on('message', () => received(1));
  socket.on('error', () => {});
  await once(socket, 'open');
  return socket;
}

/** The turns of one connection. */
class Turns {
  readonly #sendTurn: SendTurn;
  readonly #down: number;
  #missing = 0;
  #turns = 0;
  #mayContinue = false;
  #onDone: (turns: number) => void = () => {};

  private constructor(sendTurn: SendTurn, down: number) {
    this.#sendTurn = sendTurn;
    this.#down = down;
  }

  static async open({ client, port, plan }: OpenRequest, payloads: Buffer[]): Promise<Turns> {
    let next = 0;
    let turns: Turns | undefined;
    const send = await CLIENTS[client]!(port, (count) => turns?.received(count));
    turns = new Turns(() => {
      for (let i = 0; i < plan.up; i++) {
        send(payloads[next]!);
        next = next + 1 === payloads.length ? 0 : next + 1;
      }
    }, plan.down);
    return turns;
  }

  start(onDone: (turns: number) => void): void {
    this.#onDone = onDone;
    this.#turns = 0;
    this.#mayContinue = true;
    this.#turn();
  }

  stop(): void {
    this.#mayContinue = false;
  }

  received(count: number): void {
    this.#missing -= count;
    if (this.#missing > 0) return;
    if (this.#mayContinue) this.#turn();
    else this.#onDone(this.#turns);
  }

  #turn(): void {
    this.#missing += this.#down;
    this.#turns++;
    this.#sendTurn();
  }
}

const connections: Turns[] = [];

async function open(request: OpenRequest): Promise<void> {
  const payloads = clientPayloads(request.plan);
  for (let i = 0; i < request.connections; i++) {
    connections.push(await Turns.open(request, payloads));
  }
}

async function run(ms: number): Promise<number> {
  const timer = setTimeout(() => {
    for (const one of connections) one.stop();
  }, ms);
  const counts = await Promise.all(
    connections.map((one) => new Promise<number>((resolve) => one.start(resolve))),
  );
  clearTimeout(timer);
  return counts.reduce((sum, turns) => sum + turns, 0);
}

answer({ open, run, mask: maskOfWs, usage } satisfies ClientAnswers);
