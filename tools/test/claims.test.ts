// What a newcomer found in the pages that was not so: the pages say it no more, and what they say instead is true.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connPair, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const read = (page: string): string => readFileSync(join(root, page), 'utf8');
const words = (page: string): string => read(page).replaceAll(/\s+/g, ' ');

describe('N3 README.md', () => {
  const [, install = ''] = /^## Install$([^]*?)^## /m.exec(read('README.md')) ?? [];

  it('makes a project of modules before its first program runs', () => {
    expect(install).toContain('npm pkg set type=module');
  });

  it('says how to set the cookie, and its page says when it is not logged in', () => {
    expect(words('README.md')).toContain("document.cookie = 'session=4f1c'");
    expect(words('README.md')).toContain('not logged in');
  });
});

describe('N5 SECURITY.md', () => {
  it('says that readJSON checks nothing, which takes no schema', async () => {
    expect(words('SECURITY.md')).toContain('`readJSON` parses, and checks nothing');
    const [conn] = connPair();
    await expect(conn.readJSON({ schema: {} } as object)).rejects.toThrow(TypeError);
  });

  it('says that bytes sent as text are not checked, which the peer does', async () => {
    expect(words('SECURITY.md')).toContain('Bytes that you send as text are not checked');
    const [a, b] = connPair();
    const read = expect(b.readMessage()).rejects.toThrow('UTF-8');
    await a.writeMessage(TextMessage, Uint8Array.of(0xff, 0xfe));
    await read;
    expect((await a.closed).code).toBe(1007);
  });
});

describe('N9 docs/performance.md', () => {
  it('sends nobody to a run that is too short to warm up', () => {
    expect(read('docs/performance.md')).not.toContain('--quick');
  });
});

describe('N18 a page', () => {
  it('names no class of an example as an option', () => {
    expect(words('docs/many-nodes.md')).not.toMatch(/`Attempts`/);
  });

  it('says what to do with the FIN of the other side', () => {
    expect(words('docs/codec.md')).toContain("At the other side's FIN");
  });
});
