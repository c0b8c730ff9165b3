import type { RawData, WebSocket } from 'ws';
import { Random } from '../kit/random.ts';
import { ACCEPTED, FAILED, REJECTED, type Sent } from './delivery-log.ts';
import { type Driver, type Endpoint, play } from './endpoint.ts';
import { bytesOf, type Content, textOf } from './message-content.ts';

/** Plays a part with an open socket of `ws`. */
export async function runWs(endpoint: Endpoint, ws: WebSocket): Promise<void> {
  const { part } = endpoint;
  const reading = new Random(part.seed ^ 1);
  ws.on('message', (data: RawData, binary) => {
    endpoint.in.receive(!binary, binary ? (data as Buffer) : (data as Buffer).toString());
    if (part.slow && reading.once(20)) pause(ws);
    endpoint.onProgress();
  });
  const driver: Driver = {
    isOpen: () => ws.readyState === ws.OPEN,
    send: (content, random) => sendOne(endpoint, ws, content, random),
    ping(number) {
      if (ws.readyState === ws.OPEN) ws.ping(`${number}`);
    },
    close: (code) => ws.close(code),
    terminate: () => ws.terminate(),
    over: new Promise((resolve) => {
      ws.addEventListener('close', ({ code, wasClean }) => resolve({ code, clean: wasClean }));
    }),
  };
  await play(endpoint, driver, new Random(part.seed));
}

/** Pauses for two turns. */
function pause(ws: WebSocket): void {
  ws.pause();
  setImmediate(() => setImmediate(() => ws.resume()));
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
  sent.open = true;
  return new Promise((resolve) => {
    ws.send(data, { ...options, fin }, (error) => {
      out.pending--;
      sent.open = false;
      if (error != null && sent.state === ACCEPTED) sent.state = open ? FAILED : REJECTED;
      resolve(error == null);
    });
  });
}
