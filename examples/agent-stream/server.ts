// An agent that repeats the question, word by word, as fast as its page reads, until a button stops it.
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@ws/node-server';
import { build } from 'esbuild';
import { agent } from './agent.ts';

const { PORT = '8080', HOST: host = '127.0.0.1', WORD_MS = '200' } = process.env;
const plan = { bundle: true, format: 'esm' as const, write: false, conditions: ['@ws/source'] };
const page = await build({ ...plan, entryPoints: [`${import.meta.dirname}/page.js`] });
const html = `<button>Stop</button><pre></pre><script type=module>${page.outputFiles![0]!.text}</script>`;
async function* ask(text: string, { signal }: { signal: AbortSignal }) {
  for (const word of text.split(/(?<= )/)) yield await sleep(Number(WORD_MS), word, { signal });
}
const ws = await serve({ port: +PORT, host, request: (_, r) => r.end(html) }, agent.serve({ ask }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void ws.close());
console.log(ws.url.replace('ws', 'http'));
