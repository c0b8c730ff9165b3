import { execFile } from 'node:child_process';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

/** Node ends a module with this code when its top-level `await` can never settle. */
const UNSETTLED = 13;

/** Runs a module that has `client` and `server`, the ends of a connPair. */
function run(body: string): Promise<{ code: number; printed: string }> {
  const program = `
    import test from 'node:test';
    import { connPair } from '@ws/conn';
    import { nodePlatform } from '@ws/node-io';
    const [client, server] = connPair();
    const print = (error) => console.log(error.name + ': ' + error.message);
    ${body}
  `;
  const args = [...LOADER, '--input-type=module', '-e', program];
  const cwd = new URL('../../../node-io', import.meta.url);
  const env = { ...process.env, NODE_NO_WARNINGS: '1', NODE_TEST_CONTEXT: undefined };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, env }, (error, printed) => {
      resolve({ code: error === null ? 0 : Number(error.code), printed: printed.trim() });
    });
  });
}

const TIMED_OUT = 'TimeoutError: websocket: timed out after 50 ms (option timeout)';

describe('A pending call with a timeout keeps the process alive', () => {
  it.each([
    ['readMessage', TIMED_OUT, 'await server.readMessage({ timeout: 50 }).catch(print);'],
    ['nextReader', TIMED_OUT, 'await server.nextReader({ timeout: 50 }).catch(print);'],
    ['readJSON', TIMED_OUT, 'await server.readJSON({ timeout: 50 }).catch(print);'],
    [
      'readMessage on nodePlatform',
      TIMED_OUT,
      `const [, other] = connPair({ platform: nodePlatform });
       await other.readMessage({ timeout: 50 }).catch(print);`,
    ],
    [
      'ping',
      'TimeoutError: websocket: no pong within 50 ms (option timeout of ping)',
      `server.setPingHandler(() => {});
       await client.ping(undefined, { timeout: 50 }).catch(print);`,
    ],
    [
      'close',
      '1006',
      `server.setCloseHandler(() => new Promise(() => {}));
       console.log((await client.close(1000, '', { timeout: 50 })).code);`,
    ],
    [
      'a second readMessage',
      `${TIMED_OUT}\n${TIMED_OUT}`,
      `await server.readMessage({ timeout: 50 }).catch(print);
       await server.readMessage({ timeout: 50 }).catch(print);`,
    ],
  ])('%s', async (_name, printed, body) => {
    expect(await run(body)).toEqual({ code: 0, printed });
  });

  it('in node:test', async () => {
    const { code, printed } = await run(`
      test('reads', () => server.readMessage({ timeout: 50 }).catch(print));
    `);
    expect(code).toBe(0);
    expect(printed).toContain(TIMED_OUT);
  });
});

describe('The process ends during', () => {
  it.each([
    ['readMessage without a timeout', 'await server.readMessage();'],
    ['ping with the default timeout', 'server.setPingHandler(() => {}); await client.ping();'],
    [
      'close with the option closeTimeout',
      'server.setCloseHandler(() => new Promise(() => {})); await client.close();',
    ],
    [
      'readMessage after another one with a timeout has settled',
      `void client.send('x');
       await server.readMessage({ timeout: 600_000 });
       await server.readMessage();`,
    ],
  ])('%s', async (_name, body) => {
    expect((await run(body)).code).toBe(UNSETTLED);
  });
});
