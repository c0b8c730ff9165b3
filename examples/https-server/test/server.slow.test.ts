import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfSigned } from '@ws/tests';
import { exampleEchoes, rejectedExample, STACK } from '@ws/tests/examples';
import { afterAll, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'ws-https-'));
afterAll(() => rmSync(folder, { recursive: true }));

exampleEchoes({
  name: 'https-server',
  path: '/',
  page: 'a page, over TLS',
  missing: 200,
  ca: async () => (await selfSigned()).cert,
  env: async () => {
    const { key, cert } = await selfSigned();
    const files = { TLS_KEY: join(folder, 'key.pem'), TLS_CERT: join(folder, 'cert.pem') };
    writeFileSync(files.TLS_KEY, key);
    writeFileSync(files.TLS_CERT, cert);
    return files;
  },
});

it('reports a missing file', async () => {
  const ended = await rejectedExample('https-server', { TLS_KEY: join(folder, 'none') });
  expect(ended).toMatch(/ENOENT: .*none/);
  expect(ended).not.toMatch(STACK);
});
