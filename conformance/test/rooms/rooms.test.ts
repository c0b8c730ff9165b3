import { readFileSync } from 'node:fs';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { run } from '../run-command.ts';
import { startTableServer } from './table-server.ts';

interface Cases {
  readonly [role: string]: readonly { readonly id: string; readonly steps: readonly object[] }[];
}

const jsonOf = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'));

describe('ws-conform rooms', () => {
  it('101.3 passes our server in every case', async () => {
    const { server, hub } = await startTableServer();
    const { code, out } = await run('rooms', server.url);
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d+ cases: \d+ passed, 0 failed/)]);
    await hub.close();
    await server.close();
  });

  it('101.3 fails a server that only echoes, and shows what came', async () => {
    const server = await serve({ port: 0 }, (conn) => conn.receive((m) => conn.send(m)));
    const { code, out } = await run('rooms', server.url, '--only', 'hello.1');
    expect(code).toBe(1);
    expect(out).toContain('FAIL hello.1 a hello is answered with wire, version and accepts');
    expect(out).toContain('but: received {"jsonrpc":"2.0","id":"$/hello","result":{"wire":1}}');
    expect(out).toContain('1 cases: 0 passed, 1 failed, 0 skipped');
    await server.close();
  });

  it('101.3 fails a command that prints something else, and one that does not start', async () => {
    const talks = `process.stdin.on('data', () => console.log('{}'))`;
    const node = [process.execPath, '-e', `${talks}; setTimeout(() => process.exit(7), 100)`];
    const { code, out } = await run('rooms', '--client', '--only', 'hello.1', '--', ...node);
    expect([code, out]).toEqual([1, expect.stringContaining('the client has exited with 7')]);
    const none = await run('rooms', '--client', '--only', 'hello.1', '--', './no-such-client');
    expect([none.code, none.out]).toEqual([1, expect.stringContaining('ENOENT')]);
  });

  it('101.3 has cases of known steps, each with an id of its own', () => {
    const { server, client } = jsonOf('rooms.json') as Cases;
    const schema = jsonOf('rooms.schema.json') as {
      $defs: { step: { properties: object } };
    };
    const known = Object.keys(schema.$defs.step.properties);
    for (const cases of [server!, client!]) {
      const names = cases.flatMap(({ steps }) => steps.flatMap((step) => Object.keys(step)));
      expect(names.filter((name) => !known.includes(name))).toEqual([]);
      expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    }
    expect([server!.length, client!.length]).toEqual([92, 71]);
  });
});
