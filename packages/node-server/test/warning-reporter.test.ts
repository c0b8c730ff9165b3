import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WarningReporter } from '../src/warning-reporter.ts';

const calls: [message: string, options?: object][] = [];

/** The warnings of the process since the last call. */
function takeWarnings(): { message: string; type?: string; detail?: string; code?: string }[] {
  return calls.splice(0).map(([message, options]) => ({ message, ...options }));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(process, 'emitWarning').mockImplementation(((...args: [string, object?]) => {
    calls.push(args);
  }) as typeof process.emitWarning);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const failure = (message: string): Error => new Error(message);

describe('WarningReporter.report', () => {
  it('prints name, message, code and stack', () => {
    const error = Object.assign(new TypeError('mine'), { code: 'E_MINE' });
    new WarningReporter().report(error);
    const [warning] = takeWarnings();
    expect(warning).toMatchObject({ message: 'mine', type: 'TypeError', code: 'E_MINE' });
    expect(warning!.detail).toMatch(/^ {4}at .*warning-reporter\.test\.ts/);
  });

  it('prints one error of a kind a second, then their number', () => {
    const { report } = new WarningReporter();
    for (let i = 0; i < 2_000; i++) report(failure(`message ${i}`));
    expect(takeWarnings().map(({ message }) => message)).toEqual(['message 0']);
    vi.advanceTimersByTime(999);
    expect(takeWarnings()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(takeWarnings()[0]!.message).toBe('message 1999 (1999 of this kind within 1000 ms)');
    vi.advanceTimersByTime(1_000);
    expect(takeWarnings()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    report(failure('again'));
    expect(takeWarnings().map(({ message }) => message)).toEqual(['again']);
  });

  it('prints errors of different classes and lines at once', () => {
    const { report } = new WarningReporter();
    report(new Error('a line'));
    report(new Error('another line'));
    report('a string');
    expect(takeWarnings()).toHaveLength(3);
  });

  it('keeps at most 101 kinds', () => {
    const { report } = new WarningReporter();
    for (let i = 0; i < 5_000; i++) report(Object.assign(failure('mine'), { code: `E${i}` }));
    expect(takeWarnings()).toHaveLength(101);
    expect(vi.getTimerCount()).toBe(101);
  });

  it('escapes control characters, and cuts long text', () => {
    const { report } = new WarningReporter();
    const hostile = '\u001b]0;owned\u0007\u001b[2J\n(node:1) forged\u202e\u009b';
    const error = new Error(hostile);
    Object.assign(error, { name: `Evil${hostile}`, code: hostile });
    report(error);
    report(hostile);
    report({ hostile });
    report(new RangeError('x'.repeat(1_000_000)));
    const warnings = takeWarnings();
    expect(warnings).toHaveLength(4);
    for (const { message, type = '', code = '', detail = '' } of warnings) {
      expect(`${message}${type}${code}`).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(detail.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(detail).not.toContain('forged');
      expect(message.length).toBeLessThan(2_100);
    }
    expect(warnings[0]!.message).toContain('\\u{1b}]0;owned\\u{7}');
  });

  it('survives an error whose getters throw', () => {
    const error = new Error('mine');
    const fails = {
      get: () => {
        throw new Error('of a getter');
      },
    };
    Object.defineProperties(error, { stack: fails, message: fails, name: fails, code: fails });
    new WarningReporter().report(error);
    expect(takeWarnings()).toHaveLength(1);
  });
});
