import type { RawData, WebSocket } from 'ws';
import { turn } from '../fake-host.ts';
import { Random } from '../random.ts';
import { bytesOf, type Content, textOf } from './content.ts';
import { ACCEPTED, REFUSED, type Said, TOLD } from './ledger.ts';
import { drawSize } from './script.ts';
import { blame, type Side } from './side.ts';

/** Plays a part with a socket of `ws` that is open; resolves when it has ended. */
export async function playWs(side: Side, ws: WebSocket): Promise<void> {
  const { part, out } = side;
  side.close = (code) => {
    side.closed ??= { code, after: out.said.length };
    ws.close(code);
  };
  const over = new Promise<void>((resolve) => {
    ws.addEventListener('close', ({ code, wasClean }) => {
      side.end = { code, clean: wasClean };
      side.close = undefined;
      resolve();
    });
  });
  const reading = new Random(part.seed ^ 1);
  ws.on('message', (data: RawData, binary) => {
    side.in.hear(!binary, binary ? (data as Buffer) : (data as Buffer).toString());
    if (part.slow && reading.once(20)) pause(ws);
    side.news();
  });
  await write(side, ws, new Random(part.seed)).catch((error: unknown) => {
    blame(side, `writing threw ${String(error)}`);
  });
  await over;
  for (let i = 0; i < 3 && out.pending > 0; i++) await turn();
}

/** Reads on in a moment. */
function pause(ws: WebSocket): void {
  ws.pause();
  setImmediate(() => setImmediate(() => ws.resume()));
}

async function write(side: Side, ws: WebSocket, random: Random): Promise<void> {
  const { part, out } = side;
  for (let number = 0; number < part.messages; number++) {
    if (number === part.leaves?.after) return leave(side, ws);
    if (ws.readyState !== ws.OPEN) break;
    const size = drawSize(random, part.writing);
    const content = { text: random.once(2), tag: side.tag, number, size };
    const flowing = sayOne(side, ws, content, random);
    const waits =
      part.writing === 'awaited' || random.below(part.writing === 'heavy' ? 6 : 50) === 0;
    if (waits && !(await flowing)) break;
    if (random.once(60) && ws.readyState === ws.OPEN) ws.ping(`${number}`);
  }
  if (part.leaves !== undefined && part.leaves.after >= part.messages) return leave(side, ws);
  out.done = true;
  side.news();
}

function leave(side: Side, ws: WebSocket): void {
  if (side.part.leaves!.how === 'terminate') {
    side.terminated = true;
    ws.terminate();
  } else if (ws.readyState === ws.OPEN) side.close?.(4001);
  side.out.done = true;
}

/** Hands one message over, whole or in fragments; false: the connection is over. */
function sayOne(side: Side, ws: WebSocket, content: Content, random: Random): Promise<boolean> {
  const said = side.out.say(content);
  const data = content.text ? textOf(content) : bytesOf(content);
  const options = { binary: !content.text };
  if (random.below(side.part.writing === 'flood' ? 40 : 6) > 0)
    return send(side, said, ws, data, options, true);
  const bytes = Buffer.from(data as Buffer);
  const half = random.below(bytes.length + 1);
  void send(side, said, ws, bytes.subarray(0, half), options, false);
  return send(side, said, ws, bytes.subarray(half), options, true);
}

function send(
  side: Side,
  said: Said,
  ws: WebSocket,
  data: string | Buffer,
  options: { binary: boolean },
  fin: boolean,
): Promise<boolean> {
  const { out } = side;
  const open = ws.readyState === ws.OPEN;
  out.pending++;
  return new Promise((resolve) => {
    ws.send(data, { ...options, fin }, (error) => {
      out.pending--;
      if (error != null && said.state === ACCEPTED) said.state = open ? TOLD : REFUSED;
      resolve(error == null);
    });
  });
}
