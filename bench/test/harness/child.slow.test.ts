import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const module = new URL('../../src/harness/child.ts', import.meta.url);

/** Works without a turn of the event loop, so it does not notice that its parent has exited. */
const SCRIPT = `
  import { writeSync } from 'node:fs';
  import { answer } from ${JSON.stringify(module.href)};
  answer({
    work: () => {
      writeSync(1, 'works');
      const end = performance.now() + 300;
      while (performance.now() < end);
    },
  });
  writeSync(1, 'ready');
`;

describe('answer', () => {
  it('ends without a message when the parent exits during its work', async () => {
    const tsx = import.meta.resolve('tsx');
    const args = ['--import', tsx, '--input-type=module', '--eval', SCRIPT];
    const child = spawn(process.execPath, args, {
      cwd: fileURLToPath(new URL('.', module)),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    let printed = '';
    child.stderr!.on('data', (chunk) => (printed += String(chunk)));
    await once(child.stdout!, 'data');
    child.send({ id: 0, name: 'work', argument: undefined });
    await once(child.stdout!, 'data');
    child.disconnect();
    const [[code]] = await Promise.all([once(child, 'exit'), once(child.stderr!, 'close')]);
    expect([code, printed]).toEqual([0, '']);
  });
});
