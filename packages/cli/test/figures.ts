// `pnpm long wsx`: starts, lines and memory of wsx, beside wscat, which it installs from npm into a
// temporary folder. Run `pnpm build` first.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { serve } from '@ws/node-server';

const WSCAT = 'wscat@6.1.0';
const STARTS = 10;
const LINES = 1_000_000;
const GIB = 1024 ** 3;

const folder = mkdtempSync(join(tmpdir(), 'wsx-figures-'));
try {
  await measure();
} finally {
  rmSync(folder, { recursive: true });
}

async function measure(): Promise<void> {
  execFileSync('npm', ['install', '--silent', '--no-audit', '--prefix', folder, WSCAT]);
  const wsx = join(import.meta.dirname, '../bin/wsx.js');
  const wscat = join(folder, 'node_modules/wscat/bin/wscat');

  console.log(`median of ${STARTS} starts, in ms, in turns`);
  const programs = { node: ['-e', '0'], wsx: [wsx, '--version'], wscat: [wscat, '--version'] };
  console.log(JSON.stringify(medians(programs)));

  console.log('the same until a server has the first message');
  console.log(
    JSON.stringify({
      wsx: await firstMessage((url) => [wsx, url]),
      wscat: await firstMessage((url) => [wscat, '-c', url]),
    }),
  );

  const lines = join(folder, 'lines');
  writeFileSync(lines, 'nineteen characters\n'.repeat(LINES));
  console.log(
    `${LINES} lines of 20 bytes to a server: seconds from its first to its last, CPU seconds`,
  );
  const ours = await sendLines(`'${process.execPath}' '${wsx}' URL --wait 0`, lines);
  const theirs = await sendLines(`'${process.execPath}' '${wscat}' -c URL`, lines);
  console.log(`wsx ${ours.wall.toFixed(1)} s, ${ours.cpu.toFixed(1)} s CPU`);
  console.log(`wscat ${theirs.wall.toFixed(1)} s, ${theirs.cpu.toFixed(1)} s CPU`);
  console.log(
    `wscat / wsx: ${(theirs.wall / ours.wall).toFixed(1)}, CPU ${(theirs.cpu / ours.cpu).toFixed(1)}`,
  );

  await gibibyte(wsx);
}

/** The median of each program, in ms. They take turns, so that all see the same machine. */
function medians(programs: Readonly<Record<string, readonly string[]>>): Record<string, number> {
  const times = Object.fromEntries(Object.keys(programs).map((name) => [name, [] as number[]]));
  for (let i = 0; i < STARTS; i++) {
    for (const [name, args] of Object.entries(programs)) {
      const before = performance.now();
      spawnSync(process.execPath, args, { input: 'x\n', timeout: 30_000 });
      times[name]!.push(performance.now() - before);
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, all]) => [name, Math.round(middle(all))]),
  );
}

/** The median of the time in ms until a server has the line that a program reads from stdin. */
async function firstMessage(args: (url: string) => readonly string[]): Promise<number> {
  let got = (): void => {};
  await using server = await serve({ host: '127.0.0.1', port: 0 }, (conn) =>
    conn.receive(() => got()),
  );
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const message = new Promise<void>((resolve) => {
      got = resolve;
    });
    const before = performance.now();
    const child = spawn(process.execPath, args(server.url), {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // wscat drops what it reads before its connection is open.
    const typing = setInterval(() => child.stdin.write('x\n'), 5);
    await message;
    clearInterval(typing);
    times.push(performance.now() - before);
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  return Math.round(middle(times));
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (
    (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
  );
}

/** @param command - A line of bash. stdin stays open until the server has everything. */
async function sendLines(command: string, file: string): Promise<{ wall: number; cpu: number }> {
  let count = 0;
  let first = 0;
  let done = (): void => {};
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  await using server = await serve({ host: '127.0.0.1', port: 0 }, (conn) =>
    conn.receive(() => {
      if (count === 0) first = performance.now();
      if (++count === LINES) done();
    }),
  );
  const child = spawn(
    'bash',
    ['-c', `(sleep 2; cat '${file}'; sleep 600) | exec ${command.replace('URL', server.url)}`],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
    },
  );
  await all;
  const wall = (performance.now() - first) / 1000;
  const cpu = cpuOf(child);
  // The group that this script has made: cat, sleep and the client.
  process.kill(-child.pid!, 'SIGKILL');
  await once(child, 'exit');
  return { wall, cpu };
}

/** CPU seconds of the processes of a group so far: /proc of Linux. */
function cpuOf({ pid }: ChildProcess): number {
  const stats = execFileSync('ps', ['-o', 'pgid=,pid=,args=', '-A'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.trim().startsWith(`${pid} `) && line.includes(process.execPath))
    .map((line) => line.trim().split(/ +/)[1]!);
  const ticks = stats.map((each) => {
    const fields = readFileSync(`/proc/${each}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

/** A message of 1 GiB from a client to `wsx listen`. */
async function gibibyte(wsx: string): Promise<void> {
  const listening = spawn(process.execPath, [wsx, 'listen', '127.0.0.1:0', '--binary'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  listening.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  while (!text.includes('\n')) await once(listening.stderr, 'data');
  const [, url = ''] = /(ws:\S+)/.exec(text) ?? [];
  const client = spawn(process.execPath, [wsx, url, '--binary', '--wait', '0'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  let received = 0;
  listening.stdout.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  const before = performance.now();
  const peaks = { listen: 0, client: 0 };
  const cpu = { listen: 0, client: 0 };
  const look = (): void => {
    for (const [name, { pid }] of [
      ['listen', listening],
      ['client', client],
    ] as const) {
      try {
        const [, peak] = /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
        peaks[name] = Number(peak ?? peaks[name]);
        const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
        cpu[name] = (Number(fields[11]) + Number(fields[12])) / 100;
      } catch {
        // It has ended.
      }
    }
  };
  const timer = setInterval(look, 20);
  const piece = Buffer.alloc(1024 ** 2, 1);
  for (let sent = 0; sent < GIB; sent += piece.length) {
    if (!client.stdin.write(piece)) await once(client.stdin, 'drain');
  }
  client.stdin.end();
  await once(client, 'exit');
  while (received < GIB) await once(listening.stdout, 'data');
  look();
  clearInterval(timer);
  listening.kill();
  await once(listening, 'exit');
  const seconds = ((performance.now() - before) / 1000).toFixed(1);
  console.log(`1 GiB through wsx and wsx listen: ${seconds} s`);
  console.log(`highest resident kB: ${JSON.stringify(peaks)}; CPU s: ${JSON.stringify(cpu)}`);
}
