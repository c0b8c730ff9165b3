// The peer of a measured client, in its own process: verifies messages and answers each batch.
import { createServer, type Socket } from 'node:net';
import { answer } from '../harness/child.ts';
import { answerTo, listening } from '../rivals/echo-servers.ts';
import { makePayloads, serverFrame } from './echo-corpus.ts';
import { MaskedStream } from './masked-stream.ts';

/** The traffic of a client: a batch of messages, then a wait for the answer. */
export interface SinkPlan {
  readonly batch: number;
  readonly size: number;
  readonly count: number;
}

/** The requests that the process answers. */
export type SinkAnswers = {
  /** Returns the port. */
  listen: (plan: SinkPlan) => Promise<number>;
  /** Returns the number of verified messages since `listen`. */
  verified: (nothing?: undefined) => number;
};

const ANSWER = serverFrame(0x82, Buffer.from('.'));
let messages = 0;
let failure: unknown;

function listen({ batch, size, count }: SinkPlan): Promise<number> {
  const payloads = makePayloads({ content: 'binary', size, count });
  messages = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => {
      socket.write(answerTo(/^sec-websocket-key: *(.*)$/im.exec(String(request))?.[1] ?? ''));
      take(socket, new MaskedStream(payloads), batch);
    });
  });
  return listening(server);
}

function take(socket: Socket, stream: MaskedStream, batch: number): void {
  let left = batch;
  socket.on('data', (chunk) => {
    try {
      const some = stream.push(chunk);
      messages += some;
      left -= some;
    } catch (error) {
      failure ??= error;
      socket.destroy();
      return;
    }
    for (; left <= 0; left += batch) socket.write(ANSWER);
  });
}

function verified(): number {
  if (failure !== undefined) throw failure;
  return messages;
}

answer({ listen, verified } satisfies SinkAnswers);
