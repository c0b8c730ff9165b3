import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generate } from '../obs-types.ts';

const root = join(import.meta.dirname, '../../packages/obs');

describe('the generated types of @ws/obs', () => {
  it.each(Object.entries(generate()))('%s is what tools/obs-types.ts writes', (path, text) => {
    expect(readFileSync(join(root, path), 'utf8')).toBe(text);
  });
});
