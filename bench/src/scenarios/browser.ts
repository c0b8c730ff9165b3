import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { serve } from '@ws/node-server';
import { startChromium } from '../harness/chromium.ts';
import type { Contest, ContestResult, Running } from '../harness/runner.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { Scenario } from './scenario.ts';

const BARE = 'bare WebSocket';

/** Messages in flight, and their characters. */
const WORK: Readonly<Record<string, { readonly flight: number; readonly size: number }>> = {
  '1 in flight of 16 B': { flight: 1, size: 16 },
  '64 in flight of 16 B': { flight: 64, size: 16 },
  '16 in flight of 16 KiB': { flight: 16, size: 16 * 1024 },
};

/** Runs in the page: opens a connection and returns `echo(ms)`, the messages of a window. */
const OPEN = `async ({ ours, flight, size }) => {
  const { dial } = await import('/standalone.js');
  const url = location.href.replace('http', 'ws');
  const text = 'x'.repeat(size);
  let got = 0;
  let end = 0;
  let done = () => {};
  const answered = (data, send) => {
    if (data !== text) throw new Error('another message came back');
    got++;
    if (performance.now() < end) return send(text);
    if (--left === 0) done();
  };
  let left = 0;
  let send;
  if (ours) {
    const conn = await dial(url);
    send = (data) => conn.send(data);
    conn.receive((message) => answered(message.text(), send)).catch(() => {});
  } else {
    const socket = new WebSocket(url);
    await new Promise((resolve) => { socket.onopen = resolve; });
    send = (data) => socket.send(data);
    socket.onmessage = ({ data }) => answered(data, send);
  }
  globalThis.echo = async (ms) => {
    got = 0;
    left = flight;
    const start = performance.now();
    end = start + ms;
    const all = new Promise((resolve) => { done = resolve; });
    for (let i = 0; i < flight; i++) send(text);
    await all;
    return (performance.now() - start) * 1000 / got;
  };
}`;

/** `ws-bench browser`. */
export const browser: Scenario = {
  name: 'browser',
  summary: 'dial of @ws/browser next to the bare WebSocket, in a page of Chromium',
  help: `Texts to an echo server of ours and back. The page compares each with what it sent. The time is that of the
clock: the browser's processes, the server and the page share the machine, so only the ratio counts.
Chromium is that of CHROMIUM_BIN or of the PATH. 'record' does not run this scenario.
`,
  full: { processes: 3, rounds: 10, ms: 500, warmUpMs: 500 },
  minutes: 2,
  quick: { processes: 1, rounds: 3, ms: 300, warmUpMs: 300 },
  contests: () => Object.keys(WORK).map(contest),
  tables,
};

function contest(name: string): Contest {
  return {
    name,
    contenders: ['ours', BARE],
    async start(contender): Promise<Running> {
      const server = await serve({ port: 0, host: '127.0.0.1', request: answer }, (conn) =>
        conn.receive((message) => conn.send(message)),
      );
      const chromium = await startChromium();
      const page = await chromium.newPage();
      await page.goto(server.url.replace(/^ws/, 'http'));
      const work = JSON.stringify({ ours: contender === 'ours', ...WORK[name] });
      await page.evaluate(`(${OPEN})(${work})`);
      return {
        window: async (ms) => ({ us: Number(await page.evaluate(`echo(${ms})`)) }),
        async end() {
          await chromium.close();
          await server.close({ timeout: 1_000 });
        },
      };
    },
  };
}

function answer(req: IncomingMessage, res: ServerResponse): void {
  const isModule = req.url === '/standalone.js';
  res.setHeader('Content-Type', isModule ? 'text/javascript' : 'text/html');
  if (!isModule) return void res.end('<!doctype html><title>bench</title>');
  res.end(readFileSync(fileURLToPath(import.meta.resolve('@ws/browser/standalone'))));
}

function tables(results: readonly ContestResult[]): Table[] {
  const note = 'More is better.';
  const unit = `messages per second, relative to the ${BARE}`;
  return [
    ratioTable({ title: 'A page', unit, note, results }, BARE, 'us'),
    metricTable({ title: 'A message there and back', unit: 'µs', results }, 'us'),
  ];
}
