import { readFileSync } from 'node:fs';
import { Dialer, type DialerOptions } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { clientSuiteCases } from '../../src/index.ts';
import { askClient, differences, type EchoClient } from './ask-client.ts';

/** Timeout of a wait in ms: on a busy machine a large message takes seconds. */
const BUSY = 30_000;

/** A complete client for the suite. */
function echoClient(options: DialerOptions): EchoClient {
  const dialer = new Dialer({ readLimit: 64 * 2 ** 20, closeTimeout: 1000, ...options });
  return async (url) => {
    const conn = await dialer.dial(url);
    await conn.receive((message) => conn.writeMessage(message.type, message.data));
  };
}

describe('the client suite', () => {
  it('has unique ids, at least 500', () => {
    const cases = clientSuiteCases();
    expect(cases.length).toBeGreaterThanOrEqual(500);
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    const titles = cases.map(({ chapter, section, title }) => `${chapter} ${section} ${title}`);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
    for (const { section, level, expects } of cases) {
      expect(section).toMatch(/^(?:RFC \d{4}, \d|IANA)/);
      expect(['must', 'should', 'advice']).toContain(level);
      expect(expects).not.toBe('');
    }
  });

  it('has the numbers of cases in the README', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const table = readme.slice(readme.indexOf('tests of a client'));
    const rows = [...table.matchAll(/^\| (\d+)(?:(?: to |, )(\d+))?[^|]*\| (\d+) \|/gm)];
    const told = rows.map(([, first, last = first, count]) => [+first!, +last!, +count!] as const);
    const counted = told.map(([first, last]) => {
      const cases = clientSuiteCases().filter((one) => one.chapter >= first && one.chapter <= last);
      return [first, last, cases.length];
    });
    expect(counted).toEqual(told);
    expect(told.map(([first, last]) => last - first + 1).reduce((a, b) => a + b)).toBe(14);
  });

  it.each<[string, DialerOptions, string[], number]>([
    ['plain', {}, [], 388],
    ['offering subprotocols', { subprotocols: ['chat', 'superchat'] }, ['8.*'], 5],
    ['with compression', { compression: true }, ['1.*', '3.*', '6.*', '12.*', '13.*'], 53],
    ['that may be limited', { compression: { clientMaxWindowBits: 15 } }, ['12.*', '13.*'], 20],
    ['with context takeover', { compression: 'takeover' }, ['12.*', '13.*'], 20],
  ])(
    'passes every case of our client, %s',
    { timeout: 300_000 },
    async (_, options, only, most) => {
      const results = await askClient(echoClient(options), { only, concurrency: 8, timeout: BUSY });
      expect(differences(results)).toEqual([]);
      const skipped = results.filter(({ verdict }) => verdict === 'skipped');
      expect(skipped.length).toBeLessThan(most);
    },
  );
});
