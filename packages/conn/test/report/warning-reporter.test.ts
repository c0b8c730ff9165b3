import { FakePlatform } from '@ws/tests';
import { beforeEach, describe, expect, it } from 'vitest';
import { TransportError } from '../../src/index.ts';
import { WarningReporter, warningsOf } from '../../src/report/report.ts';

let platform: FakePlatform;
let reporter: WarningReporter;
beforeEach(() => {
  platform = new FakePlatform();
  reporter = new WarningReporter(platform);
});

/** The first lines of the warnings since the last call. */
const takeTitles = (): string[] =>
  platform.warnings.splice(0).map((text) => text.split('\n', 1)[0]!);
const failure = (message: string): Error => new Error(message);

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe('WarningReporter.report', () => {
  it('prints name, code, message and stack', () => {
    reporter.report(Object.assign(new TypeError('mine'), { code: 'E_MINE' }));
    const [title, frame] = platform.warnings[0]!.split('\n');
    expect(title).toBe('TypeError [E_MINE]: mine');
    expect(frame).toMatch(/^ {4}at .*warning-reporter\.test\.ts/);
  });

  it('prints a dial that failed in one line', () => {
    const error = new TransportError('refused', { cause: new Error('ECONNREFUSED') });
    reporter.report(error, { where: 'dial' });
    expect(platform.warnings).toEqual([
      'TransportError [WS_ERR_TRANSPORT]: websocket: refused. In dial; later dials that fail are not reported, see retry. The option report gets such errors.',
    ]);
  });

  it('prints the stack of a function that a dial has called', () => {
    reporter.report(new TypeError('mine'), { where: 'dial' });
    expect(platform.warnings[0]).toMatch(/^TypeError: mine\n {4}at /);
  });

  it('prints the cause', () => {
    reporter.report(new Error('outer', { cause: new RangeError('inner') }));
    reporter.report(new Error('another', { cause: 'a string' }));
    const [first, second] = platform.warnings;
    expect(first).toMatch(/^Error: outer\n {4}at [^]*\nCause: RangeError: inner\n {4}at /);
    expect(second).toMatch(/\nCause: a string$/);
  });

  it('prints one error of a kind a second, and the next warning has their number', async () => {
    for (let i = 0; i < 2_000; i++) reporter.report(failure(`message ${i}`));
    expect(takeTitles()).toEqual(['Error: message 0']);
    await platform.advance(999);
    reporter.report(failure('late'));
    expect(takeTitles()).toEqual([]);
    await platform.advance(1);
    reporter.report(failure('again'));
    expect(takeTitles()).toEqual(['Error: again (errors not printed before it: 2000)']);
    await platform.advance(1_000);
    reporter.report(failure('last'));
    expect(takeTitles()).toEqual(['Error: last']);
  });

  it('prints errors of different classes and lines at once', () => {
    reporter.report(new Error('a line'));
    reporter.report(new Error('another line'));
    reporter.report('a string');
    expect(takeTitles()).toHaveLength(3);
  });

  it('prints at most 100 kinds a second', async () => {
    const reportMany = (first: number): void => {
      for (let i = first; i < first + 5_000; i++) {
        reporter.report(Object.assign(failure('mine'), { code: `E${i}` }));
      }
    };
    reportMany(0);
    expect(takeTitles()).toHaveLength(100);
    await platform.advance(2_000);
    reportMany(5_000);
    expect(takeTitles()).toHaveLength(100);
  });

  it('escapes control characters, and cuts long text', () => {
    const hostile = '\u001b]0;owned\u0007\u001b[2J\n(node:1) forged\u202e\u009b';
    const error = new Error(hostile, { cause: hostile });
    Object.assign(error, { name: `Evil${hostile}`, code: hostile });
    reporter.report(error);
    reporter.report(hostile);
    reporter.report({ hostile });
    reporter.report(new RangeError('x'.repeat(1_000_000)));
    expect(platform.warnings).toHaveLength(4);
    for (const text of platform.warnings) {
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(text).not.toMatch(/^\(node:1\) forged/m);
      expect(text.length).toBeLessThan(10_000);
    }
    expect(platform.warnings[0]).toContain(String.raw`\u001b]0;owned\u0007`);
  });

  it('survives an error whose getters throw', () => {
    const error = new Error('mine');
    const fails = {
      get: () => {
        throw new Error('of a getter');
      },
    };
    const all = { stack: fails, message: fails, name: fails, code: fails, cause: fails };
    reporter.report(Object.defineProperties(error, all));
    expect(takeTitles()).toEqual(['Error: ']);
  });

  it.each([
    { says: 'undefined', thrown: undefined, text: 'undefined' },
    { says: 'a symbol', thrown: Symbol('mine'), text: 'Symbol(mine)' },
    { says: 'an object', thrown: { a: 1 }, text: 'Object {"a":1}' },
    { says: 'no prototype', thrown: Object.create(null), text: 'Object {}' },
    { says: 'a BigInt in an object', thrown: { a: 1n }, text: '[object Object]' },
  ])('prints a value that is no error: $says', ({ thrown, text }) => {
    reporter.report(thrown);
    expect(platform.warnings).toEqual([text]);
  });

  const broken = (): never => {
    throw new Error('of a trap');
  };
  const traps = new Proxy<ProxyHandler<object>>({}, { get: () => broken });
  const hostile = new Proxy(new Error('mine'), traps);
  const unprintable = 'a value that cannot be printed';

  it.each([
    { says: 'a Proxy whose traps throw', thrown: hostile, text: unprintable },
    { says: 'a revoked Proxy', thrown: revoked(), text: unprintable },
    {
      says: 'a toStringTag that throws',
      thrown: Object.defineProperty({}, Symbol.toStringTag, { get: broken }),
      text: 'object {}',
    },
    {
      says: 'a function whose toString throws',
      thrown: Object.assign(() => {}, { toString: broken }),
      text: '[object Function]',
    },
  ])('prints a fallback for $says', ({ thrown, text }) => {
    expect(() => reporter.report(thrown)).not.toThrow();
    expect(platform.warnings).toEqual([text]);
  });

  it('prints a fallback for a cause whose traps throw', () => {
    reporter.report(new Error('mine', { cause: hostile }));
    expect(platform.warnings[0]).toMatch(new RegExp(`^Error: mine\n[^]*\nCause: ${unprintable}$`));
  });

  it('says where the error comes from, what follows and what to do', () => {
    const conn = { role: 'server', subprotocol: '', localAddr: 'a:1', remoteAddr: 'b:2' } as const;
    reporter.report(failure('mine'), { conn, where: 'receive' });
    reporter.report(new Error('other'), { where: 'writeBufferPool' });
    expect(platform.warnings.map((text) => text.split('\n').at(-1))).toEqual([
      'In receive, connection to the client b:2; an open connection closes with 1011. The option report gets such errors.',
      'In writeBufferPool. The option report gets such errors.',
    ]);
  });

  it('prints again when a clock was replaced', () => {
    platform.now = () => 5_000;
    reporter.report(failure('first'));
    platform.now = () => 0;
    reporter.report(failure('later'));
    expect(takeTitles()).toEqual(['Error: first', 'Error: later']);
  });

  it('ignores a platform that cannot print', () => {
    platform.warn = () => {
      throw new Error('no console');
    };
    expect(() => reporter.report(failure('mine'))).not.toThrow();
  });
});

describe('warningsOf', () => {
  it('is the same for platforms with the same base', () => {
    const extended = Object.create(platform, { base: { value: platform } });
    expect(warningsOf(extended)).toBe(warningsOf(platform));
  });
});
