import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { dial } from '@ws/node-client';
import { type ConnectOptions, connect, type Obs, type ObsDial } from '@ws/obs';

/** Programs that the start needs. */
export const PROGRAMS: readonly string[] = ['obs', 'Xvfb', 'unshare', 'ip'];

const READY_MS = 40_000;
const POLL_MS = 100;

/** No wizard, no dialog, and the server on. */
const SETTINGS = `[General]
FirstRun=true
EnableAutoUpdates=false

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
AlertsEnabled=false
AuthRequired=true

[Basic]
Profile=Untitled
ProfileDir=Untitled
`;

/** A small video, and outputs that can be paused and replayed. */
function profileOf(folder: string): string {
  return `[General]
Name=Untitled

[Output]
Mode=Simple

[SimpleOutput]
FilePath=${folder}
RecQuality=Small
RecRB=true

[Video]
BaseCX=320
BaseCY=240
OutputCX=320
OutputCY=240
FPSCommon=30
`;
}

/** OBS itself, with a fresh folder of settings. */
export class RealObs {
  readonly password = 'secret';
  readonly folder: string = mkdtempSync(join(tmpdir(), 'ws-obs-'));
  readonly #process: ChildProcess;
  readonly #over: Promise<unknown>;
  #output = '';

  private constructor() {
    const settings = join(this.folder, 'config/obs-studio');
    mkdirSync(settings, { recursive: true });
    writeFileSync(join(settings, 'global.ini'), SETTINGS);
    const profile = join(settings, 'basic/profiles/Untitled');
    mkdirSync(profile, { recursive: true });
    writeFileSync(join(profile, 'basic.ini'), profileOf(this.folder));
    const script = join(import.meta.dirname, 'start-obs.sh');
    const relay = join(import.meta.dirname, 'relay.mjs');
    this.#process = spawn(
      'unshare',
      ['-n', script, this.#socket, this.password, process.execPath, relay],
      // A group of processes: the screen and the relay end with it.
      { cwd: this.folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#over = once(this.#process, 'exit');
    this.#over.catch(() => {});
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /**
   * Starts OBS and waits until its server answers.
   *
   * @throws (rejects) Error with the output of OBS.
   */
  static async start(): Promise<RealObs> {
    const obs = new RealObs();
    const end = performance.now() + READY_MS;
    let last: unknown;
    while (performance.now() < end && obs.#process.exitCode === null) {
      try {
        const client = await obs.connect();
        await client.close();
        return obs;
      } catch (error) {
        last = error;
      }
      // Another process gives no event.
      await sleep(POLL_MS);
    }
    await obs.close();
    throw new Error(`OBS did not start: ${String(last)}\n${obs.#output}`);
  }

  /** Dials through the relay. */
  readonly dial: ObsDial = (_, options) =>
    dial('ws://127.0.0.1:4455', { ...options, netDial: () => connectSocket(this.#socket) });

  connect(options: ConnectOptions = {}): Promise<Obs> {
    return connect('ws://127.0.0.1:4455', { password: this.password, dial: this.dial, ...options });
  }

  /** Listens on a free port of 127.0.0.1, for pages. The caller closes the server. */
  async listen(): Promise<{ readonly url: string; readonly close: () => void }> {
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connectSocket(this.#socket);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        one.on('error', () => other.destroy()).on('close', () => other.destroy());
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close() {
        server.close();
        for (const socket of sockets) socket.destroy();
      },
    };
  }

  /** Ends OBS at once. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  async close(): Promise<void> {
    try {
      process.kill(-this.#process.pid!, 'SIGKILL');
    } catch {
      // The group has ended.
    }
    await this.#over;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  get #socket(): string {
    return join(this.folder, 'obs.sock');
  }
}
