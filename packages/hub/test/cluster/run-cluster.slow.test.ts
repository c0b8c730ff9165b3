import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dial, ReconnectingConn } from '@ws/node-client';
import { roomsOf } from '@ws/rpc/rooms';
import { nothingLeft, ownPort, whenOver } from '@ws/tests';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('program.ts', import.meta.url));

/** A running program, with the lines that its processes have printed. */
class Program {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly port: number;
  /** While it exists, no worker starts. */
  readonly fail: string;
  readonly child: ChildProcess;
  /** Resolves to the exit code when all processes have ended and all their lines are read. */
  readonly ended: Promise<number | null>;

  constructor(port: number, workers: number, env: NodeJS.ProcessEnv) {
    const folder = mkdtempSync(join(tmpdir(), 'cluster-'));
    whenOver(() => rmSync(folder, { recursive: true }));
    this.port = port;
    this.fail = join(folder, 'fail');
    this.child = spawn(process.execPath, [...LOADER, PROGRAM], {
      env: { ...process.env, PORT: `${port}`, COUNT: `${workers}`, FAIL: this.fail, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const [stream, lines] of [
      [this.child.stdout!, this.lines],
      [this.child.stderr!, this.errors],
    ] as const) {
      createInterface({ input: stream }).on('line', (line) => void lines.push(line));
    }
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
    whenOver(async () => {
      this.child.kill('SIGKILL');
      await this.ended;
      await expect.poll(() => this.pids('started').some(lives)).toBe(false);
    });
  }

  /** The processes that have printed this word. */
  pids(word: string): number[] {
    return this.lines
      .filter((line) => line.startsWith(`${word} `))
      .map((line) => Number(line.split(' ')[1]));
  }

  /** Resolves when the primary says that all workers have started. */
  async up(): Promise<this> {
    const up = new RegExp(`^up ${this.child.pid} `, 'm');
    await expect.poll(() => this.lines.join('\n')).toMatch(up);
    return this;
  }
}

async function start(workers: number, env: NodeJS.ProcessEnv = {}): Promise<Program> {
  return new Program(await ownPort(), workers, env);
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A client of a room, with what it has got. */
function visit(port: number, room = 'chat/a') {
  const live = new ReconnectingConn(`ws://127.0.0.1:${port}`, {
    minDelay: 20,
    maxDelay: 200,
    report: () => {},
  });
  whenOver(() => live.close());
  const rooms = roomsOf(live);
  const got: unknown[] = [];
  const reading = (async () => {
    for await (const item of rooms.join(room)) {
      if (item.kind === 'message') got.push(item.data);
      else if (item.kind === 'gap') got.push('gap');
    }
  })();
  reading.catch(() => {});
  return { rooms, got };
}

/** Clients that are all members of a room, and have got the last message. */
async function meet(port: number, count: number) {
  const clients = Array.from({ length: count }, () => visit(port));
  // A member may publish.
  for (const { rooms } of clients) await publish(rooms, 'first');
  await publish(clients[0]!.rooms, 'ready');
  for (const { got } of clients) await expect.poll(() => got).toContain('ready');
  return clients;
}

describe('runCluster', { timeout: 120_000 }, () => {
  nothingLeft();

  it.each([
    ['no backplane: once in each worker', { LONE: 'yes' }, 2],
    ['a backplane: never', {}, 0],
  ])('N7 warns of hubs with %s', async (_, env, count) => {
    const program = await (await start(2, env)).up();
    program.child.send('close');
    await program.ended;
    const warnings = program.errors.filter((line) => line.includes('has no backplane'));
    expect(warnings).toHaveLength(count);
  });

  it('resolves when start has resolved in all workers', async () => {
    const program = await (await start(3)).up();
    const { pid } = program.child;
    expect(program.lines).toContain(`up ${pid} workers,replace,close`);
    const workers = program.pids('started');
    expect(workers).toHaveLength(3);
    expect(workers).not.toContain(pid);
    for (const worker of workers) {
      await expect.poll(() => program.lines).toContain(`up ${worker} hub,close`);
    }
  });

  it('tells its workers, and not their children, how many processes share the memory', async () => {
    const program = await (await start(2, { CHILD: '1' })).up();
    const shares = program.lines.filter((line) => line.startsWith('shares'));
    expect(shares).toEqual(['shares 2 undefined', 'shares 2 undefined']);
  });

  it('runs one worker in this process', async () => {
    const program = await (await start(1)).up();
    expect(program.pids('started')).toEqual([program.child.pid]);
    const { rooms, got } = visit(program.port);
    await rooms.publish('chat/a', 'one').catch(() => {});
    await expect.poll(() => got).toEqual(['one']);
    program.child.kill('SIGUSR2');
    program.child.kill('SIGUSR2');
    await expect.poll(() => program.errors.join('\n')).toContain('one worker is not replaced');
    expect(program.errors.join('\n').match(/is not replaced/g)).toHaveLength(1);
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
    expect(program.pids('closed')).toEqual([program.child.pid]);
  });

  it('connects the clients of all workers', async () => {
    const program = await (await start(2)).up();
    const clients = await meet(program.port, 6);
    for (let i = 0; i < 6; i++) await publish(clients[i]!.rooms, `${i}`);
    for (const { got } of clients) {
      await expect.poll(() => got.slice(-6)).toEqual(['0', '1', '2', '3', '4', '5']);
    }
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('closes all on %s, once', async (signal) => {
    const program = await (await start(2)).up();
    program.child.kill(signal);
    program.child.kill(signal);
    expect(await program.ended).toBe(0);
    const workers = program.pids('started');
    expect(new Set(program.pids('closing'))).toEqual(new Set(workers));
    expect(new Set(program.pids('closed'))).toEqual(new Set(workers));
  });

  it.each([1, 2])('102 serves for drain ms after SIGTERM, with %i worker(s)', async (workers) => {
    const program = await (await start(workers, { CLOSE: '{"drain":60000}' })).up();
    program.child.kill('SIGTERM');
    const phase = async (): Promise<string> => {
      const conn = await dial(`ws://127.0.0.1:${program.port}/phase`);
      const message = await conn.readMessage();
      await conn.close();
      return message.text();
    };
    await expect.poll(phase).toBe('draining');
    expect(program.pids('closing')).toEqual([]);
    // Ends the drain.
    program.child.send('hurry');
    expect(await program.ended).toBe(0);
    expect(program.pids('closed')).toHaveLength(workers);
  });

  it('102 answers those that wait for their turn when SIGTERM comes', async () => {
    const handshakes = { perSecond: 1, burst: 1, wait: 10_000 };
    const program = await (await start(2, { HANDSHAKES: JSON.stringify(handshakes) })).up();
    const dials = Array.from({ length: 12 }, () =>
      dial(`ws://127.0.0.1:${program.port}/`).then(
        () => 101,
        (error: { status?: number }) => error.status,
      ),
    );
    await Promise.race(dials);
    program.child.kill('SIGTERM');
    // The last of them would have its turn after 10 s.
    expect(new Set(await Promise.all(dials))).toEqual(new Set([101, 503]));
    expect(await program.ended).toBe(0);
  });

  it('closes while its workers start', async () => {
    const program = await start(2);
    const hasWorkers = (): boolean => {
      const { status } = spawnSync('ps', ['-o', 'pid=', '--ppid', `${program.child.pid}`]);
      return status === 0;
    };
    await expect.poll(hasWorkers, { interval: 10 }).toBe(true);
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
    await expect.poll(() => program.pids('started').some(lives)).toBe(false);
  });

  it('ends at once on a second signal after 2 s', async () => {
    const program = await (await start(2, { STUCK: '1' })).up();
    program.child.kill('SIGTERM');
    await expect.poll(() => program.pids('closing')).toHaveLength(2);
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(1);
    await expect.poll(() => program.pids('started').some(lives)).toBe(false);
  });

  it('installs no signals with signals: false', async () => {
    const program = await (await start(2, { SIGNALS: 'off' })).up();
    program.child.send('close');
    expect(await program.ended).toBe(0);
    expect(program.pids('closed')).toHaveLength(2);
    const other = await (await start(2, { SIGNALS: 'off' })).up();
    other.child.kill('SIGTERM');
    expect(await other.ended).toBe(null);
    await expect.poll(() => other.pids('started').some(lives)).toBe(false);
  });

  it('ends the workers when the primary dies', async () => {
    const program = await (await start(2)).up();
    const workers = program.pids('started');
    program.child.kill('SIGKILL');
    await expect.poll(() => workers.some(lives)).toBe(false);
  });

  it('starts a worker in the place of one that has died', async () => {
    const program = await (await start(2)).up();
    const [dead, other] = program.pids('started') as [number, number];
    process.kill(dead, 'SIGKILL');
    await expect.poll(() => program.pids('up').length).toBe(4);
    await meet(program.port, 4);
    expect(lives(other)).toBe(true);
    expect(program.errors.join('\n')).toContain(
      `worker ${dead} ended with SIGKILL; another one starts in 100 ms`,
    );
  });

  it('ends all when one ends before the first has started', async () => {
    const program = await start(2);
    writeFileSync(program.fail, '');
    expect(await program.ended).toBe(1);
    expect(program.lines.at(-1)).toBe(
      `refused ${program.child.pid} RangeError: this one fails E_FAILS`,
    );
    expect(program.pids('started').some(lives)).toBe(false);
  });

  it('reports an error of start with a cause that cannot be copied', async () => {
    const program = await start(2, { CAUSE: '1' });
    writeFileSync(program.fail, '');
    expect(await program.ended).toBe(1);
    expect(program.lines.at(-1)).toBe(
      `refused ${program.child.pid} Error: this one fails undefined`,
    );
    await expect.poll(() => program.errors.join('\n')).toContain('retry: [Function: retry]');
  });

  it('leaves messages of the application alone that look like those of the library', async () => {
    const program = await (await start(2, { ALIKE: '1' })).up();
    await meet(program.port, 4);
    program.child.send('close');
    expect(await program.ended).toBe(0);
    expect(program.errors).toEqual([]);
  });

  it('ends with 1 after a close that hangs', async () => {
    const program = await (await start(2, { STUCK: '1' })).up();
    program.child.send('hurry');
    expect(await program.ended).toBe(1);
  });

  it('ends all when five in a row end before they have started', async () => {
    const program = await (await start(2)).up();
    writeFileSync(program.fail, '');
    const [dead, other] = program.pids('started') as [number, number];
    process.kill(dead, 'SIGKILL');
    expect(await program.ended).toBe(1);
    // Of each, then the last.
    expect(program.errors.join('\n').match(/^RangeError: this one fails/gm)).toHaveLength(5);
    expect(program.pids('closed')).toEqual([other]);
  });

  it.each([1, 2])('ends with 1 after a close that fails, of %i worker(s)', async (workers) => {
    const program = await (await start(workers, { BAD: '1' })).up();
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(1);
    expect(program.errors.join('\n')).toContain('RangeError: this close fails');
  });

  it('leaves SIGINT and SIGUSR2 of a group to the primary, with signals: false too', async () => {
    const program = await (await start(2, { SIGNALS: 'off' })).up();
    const workers = program.pids('started');
    for (const pid of workers) process.kill(pid, 'SIGINT');
    for (const pid of workers) process.kill(pid, 'SIGUSR2');
    program.child.send('close');
    expect(await program.ended).toBe(0);
    expect(new Set(program.pids('closed'))).toEqual(new Set(workers));
  });

  it('closes during a replacement, without an error', async () => {
    const program = await (await start(2, { SLOW: '300' })).up();
    program.child.kill('SIGUSR2');
    await expect.poll(() => program.pids('starting').length).toBeGreaterThan(2);
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
    expect(program.errors).toEqual([]);
  });

  it('B6 closes at once during a replacement, although clients never answer', async () => {
    const program = await (await start(2)).up();
    for (let i = 0; i < 4; i++) await silentClient(program.port);
    program.child.send('replace');
    await expect.poll(() => program.pids('closing')).toHaveLength(1);
    // Otherwise 5 s later a worker ends with 1, which the primary passes on.
    program.child.send('hurry');
    expect(await program.ended).toBe(0);
    expect(new Set(program.pids('closed'))).toEqual(new Set(program.pids('started')));
  });

  it('B6-5 ends the connection that a worker has not accepted when it dies', async () => {
    const program = await (await start(2)).up();
    const [dead] = program.pids('started') as [number];
    const descriptors = (): number => readdirSync(`/proc/${program.child.pid}/fd`).length;
    const before = existsSync('/proc/self/fd') ? descriptors() : undefined;
    process.kill(dead, 'SIGSTOP');
    const clients = Array.from({ length: 6 }, () => connect(program.port, '127.0.0.1'));
    whenOver(() => {
      for (const client of clients) client.destroy();
    });
    const ended: Socket[] = [];
    for (const client of clients) {
      client
        .resume()
        .on('error', () => {})
        .on('close', () => void ended.push(client));
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    }
    // The other worker answers all but the one that the stopped worker has got.
    const answered = (): Socket[] => clients.filter(({ bytesRead }) => bytesRead > 0);
    await expect.poll(() => answered().length).toBe(5);
    process.kill(dead, 'SIGKILL');
    const [waits] = clients.filter((client) => !answered().includes(client));
    await expect.poll(() => ended).toContain(waits);
    await expect.poll(() => program.pids('up').length).toBe(4);
    if (before !== undefined) await expect.poll(descriptors).toBe(before);
  });

  it('replaces a worker that starts when SIGUSR2 arrives', async () => {
    const program = await (await start(2, { SLOW: '1000' })).up();
    const [dead, other] = program.pids('started') as [number, number];
    process.kill(dead, 'SIGKILL');
    await expect.poll(() => program.pids('starting').length).toBe(3);
    program.child.send('replace');
    expect(await once(program.child, 'message')).toEqual(['replaced', undefined]);
    const early = program.pids('starting')[2]!;
    expect([dead, other, early].some(lives)).toBe(false);
    expect(program.pids('starting').filter(lives)).toHaveLength(2);
  });

  it('has as many workers as before when an old one dies during its replacement', async () => {
    const program = await (await start(2, { SLOW: '2500' })).up();
    const [first] = program.pids('started') as [number];
    program.child.send('replace');
    await expect.poll(() => program.pids('starting').length).toBe(3);
    process.kill(first, 'SIGKILL');
    expect(await once(program.child, 'message')).toEqual(['replaced', undefined]);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(program.pids('starting').filter(lives)).toHaveLength(2);
  });

  it('gives new clients to the other workers while one is replaced', async () => {
    const program = await (await start(2)).up();
    // So many that some of them keep the first worker closing for nearly its 10 s.
    const crowd = await Promise.all(
      Array.from({ length: 60 }, () => dial(`ws://127.0.0.1:${program.port}`)),
    );
    program.child.kill('SIGUSR2');
    await expect.poll(() => program.pids('closing').length).toBe(1);
    let refused = 0;
    for (let i = 0; i < 20; i++) {
      const conn = await dial(`ws://127.0.0.1:${program.port}`);
      const open = new Promise<string>((resolve) => setTimeout(() => resolve('open'), 50));
      if ((await Promise.race([conn.closed, open])) !== 'open') refused++;
      conn.terminate();
    }
    // One for each worker that closes: on a busy machine the second one does so before the last dial.
    expect(refused).toBeLessThanOrEqual(program.pids('closing').length);
    for (const conn of crowd) conn.terminate();
  });

  it('keeps the old worker when a new one does not start', async () => {
    const program = await (await start(2)).up();
    writeFileSync(program.fail, '');
    program.child.send('replace');
    expect(await once(program.child, 'message')).toEqual(['RangeError: this one fails', undefined]);
    expect(program.pids('started').every(lives)).toBe(true);
    rmSync(program.fail);
    program.child.send('replace');
    expect(await once(program.child, 'message')).toEqual(['replaced', undefined]);
    expect(program.pids('started').map(lives)).toEqual([false, false, true, true]);
  });

  it('replaces the workers on SIGUSR2, and no client misses a message', async () => {
    const program = await (await start(2)).up();
    const old = program.pids('started');
    const clients = await meet(program.port, 20);
    const sent: string[] = [];
    const sending: Promise<void>[] = [];
    const timer = setInterval(() => {
      const text = `${sending.length}`;
      const { rooms } = clients[sending.length % clients.length]!;
      sending.push(
        rooms.publish('chat/a', text, { timeout: false }).then(() => void sent.push(text)),
      );
    }, 10);
    program.child.kill('SIGUSR2');
    await expect.poll(() => old.some(lives), { timeout: 60_000 }).toBe(false);
    await expect.poll(() => program.pids('up').length).toBe(5);
    clearInterval(timer);
    await Promise.all(sending);
    for (const { got } of clients) {
      await expect.poll(() => sent.filter((text) => !got.includes(text))).toEqual([]);
      expect(got).not.toContain('gap');
      const counted = got.filter((text) => text !== 'first');
      expect(new Set(counted).size).toBe(counted.length);
    }
    // The order of their first lines is not that of their forks.
    const closing = program.lines.filter((line) => line.startsWith('closing'));
    expect(closing.toSorted()).toEqual(
      old.map((pid) => `closing ${pid} {"over":10000}`).toSorted(),
    );
  });
});

describe('clusterBackplane', () => {
  it('lets a process without a broker end after a hub has closed', async () => {
    const script = `
      import { Hub } from '@ws/hub';
      import { clusterBackplane } from '@ws/hub/cluster';
      await new Hub({ backplane: clusterBackplane() }).close();`;
    const child = spawn(process.execPath, [...LOADER, '--input-type=module', '-e', script], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

/** A client that never answers a close frame. */
async function silentClient(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  whenOver(() => socket.destroy());
  const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
  const key = `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`;
  socket.on('error', () => {});
  socket.write(['GET / HTTP/1.1', 'Host: x', ...upgrade, key, '', ''].join('\r\n'));
  await once(socket, 'data');
  socket.pause();
}

/** A member may publish. */
async function publish(rooms: ReturnType<typeof visit>['rooms'], text: string): Promise<void> {
  await expect
    .poll(() =>
      rooms.publish('chat/a', text).then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
}
