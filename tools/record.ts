// `pnpm record`: makes the records that README.md and the pages show, each with its date and commit. All parts take a
// night. A part alone takes what the list says.
import process from 'node:process';
import {
  allowClosedOutput,
  type Command,
  list,
  node,
  pnpm,
  runAll,
  runTasks,
  source,
  type Task,
} from './run.ts';

const conformance = (...args: string[]): Command =>
  node('--import', 'tsx', 'tools/conformance.ts', ...args);

/** The benchmark on a version of Node, which npx downloads. */
function bench(version: string): Task {
  return {
    time: '2 h',
    what: `the benchmark on Node ${version}, on a quiet machine: bench/results`,
    commands: [['npx', '-y', '-p', `node@${version}`, 'node', 'bench/start.mjs', 'record']],
  };
}

function mutation(name: string, time: string): Task {
  return {
    time,
    what: `mutants of ${name}: docs/conformance.json`,
    commands: [pnpm('--silent', 'long', `mutation-${name}`), conformance('mutation')],
  };
}

const PARTS: Readonly<Record<string, Task>> = {
  build: {
    time: '1 min',
    what: 'builds what the parts measure',
    commands: [pnpm('--silent', 'run', 'build')],
  },
  conformance: {
    time: '3 min',
    what: 'our server, over HTTP/2 too, our client, and those of ws: docs/conformance.json',
    commands: [conformance()],
  },
  faults: {
    time: '5 min',
    what: 'faults planted in naive peers: docs/conformance.json',
    commands: [conformance('faults')],
  },
  fuzz: {
    time: '1 h',
    what: 'all targets of the fuzzer, an hour together: docs/conformance.json',
    commands: [conformance('fuzz', process.env['MINUTES'] ?? '60')],
  },
  'mutation-codec': mutation('codec', '1 h'),
  'mutation-conn': mutation('conn', '2 h'),
  tests: {
    time: '4 min',
    what: 'count and time of the test command, on a quiet machine: docs/records.json',
    commands: [node('--import', 'tsx', 'tools/records/write.ts', 'tests', '--quiet')],
  },
  sizes: {
    time: '10 s',
    what: 'sizes of the clients of other projects, which npm installs: docs/records.json',
    commands: [node('--import', 'tsx', 'tools/records/write.ts', 'sizes')],
  },
  constants: {
    time: '4 min',
    what: 'the constants of docs/scale.md, on a quiet machine with Redis: docs/scale.json',
    commands: [node('bench/start.mjs', 'hub', '--constants')],
  },
  'bench-20': bench('20.20.2'),
  'bench-22': bench('22.23.3'),
  'bench-24': bench('24.21.0'),
  readme: {
    time: '1 s',
    what: 'writes the figures of README.md',
    commands: [source('tools/check/records.ts', '--write')],
  },
};

allowClosedOutput();
const names = process.argv.slice(2);
if (names.includes('--help')) {
  console.log(
    `usage: pnpm record [part]...\n\nMakes the records that README.md and the pages show. Without a part: all, a night's run. It needs a commit\nwithout changes. pnpm check docs prints how old each record is; MINUTES=60 sets the time of the fuzzer.\n\n${list(PARTS)}`,
  );
} else {
  const known = names.every((name) => Object.hasOwn(PARTS, name));
  if (known && !(await runAll([node('tools/ready.mjs')]))) process.exit(1);
  const parts = names.length > 0 ? [...names, 'readme'] : Object.keys(PARTS);
  await runTasks(PARTS, parts);
}
