import { describe, expect, it } from 'vitest';
import { connectionsFor, openFiles } from '../../src/soak/plan.ts';

describe('the number of connections of a soak', () => {
  it.each([
    { files: 1_024, connections: 409 },
    { files: 20_000, connections: 8_000 },
    { files: 25_000, connections: 10_000 },
    { files: 1_048_576, connections: 10_000 },
    { files: Infinity, connections: 10_000 },
  ])('is $connections where $files files may be open', ({ files, connections }) => {
    expect(connectionsFor(files)).toBe(connections);
  });

  it('comes from a limit that the system tells', () => {
    expect(openFiles()).toBeGreaterThan(0);
  });
});
