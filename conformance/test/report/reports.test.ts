import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type CaseResult,
  htmlReport,
  jsonReport,
  junitReport,
  type SuiteReport,
  type Verdict,
} from '../../src/index.ts';
import { selectCases } from '../../src/model/select.ts';
import { countsOf, missingOf } from '../../src/run/suite-report.ts';
import { type Schema, schemaFaults } from './schema.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../report.schema.json', import.meta.url), 'utf8'),
) as Schema;

const result = (id: string, verdict: Verdict, because: string[] = []): CaseResult => ({
  id,
  chapter: Number(id.split('.')[0]),
  title: `<case> ${id}`,
  expects: 'an echo',
  section: 'RFC 6455, 5.2',
  level: 'must',
  weight: 'interoperability',
  verdict,
  because,
  ms: 1,
  transcript: [{ connection: 1, kind: 'sent', says: 'text', hex: '81', text: '', size: 1 }],
});

const results = [
  result('1.1.1', 'pass'),
  result('1.1.2', 'fail', ['a | b\nc']),
  result('2.1.1', 'skipped', ['the client offers no subprotocol']),
];
const report: SuiteReport = {
  role: 'client',
  target: 'node a.js',
  started: '2026-11-20T12:00:00.000Z',
  ms: 5,
  counts: countsOf(results),
  results,
};
const tool = { name: 'ws-conform', version: '1.0.0', node: 'v20.19.0' };

describe('jsonReport', () => {
  it('fits report.schema.json', () => {
    const parse = (text: string): unknown => JSON.parse(text);
    expect(schemaFaults(parse(jsonReport(report)), schema)).toEqual([]);
    const full = jsonReport(report, { complete: false, tool, options: { only: ['1'] } });
    expect(schemaFaults(parse(full), schema)).toEqual([]);
    const { role: _, ...broken } = parse(full) as SuiteReport;
    expect(schemaFaults({ ...broken, x: 1 }, schema)).toEqual([
      '$.role is missing',
      '$.x is unknown',
    ]);
  });

  it('contains the bytes of passed cases on request only', () => {
    const lines = (text: string): number[] =>
      (JSON.parse(text) as SuiteReport).results.map(({ transcript }) => transcript.length);
    expect(lines(jsonReport(report))).toEqual([0, 1, 1]);
    expect(lines(jsonReport(report, { transcripts: true }))).toEqual([1, 1, 1]);
  });
});

describe('junitReport', () => {
  it('contains no character that XML forbids', () => {
    const colored = { ...report, results: [result('1.1.1', 'fail', ['\u001b[31mfailed\u0000'])] };
    expect(junitReport(colored)).toContain('message="\ufffd[31mfailed\ufffd"');
  });
});

describe('htmlReport', () => {
  const page = htmlReport(report);

  it('escapes texts and loads nothing', () => {
    expect(page).toContain('&lt;case&gt; 1.1.2');
    expect(page).not.toMatch(/<case>|src=|@import|url\(/);
  });
});

describe('missingOf', () => {
  it('names the required capabilities whose cases were skipped', () => {
    expect(missingOf(report, ['compression', 'subprotocol'])).toEqual([
      'subprotocol: 1 cases were skipped because the client offers no subprotocol',
    ]);
  });
});

describe('selectCases', () => {
  it('leaves out chapters, sections and globs', () => {
    const cases = ['1.1.1', '1.2.1', '2.1.1', '10.1.1'].map((id) => ({ id }));
    const ids = (only: string[], excluded: string[]): string[] =>
      selectCases(cases, only, excluded).map(({ id }) => id);
    expect(ids([], ['1'])).toEqual(['2.1.1', '10.1.1']);
    expect(ids(['1'], ['1.2'])).toEqual(['1.1.1']);
    expect(ids([], ['*.1.1'])).toEqual(['1.2.1']);
  });
});
