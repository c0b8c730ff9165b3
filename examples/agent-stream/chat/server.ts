// A model of the AI SDK answers a page that uses `useChat`. The button of the page stops the model.
import { serve } from '@ws/node-server';
import { convertToModelMessages, streamText, validateUIMessages } from 'ai';
import { build } from 'esbuild';
import { chat } from './chat.ts';
import { model } from './model.ts';

const { PORT = '8080', HOST: host = '127.0.0.1' } = process.env;
const plan = { bundle: true, format: 'esm' as const, write: false, conditions: ['@ws/source'] };
const entryPoints = [`${import.meta.dirname}/page.jsx`];
const page = await build({ ...plan, entryPoints, jsx: 'automatic' });
const html = `<!doctype html><main></main><script type=module>${page.outputFiles![0]!.text}</script>`;
const handler = chat.serve({
  async *ask({ messages }, { signal }) {
    const answer = streamText({
      model,
      messages: await convertToModelMessages(await validateUIMessages({ messages })),
      abortSignal: signal,
      onAbort: () => console.log('stopped'),
    });
    yield* answer.toUIMessageStream();
  },
});
const ws = await serve({ port: +PORT, host, request: (_, res) => res.end(html) }, handler);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void ws.close());
console.log(ws.url.replace('ws', 'http'));
