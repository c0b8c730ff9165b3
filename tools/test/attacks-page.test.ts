import { describe, expect, it } from 'vitest';
import { atLeast, atMost, KIB, lowestAtMost } from '../../tests/attacks/harness/bounds.ts';
import { attacksPage, boundText } from '../check/attacks-page.ts';

describe('boundText', () => {
  it('names every figure with its limit', () => {
    const bound = {
      attack: 'a flood',
      source: 'RFC 6455, 5.2',
      close: 1002,
      bytesInTurn: atMost(262_144),
      runs: atLeast(1_000_000),
      each: lowestAtMost(0.001),
      end: 'a <b>',
      body: '',
    };
    expect(boundText(bound)).toBe(
      'close 1002; bytes in turn ≤ 262,144; runs ≥ 1,000,000; each ≤ 0.001; end “a &lt;b>”; body none',
    );
  });

  it('lists memory only for an attack with its own bound', () => {
    expect(boundText({ attack: 'a' })).toBe('');
    expect(boundText({ attack: 'a', memory: 64 * KIB, memoryPerByte: 2 })).toBe(
      'memory ≤ 64 KiB + 2 x bytes received',
    );
    expect(boundText({ attack: 'a', memory: 1_000 })).toBe('memory ≤ 1000 bytes');
  });
});

describe('attacksPage', () => {
  it('has a section for each file, keeps the order within it, and writes equal lines once', () => {
    const attack = (name: string, file: string, more = {}) => ({
      file: `x/${file}.test.ts`,
      bound: { attack: name, ...more },
    });
    const page = attacksPage([
      attack('c', 'z'),
      attack('b', 'y', { close: 1002, source: 'RFC 6455, 5.2' }),
      attack('a', 'y', { source: 'CWE-20' }),
      attack('b', 'y', { close: 1002, source: 'RFC 6455, 5.2' }),
    ]);
    expect(page.slice(page.indexOf('\n## '))).toBe(
      '\n## [y](../x/y.test.ts)\n\n- b: close 1002 (RFC 6455, 5.2)\n- a (CWE-20)\n' +
        '\n## [z](../x/z.test.ts)\n\n- c\n',
    );
  });
});
