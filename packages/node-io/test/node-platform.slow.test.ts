import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

describe('nodePlatform.overwritesLentBytes', () => {
  it('is true with NODE_DEBUG=ws', () => {
    const program = `
      import { connPair } from '@ws/conn';
      import { nodePlatform } from '@ws/node-io';
      const [client, server] = connPair({ platform: nodePlatform });
      let view;
      void server.receive((message) => { view = message.borrow(); });
      await client.send('borrowed');
      await client.close();
      console.log(view[0] === 0xdd);`;
    const { stdout } = spawnSync(
      process.execPath,
      [...LOADER, '--input-type=module', '-e', program],
      { cwd: import.meta.dirname, env: { ...process.env, NODE_DEBUG: 'ws' }, encoding: 'utf8' },
    );
    expect(stdout.trim()).toBe('true');
  });
});
