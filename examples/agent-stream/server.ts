// An agent answers word by word. A page that returns gets the rest of its run.
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hub, isPosition } from '@ws/hub';
import { serve } from '@ws/node-server';

const { PORT = '8080', HOST = '127.0.0.1', WORD_MS = '200' } = process.env;
const html = readFileSync(new URL('page.html', import.meta.url));
const words = readFileSync(new URL('README.md', import.meta.url), 'utf8').split(/(?<=\s)/);
const form = (message: { text(): string }, { position }: { position: unknown }): string =>
  JSON.stringify({ text: message.text(), position });
const hub = new Hub({ rooms: { 'run/*': { history: { ttl: 600_000 }, form } } });
const running = new Set<string>();

hub.on('message', async (session, message) => {
  const { run, since } = message.json() as { run: unknown; since: unknown };
  const room = hub.room(`run/${String(run)}`);
  const position = isPosition(since) ? { since } : { limit: words.length };
  const first = ({ complete }: { complete: boolean }): string => JSON.stringify({ complete });
  const joined = await session.join(room.name, { ...position, first });
  // A run without a word is new. The agent goes on when the page is away.
  if (joined.position?.offset !== 0 || running.has(room.name)) return;
  if (running.size === 100) return session.close(1013, 'too many runs');
  running.add(room.name);
  for (const word of words) await sleep(Number(WORD_MS), room.publish(word));
  running.delete(room.name);
});

const request: RequestListener = (_, res) =>
  void res.setHeader('Content-Type', 'text/html').end(html);
const server = await serve({ port: Number(PORT), host: HOST, request }, hub.handler);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void server.close());
console.log(server.url.replace('ws', 'http'));
