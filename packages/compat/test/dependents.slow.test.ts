import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from '../src/index.ts';
import { programs, sameWithWs } from './dependents/compare.ts';

const folder = join(import.meta.dirname, '..');

/** Packages around ws, each with a program over its public API. */
const DEPENDENTS = ['engine.io', 'socket.io', 'graphql-ws', 'y-websocket', 'fastify-websocket'];

describe('a loader', () => {
  test.each([
    ['with ES modules in require', []],
    ['without them, as that of Jest', ['--no-experimental-require-module']],
  ])('%s gives one class by require and import', async (_name, flags) => {
    const program = `
      const required = require('@ws/compat');
      import('@ws/compat').then((imported) => {
        const { default: main, WebSocket, WebSocketServer } = imported;
        const server = new required.Server({ noServer: true });
        const same = main === required && WebSocket === required.WebSocket;
        console.log(same && server instanceof WebSocketServer);
      });`;
    const options = { cwd: folder };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...flags, '-e', program],
      options,
    );
    expect(stdout.trim()).toBe('true');
  });
});

describe('a process that exits', () => {
  test('sends the messages of its last turn', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const program = `
      const WebSocket = require('./dist/index.cjs');
      const ws = new WebSocket('ws://127.0.0.1:${port}');
      ws.on('open', () => {
        ws.send('last words');
        process.exit();
      });`;
    const connected = once(server, 'connection');
    const child = execFile(process.execPath, ['-e', program], { cwd: folder });
    const [ws] = (await connected) as [WebSocket];
    const [data] = await once(ws, 'message');
    expect(String(data)).toBe('last words');
    if (child.exitCode === null) await once(child, 'exit');
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('a package with ws swapped', () => {
  test.each(DEPENDENTS)('%s does what it does with ws', async (name) => {
    await sameWithWs(join(programs, `${name}.mjs`));
  });
});
