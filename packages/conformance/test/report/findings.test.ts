import { describe, expect, it } from 'vitest';
import type { CaseResult } from '../../src/index.ts';
import { findingCountsOf, findingsOf, idsText, titlesText } from '../../src/report/findings.ts';
import { runServerSuite } from '../../src/run/run-server.ts';
import { naiveServer } from '../server/naive-server.ts';

const result = (id: string, more: Partial<CaseResult>): CaseResult => ({
  id,
  chapter: Number(id.split('.')[0]),
  title: `case ${id}`,
  expects: 'an echo',
  section: 'RFC 6455, 5.2',
  level: 'must',
  weight: 'interoperability',
  verdict: 'fail',
  because: [],
  ms: 1,
  transcript: [],
  ...more,
});

const ids = (results: readonly CaseResult[]): string[] =>
  findingsOf(results).map((finding) => idsText(finding.results));

describe('findingsOf', () => {
  it('counts a fault of the echo once, in all chapters', () => {
    const because = (at: number): string =>
      `the message came back with ${at} bytes, expected ${at}; first difference at byte 0: 61, expected ${at}`;
    const other = { section: 'RFC 7692, 7.2' };
    expect(
      ids([
        result('1.1.1', { because: [because(1)] }),
        result('9.1.1', { because: [because(500)], weight: 'security' }),
        result('12.1.1', { because: [because(2)], ...other }),
      ]),
    ).toEqual(['1.1.1 9.1.1 12.1.1']);
  });

  it('counts an accepted fault once, whatever the reaction of the target', () => {
    const rule = { expects: 'the target fails the connection: the opcode is reserved' };
    expect(
      ids([
        result('4.1.1', {
          ...rule,
          because: ['received a text message of 1 byte, expected a failed connection: opcode 3'],
        }),
        result('4.1.2', {
          ...rule,
          because: ['timeout after 5000 ms, waiting for a failed connection: opcode 4'],
        }),
        result('3.1.1', {
          expects: 'the target fails the connection: no extension',
          because: ['timeout after 5000 ms, waiting for a failed connection: RSV2'],
        }),
      ]),
    ).toEqual(['4.1.1-2', '3.1.1']);
  });

  it('keeps apart what a correct and a hostile peer meet', () => {
    const because = ['the server accepted the handshake with 101, expected a refusal'];
    const results = [
      result('8.11.1', { because, weight: 'pedantry' }),
      result('8.11.2', { because, weight: 'security' }),
      result('8.19.1', { because, weight: 'pedantry', verdict: 'non-strict' }),
    ];
    expect(findingsOf(results).map(({ verdict, weight }) => `${verdict} ${weight}`)).toEqual([
      'fail security',
      'fail pedantry',
      'non-strict pedantry',
    ]);
    expect(findingCountsOf(findingsOf(results))).toMatchObject({
      fail: { interoperability: 0, security: 1, pedantry: 1 },
      'non-strict': { pedantry: 1 },
    });
  });

  it.each([
    ['echoes text as binary', ['1.1', '5.1', '6.1']],
    ['ignores reserved bits', ['3.1', '3.7', '3.9']],
    ['sends pongs without a payload', ['2.1', '2.6', '5.4.1']],
  ] as const)('has one fail for a server that %s', async (fault, only) => {
    const server = await naiveServer(fault);
    try {
      const { counts, results } = await runServerSuite(server.url, { only, timeout: 1500 });
      expect(counts.fail).toBeGreaterThan(8);
      const failed = findingsOf(results).filter(({ verdict }) => verdict === 'fail');
      expect(failed.map((finding) => finding.results.length)).toEqual([counts.fail]);
    } finally {
      await server.close();
    }
  });
});

describe('titlesText', () => {
  const titles = (...all: string[]): string => titlesText(all.map((title) => ({ title })));

  it('has common first words once', () => {
    expect(titles('no handshake: Host twice', 'no handshake: no Host')).toBe(
      'no handshake: Host twice; no Host',
    );
    expect(titles('a ping: long', 'a pong')).toBe('a ping: long; a pong');
  });

  it('has four titles, and the number of the others', () => {
    expect(titles('a', 'b', 'c', 'd', 'e', 'f')).toBe('a; b; c; d; … and 2 more');
  });
});
