import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Diagnostics, Dialer } from '../src/index.ts';
import { rawServer, says } from './servers.ts';

/** The events of a channel that are about this URL. Other test files share this process, and may dial. */
function heard<Name extends '@ws:dial' | '@ws:dial:fail'>(
  name: Name,
  about: string,
): Diagnostics[Name][] {
  const events: Diagnostics[Name][] = [];
  const listener = (event: unknown): void => {
    const dialed = event as Diagnostics[Name];
    if (dialed.url.startsWith(about)) events.push(dialed);
  };
  subscribe(name, listener);
  onTestFinished(() => void unsubscribe(name, listener));
  return events;
}

describe('@ws:dial and @ws:dial:fail', () => {
  it('publish the beginning of a dial and its failure', async () => {
    const { url } = await rawServer(says('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'));
    const dials = heard('@ws:dial', url);
    const fails = heard('@ws:dial:fail', url);
    const error: unknown = await new Dialer()
      .dial(`${url}?token=x`)
      .catch((reason: unknown) => reason);
    expect(dials).toEqual([{ url: expect.stringMatching(/^ws:.*\?token=x$/) }]);
    expect(fails).toEqual([{ url: dials[0]!.url, error }]);
  });

  it('publish nothing for a bad option', async () => {
    const dials = heard('@ws:dial', 'ws://h/');
    await expect(new Dialer().dial('ws://h/', { zap: 1 } as never)).rejects.toThrow(TypeError);
    expect(dials).toEqual([]);
  });
});

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
    const args = ['--conditions=@ws/source', '--import=tsx', '--input-type=module', '-e', program];
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
