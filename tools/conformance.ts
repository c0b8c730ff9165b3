// Writes docs/conformance.json and docs/conformance.md. `node --import tsx tools/conformance.ts`
// asks the servers and clients; `… faults` plants faults in naive ones; `… mutation` takes the last run of `pnpm long mutation-…`;
// `… fuzz MINUTES` runs all targets of the fuzzer, as long together; `… page` writes the page alone.
// The packages have to be built.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { WebSocketServer } from 'ws';
import { findingsOf } from '../conformance/src/report/findings.ts';
import { runClientSuite } from '../conformance/src/run/run-client.ts';
import { runServerSuite } from '../conformance/src/run/run-server.ts';
import type { SuiteReport } from '../conformance/src/run/suite-report.ts';
import { targets } from '../fuzz/targets.ts';
import { plantFaults } from './conformance/faults.ts';
import {
  type Asked,
  causesOf,
  type Fuzzed,
  type Made,
  type Mutated,
  pageOf,
  type Results,
} from './conformance/page.ts';

const RESULTS = 'docs/conformance.json';
const CLIENT = 'tools/conformance/client.mjs';
const PAGE = 'docs/conformance.md';
const PACKAGES = ['codec', 'conn'];
const MAX_MESSAGE = 64 * 2 ** 20;
/** The timeout in ms. With the default of 5,000, a busy machine fails cases with large messages. */
const PATIENT = { timeout: 20_000 };

const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
const made: Made = {
  date: new Date().toISOString().slice(0, 'yyyy-mm-dd'.length),
  commit: git('rev-parse', '--short', 'HEAD'),
  node: process.versions.node,
};

const { version } = createRequire(import.meta.url)('ws/package.json') as { version: string };
const OURS = 'this project';
const WS = `ws ${version}`;

function asked(target: string, options: string, { role, counts, results }: SuiteReport): Asked {
  console.log(target, role, counts);
  return { target, role, options, made, counts, findings: causesOf(findingsOf(results)) };
}

const OPTIONS = 'compression with context takeover';
const OVER_HTTP_2 = `HTTP/2, ${OPTIONS}`;

async function askOurs(http2 = false): Promise<Asked> {
  const server = await serve(
    {
      http2: http2 && 'clear',
      host: '127.0.0.1',
      compression: 'takeover',
      readLimit: MAX_MESSAGE,
      handshakeTimeout: PATIENT.timeout,
    },
    (conn) => conn.receive((message) => conn.writeMessage(message.type, message.data)),
  );
  const report = await runServerSuite(server.url, { ...PATIENT, http2 });
  await server.close({ timeout: 1 });
  return asked(OURS, http2 ? OVER_HTTP_2 : OPTIONS, report);
}

async function askWs(): Promise<Asked> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
  server.on('connection', (socket) => {
    // ws closes the connection after an error, and throws without a listener.
    socket.on('error', () => undefined);
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  await once(server, 'listening');
  const report = await runServerSuite(
    `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    PATIENT,
  );
  for (const client of server.clients) client.terminate();
  server.close();
  return asked(WS, 'perMessageDeflate', report);
}

async function askClient(kind: 'ours' | 'ws'): Promise<Asked> {
  const report = await runClientSuite([process.execPath, CLIENT, kind], PATIENT);
  return kind === 'ours' ? asked(OURS, OPTIONS, report) : asked(WS, 'its defaults', report);
}

/** The last runs of Stryker, from its incremental files. */
function mutated(): Mutated[] {
  return PACKAGES.flatMap((name) => {
    const file = `.out/mutation/${name}.json`;
    if (!existsSync(file)) return [];
    const { files } = JSON.parse(readFileSync(file, 'utf8')) as {
      files: Record<string, { mutants: { status: string }[] }>;
    };
    const statuses = Object.values(files).flatMap(({ mutants }) =>
      mutants.map(({ status }) => status),
    );
    const count = (status: string): number => statuses.filter((one) => one === status).length;
    return {
      package: name,
      files: Object.keys(files).map((path) => path.replace(`packages/${name}/src/`, '')),
      made,
      killed: count('Killed'),
      timeout: count('Timeout'),
      survived: count('Survived'),
      uncovered: count('NoCoverage'),
    };
  });
}

/** Runs all targets of the fuzzer, `minutes` together. */
function fuzzed(minutes: number): Fuzzed[] {
  const fuzz = ['--conditions=@ws/source', '--import', 'tsx', 'fuzz/run.ts'];
  const each = minutes / targets.length;
  const { stdout, stderr } = spawnSync(process.execPath, [...fuzz, '--minutes', String(each)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const runs = [...`${stdout}${stderr}`.matchAll(/^([a-z0-9-]+) +(\d+) executions, /gm)];
  if (runs.length !== targets.length) throw new Error(`the fuzzer ended: ${stdout}${stderr}`);
  return runs.map(([, target, executions]) => ({
    target: target!,
    minutes: each,
    executions: Number(executions),
    findings: stdout.includes(`.out/fuzz/${target}/`) ? 1 : 0,
    made,
  }));
}

const [what, minutes = ''] = process.argv.slice(2);

/** The parts that were asked for. A run may take an hour: others record their parts meanwhile. */
async function recorded(): Promise<Partial<Results>> {
  switch (what) {
    case undefined:
      return {
        suite: [
          await askOurs(),
          await askOurs(true),
          await askClient('ours'),
          await askWs(),
          await askClient('ws'),
        ],
      };
    case 'faults':
      return { planted: (await plantFaults()).map((each) => ({ ...each, made })) };
    case 'mutation':
      return { mutation: mutated() };
    case 'fuzz':
      if (!(Number(minutes) > 0)) throw new Error('fuzz needs the minutes of all targets together');
      return { fuzz: fuzzed(Number(minutes)) };
    case 'page':
      return {};
    default:
      throw new Error(`${what} is none of faults, mutation, fuzz and page`);
  }
}

const found = await recorded();
const results: Results = { ...JSON.parse(readFileSync(RESULTS, 'utf8')), ...found };
writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
writeFileSync(PAGE, pageOf(results));
