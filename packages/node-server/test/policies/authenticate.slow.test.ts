import { execFile } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

describe('authenticate or checkOrigin that forgets its return', () => {
  it('is reported once in a process', async () => {
    const program = `
      import { serve } from '@ws/node-server';
      import { dial } from '@ws/node-client';
      const results = [undefined, undefined];
      const options = results.map((result) => ({ authenticate: () => result }));
      for (const option of [...options, { checkOrigin() {} }]) {
        const server = await serve({ host: '127.0.0.1', ...option, report: log }, () => {});
        for (let j = 0; j < 2; j++) await dial(server.url).catch(() => {});
        await server.close();
      }
      function log({ message }, { where }) {
        console.log(where, message);
      }`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      ...LOADER,
      '--input-type=module',
      '-e',
      program,
    ]);
    // NODE_DEBUG=ws is off by default.
    expect(stderr).not.toContain('WS ');
    expect(stdout).toBe(
      [
        'authenticate authenticate returned undefined, which refuses with 401; return true to admit without data, false to refuse (reported once)\n',
        'checkOrigin checkOrigin returned undefined, which refuses with 403; return true to admit, false to refuse (reported once)\n',
      ].join(''),
    );
  });
});
