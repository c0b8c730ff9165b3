import process from 'node:process';
import { commandLine } from '../kit/command-line.ts';
import { echoes, PEERS } from './echo/echo.ts';
import { chaos, type RunResult } from './run.ts';
import { drawScript, OVER, scriptText } from './script.ts';

const usage = `usage: pnpm long chaos [--messages <n> | --minutes <n>] [--seed <n>] [--over tcp|tls|http2]
       pnpm long chaos --peer python|gorilla [--connections <n>] [--seed <n>]
       pnpm long chaos --seed <n> --connection <n> [--times <n>]

  --messages    stops after this many received messages; default: 1e7
  --minutes     stops after this time instead
  --over        what carries the connections; default: tcp
  --seed        repeats an earlier run; default: a new one, printed
  --peer        our client with an echo server in another language
  --connections how many with it; default: 1500
  --connection  plays only this connection of the seed, repeatedly
  --times       how often; default: 200
  --help        this text

Exit code 0: every message arrived or its loss was reported. 1: a violation. 2: wrong usage.`;

const {
  values: options,
  number,
  refuse,
} = commandLine(usage, {
  messages: { type: 'string', default: '1e7' },
  minutes: { type: 'string' },
  over: { type: 'string', default: 'tcp' },
  seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  peer: { type: 'string' },
  connections: { type: 'string', default: '1500' },
  connection: { type: 'string' },
  times: { type: 'string', default: '200' },
});
const over = OVER.find((name) => name === options.over) ?? refuse(`--over: ${options.over}`);
const seed = number('seed');
const times = number('times');
const messages = number('messages');
const only =
  options.connection === undefined ? undefined : drawScript(seed, number('connection'), over);
const limit = options.minutes === undefined ? undefined : number('minutes') * 60;
console.log(`seed ${seed}`);

if (options.peer !== undefined) {
  const peer = PEERS.find((name) => name === options.peer) ?? refuse(`--peer: ${options.peer}`);
  const { findings } = await echoes(peer, seed, number('connections'), (result) =>
    console.log(JSON.stringify({ ...result, findings: result.findings.length })),
  );
  for (const finding of findings) console.log(`\n${finding}`);
  process.exit(findings.length > 0 ? 1 : 0);
}

const started = performance.now();
const seconds = (): number => (performance.now() - started) / 1000;
const result = await chaos({
  seed,
  over,
  messages: limit === undefined ? messages : Infinity,
  until: () => limit !== undefined && seconds() >= limit,
  onRound: ({ received, connections, cut, lost, refused }: RunResult) => {
    const speed = Math.round(received / seconds());
    console.log(
      `${received} messages, ${speed}/s, ${connections} connections, ${cut} cut, ${lost} lost, ${refused} refused`,
    );
  },
  ...(only && {
    scripts: Array.from({ length: times }, (_, connection) => ({ ...only, connection })),
  }),
});
if (only !== undefined) console.log(scriptText(only));
for (const finding of result.findings) console.log(`\n${finding}`);
if (result.findings.length > 0) {
  console.log(`\nrepeat: pnpm long chaos --seed ${seed} --messages ${result.received}`);
  console.log(`one connection: pnpm long chaos --seed ${seed} --connection <number>`);
}
// A hanging connection would keep the process alive.
process.exit(result.findings.length > 0 ? 1 : 0);
