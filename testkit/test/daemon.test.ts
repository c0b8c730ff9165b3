import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { findDaemon, lacksDaemon, startDaemon } from '@ws/testkit';
import { describe, expect, it, vi } from 'vitest';

/** A daemon that everybody has: it says its ports to whoever connects. */
const SPEAKER = `
const [, ...ports] = process.argv;
for (const port of ports) {
  require('node:net').createServer((socket) => socket.end(port).on('error', () => {}))
    .listen(Number(port), '127.0.0.1');
}
console.log('pid', process.pid, 'uid', process.getuid());
`;

const speaker = { command: 'node', files: () => ({ 'main.cjs': SPEAKER }) };

describe('startDaemon', () => {
  it('resolves when it accepts on all its ports, unprivileged, and leaves nothing behind', async () => {
    const daemon = await startDaemon({
      ...speaker,
      ports: 2,
      args: ({ folder, ports }) => ['-e', `require('${folder}/main.cjs')`, ...ports.map(String)],
    });
    expect(new Set(daemon.ports).size).toBe(2);
    expect(daemon.ports[0]).toBe(daemon.port);
    for (const port of daemon.ports) {
      expect(await text(connect(port, '127.0.0.1'))).toBe(String(port));
    }
    expect(daemon.output()).toMatch(/uid (?!0\n)/);
    await daemon.close();
    await daemon.close();
    expect(existsSync(daemon.folder)).toBe(false);
    expect(daemon.process.signalCode).toBe('SIGTERM');
    expect(process.listeners('exit').map(({ name }) => name)).not.toContain('killAll');
  });

  it('takes other ports when somebody else has bound the first', async () => {
    const thief = createServer();
    let tried = 0;
    const daemon = await startDaemon({
      ...speaker,
      args: ({ folder, port }) => {
        tried++;
        // Its port is taken between the choice and its bind; what accepts there is not the daemon.
        if (tried === 1) thief.listen(port, '127.0.0.1');
        const first = tried === 1 ? 'setInterval(() => {}, 1000)' : `require('${folder}/main.cjs')`;
        return ['-e', first, String(port)];
      },
    });
    expect(tried).toBe(2);
    expect(daemon.port).not.toBe((thief.address() as AddressInfo).port);
    thief.close();
    await daemon.close();
  });

  it('says what a daemon printed that does not come up', async () => {
    await expect(
      startDaemon({ command: 'node', args: () => ['-e', 'throw new Error("no such directive")'] }),
    ).rejects.toThrow(/^node: it ended instead of listening\n[^]*no such directive/);
  });

  it('gives a daemon up that stays deaf, at the first attempt', async () => {
    let tried = 0;
    const deaf = startDaemon({
      command: 'node',
      args: () => {
        tried++;
        return ['-e', 'console.log("busy elsewhere"); setInterval(() => {}, 1000)'];
      },
    });
    await expect(deaf).rejects.toThrow('node: it does not accept\nbusy elsewhere');
    expect(tried).toBe(1);
  }, 30_000);

  it('kills a daemon that does not end', async () => {
    const daemon = await startDaemon({
      ...speaker,
      args: ({ folder, port }) => [
        '-e',
        `process.on('SIGTERM', () => {}); require('${folder}/main.cjs')`,
        String(port),
      ],
    });
    await daemon.close();
    expect(daemon.process.signalCode).toBe('SIGKILL');
  });

  it('ends a daemon with the process that started it', async () => {
    const code = `
      import { startDaemon } from '@ws/testkit';
      const daemon = await startDaemon({
        command: 'node',
        files: () => ({ 'main.cjs': ${JSON.stringify(SPEAKER)} }),
        args: ({ folder, port }) => ['-e', \`require('\${folder}/main.cjs')\`, String(port)],
      });
      console.log(JSON.stringify([daemon.port, daemon.folder]));
      process.exit(0);
    `;
    const args = ['--conditions=@ws/source', '--import', 'tsx', '--input-type=module', '-e', code];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    const [port, folder] = JSON.parse(line) as [number, string];
    await vi.waitUntil(() => refuses(port), 5_000);
    expect(existsSync(folder)).toBe(false);
  }, 30_000);

  it('names a program that is not there', async () => {
    await expect(startDaemon({ command: 'ws-no-such-daemon', args: () => [] })).rejects.toThrow(
      'ws-no-such-daemon: not found; .ci/run installs it',
    );
  });
});

describe('lacksDaemon', () => {
  it('skips with a reason what is missing, and never with CI set', () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => {});
    try {
      vi.stubEnv('CI', '');
      expect(lacksDaemon('node')).toBe(false);
      expect(print).not.toHaveBeenCalled();
      expect(lacksDaemon('node', 'ws-no-such-daemon')).toBe(true);
      expect(print).toHaveBeenCalledWith(
        'skipped: what needs ws-no-such-daemon; .ci/run installs it',
      );
      vi.stubEnv('CI', '1');
      expect(lacksDaemon('ws-no-such-daemon')).toBe(false);
    } finally {
      vi.unstubAllEnvs();
      print.mockRestore();
    }
  });
});

describe('findDaemon', () => {
  it('gives the path of a program that can be run', () => {
    expect(findDaemon('node')).toMatch(/\/node$/);
    expect(findDaemon('ws-no-such-daemon')).toBeUndefined();
  });
});

function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}
