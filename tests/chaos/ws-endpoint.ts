import type { RawData, WebSocket } from 'ws';
import { turn } from '../kit/fake-platform.ts';
import { Random } from '../kit/random.ts';
import { ACCEPTED, FAILED, REJECTED, type Sent } from './delivery-log.ts';
import { addFault, type Endpoint } from './endpoint.ts';
import { bytesOf, type Content, textOf } from './message-content.ts';
import { drawSize } from './script.ts';

/** Plays a part with an open socket of `ws`. Resolves at its end. */
export async function runWs(endpoint: Endpoint, ws: WebSocket): Promise<void> {
  const { part, out } = endpoint;
  endpoint.close = (code) => {
    endpoint.closed ??= { code, after: out.sent.length };
    ws.close(code);
  };
  const over = new Promise<void>((resolve) => {
    ws.addEventListener('close', ({ code, wasClean }) => {
      endpoint.end = { code, clean: wasClean };
      endpoint.close = undefined;
      resolve();
    });
  });
  const reading = new Random(part.seed ^ 1);
  ws.on('message', (data: RawData, binary) => {
    endpoint.in.receive(!binary, binary ? (data as Buffer) : (data as Buffer).toString());
    if (part.slow && reading.once(20)) pause(ws);
    endpoint.onProgress();
  });
  await write(endpoint, ws, new Random(part.seed)).catch((error: unknown) => {
    addFault(endpoint, `writing threw ${String(error)}`);
  });
  await over;
  for (let i = 0; i < 3 && out.pending > 0; i++) await turn();
}

/** Pauses for two turns. */
function pause(ws: WebSocket): void {
  ws.pause();
  setImmediate(() => setImmediate(() => ws.resume()));
}

async function write(endpoint: Endpoint, ws: WebSocket, random: Random): Promise<void> {
  const { part, out } = endpoint;
  for (let number = 0; number < part.messages; number++) {
    if (number === part.leaves?.after) return leave(endpoint, ws);
    if (ws.readyState !== ws.OPEN) break;
    const size = drawSize(random, part.writing);
    const content = { text: random.once(2), tag: endpoint.tag, number, size };
    const flowing = sendOne(endpoint, ws, content, random);
    const waits =
      part.writing === 'awaited' || random.below(part.writing === 'heavy' ? 6 : 50) === 0;
    if (waits && !(await flowing)) break;
    if (random.once(60) && ws.readyState === ws.OPEN) ws.ping(`${number}`);
  }
  if (part.leaves !== undefined && part.leaves.after >= part.messages) return leave(endpoint, ws);
  out.done = true;
  endpoint.onProgress();
}

function leave(endpoint: Endpoint, ws: WebSocket): void {
  if (endpoint.part.leaves!.how === 'terminate') {
    endpoint.terminated = true;
    ws.terminate();
  } else if (ws.readyState === ws.OPEN) endpoint.close?.(4001);
  endpoint.out.done = true;
}

/** Sends a message, whole or in fragments. Resolves to false when the connection is over. */
function sendOne(
  endpoint: Endpoint,
  ws: WebSocket,
  content: Content,
  random: Random,
): Promise<boolean> {
  const sent = endpoint.out.add(content);
  const data = content.text ? textOf(content) : bytesOf(content);
  const options = { binary: !content.text };
  if (random.below(endpoint.part.writing === 'flood' ? 40 : 6) > 0)
    return send(endpoint, sent, ws, data, options, true);
  const bytes = Buffer.from(data as Buffer);
  const half = random.below(bytes.length + 1);
  void send(endpoint, sent, ws, bytes.subarray(0, half), options, false);
  return send(endpoint, sent, ws, bytes.subarray(half), options, true);
}

function send(
  endpoint: Endpoint,
  sent: Sent,
  ws: WebSocket,
  data: string | Buffer,
  options: { binary: boolean },
  fin: boolean,
): Promise<boolean> {
  const { out } = endpoint;
  const open = ws.readyState === ws.OPEN;
  out.pending++;
  return new Promise((resolve) => {
    ws.send(data, { ...options, fin }, (error) => {
      out.pending--;
      if (error != null && sent.state === ACCEPTED) sent.state = open ? FAILED : REJECTED;
      resolve(error == null);
    });
  });
}
