import { Child } from '../harness/child.ts';
import { hasNginx, NginxProxy } from '../harness/nginx.ts';
import { packageVersion } from '../harness/optional-package.ts';
import type { Contest, ContestResult, Reading } from '../harness/runner.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { PROXIES, type ProxyName } from '../rivals/proxies.ts';
import type { ProxyAnswers } from '../rivals/proxy-worker.ts';
import type { ServerAnswers } from '../rivals/server-worker.ts';
import { type Environment, type Scenario, startChild, startProcesses } from './scenario.ts';

/** The contender that all ratios are relative to. */
const PIPE: ProxyName = 'pipe';
const IDLE = 1000;
const HANDSHAKES = 500;

interface Traffic {
  readonly connections: number;
  readonly depth: number;
  readonly size: number;
}

const TRAFFIC: Readonly<Record<string, Traffic>> = {
  '64 B, 16 in flight': { connections: 32, depth: 16, size: 64 },
  '64 B, 1 in flight': { connections: 32, depth: 1, size: 64 },
  '1 KiB, 16 in flight': { connections: 32, depth: 16, size: 1024 },
  '64 KiB, 1 in flight': { connections: 8, depth: 1, size: 64 * 1024 },
};

/** `ws-bench proxy`. */
export const proxy: Scenario = {
  name: 'proxy',
  summary: 'echoes through a proxy, next to nginx, httpxy, http-proxy-3 and two pipes',
  help: `The load talks to an echo server through each proxy. Only the CPU of the proxy counts, for both
directions of an echo.

  pipe       a.pipe(b).pipe(a), which reads no handshake
  frames     createProxy as it is
  bytes      createProxy in that mode
  nginx      one worker; its CPU is read in steps of 10 ms

The memory of an idle pair is what the second ${IDLE} pairs add to the process: the first ${IDLE} stay open.
`,
  full: { processes: 3, rounds: 3, ms: 1000, warmUpMs: 500 },
  minutes: 10,
  quick: { processes: 1, rounds: 2, ms: 500, warmUpMs: 200 },
  contests: (environment) => [
    ...Object.entries(TRAFFIC).map(([name, traffic]) => echoes(environment, name, traffic)),
    openings(environment),
    idlePairs(environment),
  ],
  tables,
  versions: (contenders) => ({
    ...(contenders.has('httpxy') && { httpxy: packageVersion('httpxy') }),
    ...(contenders.has('http-proxy-3') && { 'http-proxy-3': packageVersion('http-proxy-3') }),
  }),
};

/** A proxy between the load and an echo server. */
interface Between {
  readonly port: number;
  readonly cpu: () => Promise<number>;
  readonly child: Child<ProxyAnswers> | undefined;
}

function echoes(environment: Environment, name: string, traffic: Traffic): Contest {
  const { load } = environment;
  const { connections, depth, size } = traffic;
  return {
    name,
    contenders: [...PROXIES, ...(hasNginx() ? ['nginx'] : [])],
    start: (contender) =>
      startProcesses(async (ends) => {
        const { port, cpu } = await startBetween(environment, contender, name, ends);
        const corpus = corpusOf(size, depth);
        const request = { target: { port }, connections, corpus };
        const { group } = await load.ask('open', request);
        ends.push(() => load.ask('drop', group));
        const window = async (ms: number): Promise<Reading> => {
          const before = await cpu();
          await load.ask('run', { group, depth, ms });
          const after = await cpu();
          const { messages } = await load.ask('check', group);
          return { us: (after - before) / messages };
        };
        return { window };
      }),
  };
}

function openings(environment: Environment): Contest {
  const { load } = environment;
  const name = 'handshakes';
  return {
    name,
    contenders: PROXIES.filter((each) => each !== PIPE),
    start: (contender) =>
      startProcesses(async (ends) => {
        const { port, cpu } = await startBetween(environment, contender, name, ends);
        const request = { target: { port }, connections: HANDSHAKES, corpus: corpusOf(1, 1) };
        const window = async (): Promise<Reading> => {
          const before = await cpu();
          const { group } = await load.ask('open', request);
          const after = await cpu();
          await load.ask('close', group);
          return { us: (after - before) / HANDSHAKES };
        };
        return { window };
      }),
  };
}

function idlePairs(environment: Environment): Contest {
  const { load } = environment;
  const name = `${IDLE} idle pairs`;
  return {
    name,
    contenders: PROXIES.filter((each) => each !== PIPE),
    alone: true,
    once: true,
    start: (contender) =>
      startProcesses(async (ends) => {
        const { port, child } = await startBetween(environment, contender, name, ends);
        const open = async (connections: number): Promise<void> => {
          const request = { target: { port }, connections, corpus: corpusOf(1024, 1) };
          const { group } = await load.ask('open', request);
          ends.push(() => load.ask('drop', group));
          await load.ask('run', { group, depth: 1, each: 1 });
          await load.ask('check', group);
        };
        const window = async (): Promise<Reading> => {
          // The first pairs also pay for compiled code and for the heap's growth. Others reuse both.
          await open(IDLE);
          const before = await child!.ask('memory', true);
          await open(IDLE);
          const after = await child!.ask('memory', true);
          return { resident: (after.resident - before.resident) / IDLE };
        };
        return { window };
      }),
  };
}

/** Starts an echo server and a proxy to it. */
async function startBetween(
  environment: Environment,
  contender: string,
  contest: string,
  ends: (() => Promise<unknown>)[],
): Promise<Between> {
  const { cores } = environment;
  // The echo server shares the core of the load: only the proxy is measured.
  const backend = new Child<ServerAnswers>('./server-worker.js', cores.load, {});
  ends.push(() => backend.end());
  const target = await backend.ask('listen', {
    contender: 'receive',
    task: undefined,
    limit: undefined,
    compression: undefined,
    tls: undefined,
  });
  if (contender === 'nginx') {
    const nginx = await NginxProxy.start(target, cores.server);
    ends.push(() => nginx.end());
    return { port: nginx.port, cpu: async () => nginx.cpu(), child: undefined };
  }
  const flags = { flags: ['--expose-gc'] };
  const started = startChild<ProxyAnswers>(
    './proxy-worker.js',
    contender,
    contest,
    environment,
    flags,
  );
  const { child } = started;
  ends.push(() => child.end());
  const port = await child.ask('proxy', { name: contender as ProxyName, target });
  return { port, cpu: async () => (await child.ask('usage', undefined)).cpu, child };
}

function corpusOf(size: number, depth: number): EchoPlan {
  const count = Math.max(depth + 1, 64);
  return { content: 'binary', sizes: [size], count, fragments: 1, raw: false };
}

function tables(results: readonly ContestResult[]): Table[] {
  const timed = results.filter(({ name }) => !name.includes('idle'));
  const idle = results.filter(({ name }) => name.includes('idle'));
  const echoed = timed.filter(({ readings }) => readings[PIPE] !== undefined);
  const note = 'More is better.';
  const all = [
    ratioTable(
      {
        title: 'Echoes',
        unit: 'echoes per CPU second of the proxy, relative to pipe',
        note,
        results: echoed,
      },
      PIPE,
      'us',
    ),
    ratioTable(
      {
        title: 'Echoes and handshakes, next to httpxy',
        unit: 'per CPU second of the proxy, relative to httpxy',
        note,
        results: timed,
      },
      'httpxy',
      'us',
    ),
    metricTable(
      { title: 'CPU', unit: 'µs of the proxy', note: 'Less is better.', results: timed },
      'us',
    ),
    metricTable(
      {
        title: 'Memory of an idle pair',
        unit: 'resident bytes after collections',
        note: 'Less is better.',
        results: idle,
      },
      'resident',
    ),
  ];
  const used = [echoed, timed, timed, idle];
  return all.filter((_, i) => used[i]!.length > 0);
}
