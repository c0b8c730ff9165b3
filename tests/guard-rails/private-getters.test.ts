// V8 calls its runtime for each read of a private getter, which costs 5 ns. Hot files use methods.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const HOT = [
  'codec/src/frames',
  'codec/src/masking',
  'codec/src/memory',
  'conn/src/connection',
  'conn/src/memory',
  'conn/src/read',
  'conn/src/writing',
];

function privateGetters(source: string): string[] {
  return source.match(/\bget #\w+/g) ?? [];
}

describe('the files of a message', () => {
  it.each(HOT)('have no private getter: %s', (folder) => {
    const path = new URL(`../../packages/${folder}/`, import.meta.url);
    const files = readdirSync(path).filter((name) => name.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(0);
    const found = files.flatMap((name) =>
      privateGetters(readFileSync(new URL(name, path), 'utf8')),
    );
    expect(found).toEqual([]);
  });

  it('are searched with a pattern that finds a private getter', () => {
    expect(privateGetters('class A { get #size(): number {} }')).toEqual(['get #size']);
  });
});
