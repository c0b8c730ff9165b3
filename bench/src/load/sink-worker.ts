// The peer of a measured client, in its own process: verifies messages and answers each turn.
import { createServer, type Socket } from 'node:net';
import { answer } from '../harness/child.ts';
import { answerFirst, listening } from '../rivals/echo-servers.ts';
import { clientPayloads, type SinkPlan } from './client-turns.ts';
import { serverFrame } from './echo-corpus.ts';
import { MaskedStream } from './masked-stream.ts';

/** The requests that the process answers. */
export type SinkAnswers = {
  /** Returns the port. */
  listen: (plan: SinkPlan) => Promise<number>;
  /** Returns the number of verified messages since `listen`. */
  verified: (nothing?: undefined) => number;
};

let messages = 0;
let failure: unknown;

function listen(plan: SinkPlan): Promise<number> {
  const payloads = clientPayloads(plan);
  const replies = payloads.slice(0, plan.down).map((payload) => serverFrame(0x82, payload));
  const reply = Buffer.concat(replies);
  const server = createServer((socket) =>
    answerFirst(socket, () => take(socket, new MaskedStream(payloads), plan.up, reply)),
  );
  return listening(server);
}

function take(socket: Socket, stream: MaskedStream, up: number, reply: Buffer): void {
  let left = up;
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
    for (; left <= 0; left += up) socket.write(reply);
  });
}

function verified(): number {
  if (failure !== undefined) throw failure;
  return messages;
}

answer({ listen, verified } satisfies SinkAnswers);
