// An agent answers word by word, as fast as its page reads, until a button stops it.
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@ws/node-server';
import { build } from 'esbuild';
import { agent } from './agent.ts';

const { PORT = '8080', HOST: host = '127.0.0.1', WORD_MS = '200' } = process.env;
const plan = { bundle: true, format: 'esm' as const, write: false, conditions: ['@ws/source'] };
const page = await build({ ...plan, entryPoints: [`${import.meta.dirname}/page.js`] });
const html = `<button>Stop</button><pre></pre><script type=module>${page.outputFiles![0]!.text}</script>`;
const request = (_: unknown, res: { end(html: string): unknown }) => void res.end(html);
const handler = agent.serve({
  async *ask(question, { signal }) {
    const words = `You ask: ${question} I answer word by word. `.repeat(9).split(/(?<= )/);
    for (const word of words) yield await sleep(Number(WORD_MS), word, { signal });
  },
});
const server = await serve({ port: Number(PORT), host, request }, handler);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void server.close());
console.log(server.url.replace('ws', 'http'));
