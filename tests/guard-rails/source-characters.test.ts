import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const PACKAGES = join(import.meta.dirname, '../../packages');
const LIBRARIES = ['codec', 'conn', 'node-client', 'node-io', 'node-server', 'obs'];

describe.each(LIBRARIES)('the sources of %s', (library) => {
  // V8 stores a file with such a character, also in a comment, as two bytes per character. One in
  // conn took 280 KiB of heap and caused most mark-compacts of an echo of 64 KiB.
  it('have no character above U+00FF', () => {
    const folder = join(PACKAGES, library, 'src');
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('.ts'),
    );
    expect(files.length).toBeGreaterThan(0);
    const wide = files.filter((file) =>
      /[^\0-\u00ff]/.test(readFileSync(join(folder, file), 'utf8')),
    );
    expect(wide).toEqual([]);
  });
});
