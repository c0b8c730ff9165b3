import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import type { CaseResult } from '../../src/index.ts';
import { askClient, type EchoClient, isDifference, lineOf } from './ask-client.ts';
import { WS_DIFFERENCES } from './ws-differences.ts';

function echoClient(protocols: string[], options: ClientOptions): EchoClient {
  return (url) =>
    new Promise<void>((done) => {
      const socket = new WebSocket(url, protocols, options);
      socket.on('message', (data, binary) => socket.send(data as Buffer, { binary }));
      // A close event follows each error.
      socket.on('error', () => undefined);
      socket.on('close', () => done());
    });
}

type Difference = (typeof WS_DIFFERENCES)[number];

const isAbout = ({ chapter, titles }: Difference, result: CaseResult): boolean =>
  chapter === result.chapter && titles.test(result.title);

/**
 * Selects the cases whose verdict differs from the table: new differences, and outdated entries.
 */
function surprises(results: readonly CaseResult[]): CaseResult[] {
  return results.filter((result) => {
    const entry = WS_DIFFERENCES.find((one) => isAbout(one, result));
    if (result.verdict === 'skipped') return false;
    return entry === undefined ? isDifference(result) : entry.verdict !== result.verdict;
  });
}

describe('ws as a client', () => {
  it('has the version of the table', () => {
    const path = createRequire(import.meta.url).resolve('ws/package.json');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ version: '8.23.0' });
  });

  it.each<[string, string[], ClientOptions, string[]]>([
    ['with all offers', ['chat', 'superchat'], { perMessageDeflate: true }, []],
    ['without offers', [], { perMessageDeflate: false }, ['8.*']],
  ])(
    'differs only in the listed cases, %s',
    { timeout: 120_000 },
    async (_, protocols, ws, only) => {
      const client = echoClient(protocols, ws);
      const results = await askClient(client, { only, timeout: 6000, concurrency: 16 });
      expect(surprises(results).map(lineOf)).toEqual([]);
      const unused = WS_DIFFERENCES.filter(
        (one) =>
          results.some(({ chapter }) => chapter === one.chapter) &&
          !results.some((result) => isAbout(one, result)),
      );
      expect(unused).toEqual([]);
    },
  );
});
