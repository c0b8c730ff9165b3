import { execFile } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

describe('NODE_DEBUG=ws', () => {
  /** What a program that uses both ends prints on standard error. */
  async function log(): Promise<string[]> {
    const program = `
      import { dial } from '@ws/node-client';
      import { serve } from '@ws/node-server';
      const server = await serve({ port: 0, host: '127.0.0.1', report() {} }, (conn) => {
        return conn.receive(() => { throw new Error('of the\\nhandler'); });
      });
      const conn = await dial(server.url + '/?token=x');
      void conn.send('x');
      await conn.closed;
      await server.close();
      await dial(server.url).catch(() => {});
    `;
    const args = [...LOADER, '--input-type=module', '-e', program];
    const env = { ...process.env, NODE_DEBUG: 'ws', NODE_NO_WARNINGS: '1' };
    const cwd = new URL('../../node-server', import.meta.url);
    const { stderr } = await promisify(execFile)(process.execPath, args, { env, cwd });
    return stderr.split('\n').filter((line) => line.startsWith('WS '));
  }

  it('logs dials, opens, errors of handlers, closes and failed dials', async () => {
    const lines = (await log()).map((line) =>
      line.replace(/^WS \d+: /, '').replaceAll(/:\d{4,5}\b/g, ':port'),
    );
    expect(lines).toEqual(
      expect.arrayContaining([
        'dial: ws://127.0.0.1:port/?...',
        'open: client 127.0.0.1:port, peer 127.0.0.1:port',
        'open: server 127.0.0.1:port, peer 127.0.0.1:port',
        String.raw`error in receive of server 127.0.0.1:port, peer 127.0.0.1:port: Error: of the\u000ahandler`,
        expect.stringMatching(/^close: client 127.0.0.1:port, peer 127.0.0.1:port: 1011 ""/),
        expect.stringMatching(/^dial failed: ws:.*: TransportError: .*; nothing listens there$/),
      ]),
    );
    expect(lines.join('')).not.toContain('token');
  });
});
