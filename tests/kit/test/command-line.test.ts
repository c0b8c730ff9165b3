import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { commandLine } from '../command-line.ts';

const OPTIONS = {
  rounds: { type: 'string', default: '1e3' },
  minutes: { type: 'string', default: '0.5' },
} as const;

describe('commandLine', () => {
  let printed: string[];
  beforeEach(() => {
    printed = [];
    const print = (text: unknown): void => void printed.push(String(text));
    vi.spyOn(console, 'log').mockImplementation(print);
    vi.spyOn(console, 'error').mockImplementation(print);
    vi.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`exit ${code}`);
    });
  });
  afterEach(() => void vi.restoreAllMocks());

  it('reads numbers, and minutes with a fraction', () => {
    const { number, values } = commandLine('usage', OPTIONS, ['--rounds', '7']);
    expect([number('rounds'), number('minutes'), values.rounds]).toEqual([7, 0.5, '7']);
    expect(commandLine('usage', OPTIONS, []).number('rounds')).toBe(1000);
  });

  it.each(['x', '', ' ', '-1', '1.5', '0x10', 'Infinity', '1e400', '9007199254740993', '0'])(
    'ends with 2 and the usage for the number %j',
    (text) => {
      const { number } = commandLine('usage', OPTIONS, [`--rounds=${text}`]);
      expect(() => number('rounds', 1)).toThrow('exit 2');
      expect(printed).toEqual([`--rounds: not a valid number: ${text}\n\nusage`]);
    },
  );

  it('ends with 2 and the usage for an unknown option', () => {
    expect(() => commandLine('usage', OPTIONS, ['--nope'])).toThrow('exit 2');
    expect(printed.join()).toMatch(/Unknown option '--nope'[^]*\n\nusage$/);
  });

  it('prints the usage with --help', () => {
    expect(() => commandLine('usage', OPTIONS, ['--help'])).toThrow('exit 0');
    expect(printed).toEqual(['usage']);
  });
});
