import { afterEach, describe, expect, it, vi } from 'vitest';
import { runCli } from '../../src/command-line/run.ts';

const NAMES = 'compare client handshakes memory stream deflate codec micro hub load serve'.split(
  ' ',
);

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  });
  return { code, out, err };
}

afterEach(() => vi.unstubAllEnvs());

describe('runCli', () => {
  it('lists every command', async () => {
    const { code, out } = await run('--help');
    expect(await run('-h')).toEqual({ code, out, err: '' });
    expect(code).toBe(0);
    for (const name of NAMES) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    // Tools of a checkout, which the package does not have.
    expect(out).not.toMatch(/^ {2}(?:record|charts) /m);
  });

  it('prints the list to stderr without a command', async () => {
    const { code, out, err } = await run();
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('usage: ws-bench <command>');
  });

  it.each(NAMES)('prints the help of %s and runs nothing', async (name) => {
    for (const args of [
      [name, '--help'],
      ['--help', name],
      [name, '-h'],
    ]) {
      const { code, out, err } = await run(...args);
      expect([code, err]).toEqual([0, '']);
      expect(out).toContain(`usage: ws-bench ${name}`);
    }
  });

  it.each([
    [['lode'], "there is no command 'lode'"],
    [['load'], 'expected a <url>; see --help'],
    [['load', 'ws://a', 'ws://b'], 'unexpected: ws://b; see --help'],
    [['load', 'localhost'], "'localhost' is no WebSocket URL"],
    [['load', 'http://a'], 'http:// is another protocol'],
    [['load', 'ftp://a'], 'ftp:// is another protocol'],
    [['load', 'ws://me:secret@a'], "use --header 'Authorization: ...'"],
    [['load', 'ws://a', '--conections', '1'], 'unknown option --conections; see --help'],
    [['load', 'ws://a', '--quick'], 'unknown option --quick'],
    [['load', 'ws://a', '--connections', '0'], '--connections: expected a whole number'],
    [['load', 'ws://a', '--payload', '1GB'], '--payload: expected bytes up to 16MiB'],
    [['load', 'ws://a', '--duration', 'soon'], '--duration: expected a time such as 10s'],
    [['load', 'ws://a', '--rate', '-1'], '--rate'],
    [['load', 'ws://a', '--header', 'x'], "--header: expected 'Name: value', got 'x'"],
    [['load', 'ws://a', '--depth'], '--depth'],
    [['load', 'ws://a', '--json', '/no/such/a'], "--json: '/no/such/a' cannot be written: ENOENT"],
    [['micro', '--html', '/no/such/a'], "--html: '/no/such/a' cannot be written: ENOENT"],
    [
      ['micro', '--json', 'a', '--html', './a'],
      "--json and --html: both are 'a'; give them two files",
    ],
    [['micro', '--html'], '--html'],
    [['compare', '--only', 'nothing'], 'in its name; it has\n  64 x 1 x 16 B\n'],
    [['micro', '--against', '/no/such'], "--against: there is no '/no/such/bench/dist'"],
    [['micro', '--seed', '-1'], '--seed'],
    [['micro', '--seed', 'x'], '--seed: expected a whole number from 0 to 4294967295'],
    [['compare', '--processes', '0'], '--processes: expected a whole number of 1 or more'],
    [['compare', '--bun', '/no/such/bun'], "--bun: '/no/such/bun --version' cannot be run"],
    [['deflate', '--only', 'nothing'], "no contest of deflate has 'nothing' in its name"],
    [['serve', '--port', '65536'], '--port: expected a whole number from 0 to 65535'],
    [['serve', '--server', 'toString'], "--server: expected one of 'receive', 'loop',"],
    [['serve', '--json'], 'unknown option --json'],
  ])('rejects %j', async (args, message) => {
    const { code, out, err } = await run(...args);
    expect([code, out, err]).toEqual([2, '', expect.stringContaining(message)]);
  });

  it.each([
    [['lode'], "there is no command 'lode', did you mean load?\n"],
    [['memroy'], "there is no command 'memroy', did you mean memory?\n"],
    [['hub2'], "there is no command 'hub2', did you mean hub?\n"],
    [['benchmark'], "there is no command 'benchmark'; see --help\n"],
    [['micro', '--rounds', '-1'], "--rounds: expected a number of at least 0, got '-1'\n"],
    [['micro', '--seed'], "Option '--seed <value>' needs a value; see --help\n"],
    [['micro', '--rounds', '--quick'], "Option '--rounds' needs a value; see --help\n"],
  ])('rejects %j in one line', async (args, message) => {
    expect(await run(...args)).toEqual({ code: 2, out: '', err: message });
  });

  it('rejects --history without a writable cache before it measures', async () => {
    // A file is no folder.
    vi.stubEnv('XDG_CACHE_HOME', import.meta.filename);
    const { code, out, err } = await run('micro', '--history');
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^--history: '.*history\.jsonl' cannot be written: ENOTDIR\n$/);
  });
});
