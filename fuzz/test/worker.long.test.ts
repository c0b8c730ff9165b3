import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Coverage } from '../harness/coverage.ts';
import { hashOf } from '../harness/finding.ts';
import type { Job } from '../harness/protocol.ts';
import { type RunOutcome, runInWorker } from '../harness/supervisor.ts';

const list = new URL('../targets.ts', import.meta.url).href;
const testTargets = new URL('./test-targets.ts', import.meta.url).href;
const EXECUTIONS = 200;

/** An empty folder of corpora. */
function emptyCorpus(): URL {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return pathToFileURL(`${folder}/`);
}

function run(target: string, corpus: URL, job: Job): Promise<RunOutcome> {
  return runInWorker({ list, target, corpus: corpus.href, job });
}

function search(target: string, corpus: URL): Promise<RunOutcome> {
  return run(target, corpus, { kind: 'search', seed: 7, executions: EXECUTIONS });
}

const searched = new Map<string, Promise<RunOutcome>>();

/** The search from an empty corpus, which runs once for all tests. */
function firstSearch(target: string): Promise<RunOutcome> {
  const known = searched.get(target) ?? search(target, emptyCorpus());
  searched.set(target, known);
  return known;
}

function select(
  target: string,
  corpus: URL,
  found: readonly Uint8Array[] = [],
): Promise<RunOutcome> {
  return run(target, corpus, { kind: 'select', found });
}

describe('Coverage', () => {
  it('throws for a second one in a thread', () => {
    const first = new Coverage(['fuzz/']);
    first.start();
    first.stop();
    expect(() => new Coverage(['fuzz/']).start()).toThrow('start a new worker');
  });
});

describe('a search', { timeout: 180_000 }, () => {
  // The last one has random keys, zlib and timers.
  it.each(['utf8', 'api-sequence'])(
    'repeats an earlier search with its seed: %s',
    async (target) => {
      const first = await firstSearch(target);
      const second = await search(target, emptyCorpus());
      expect(first.progress.executions).toBeGreaterThanOrEqual(EXECUTIONS);
      expect(first.progress.edges).toBeGreaterThan(50);
      expect(second).toEqual(first);
    },
  );
});

describe('the guidance of coverage', { timeout: 180_000 }, () => {
  const open = (target: string) =>
    runInWorker({
      list: testTargets,
      target,
      corpus: emptyCorpus().href,
      job: { kind: 'search', seed: 7, executions: 50_000 },
    });

  // A blind search needs about 2^32 executions.
  it('finds nested conditions', async () => {
    const { finding, progress } = await open('locked');
    expect(Buffer.from(finding!.input.subarray(0, 4)).toString()).toBe('lock');
    expect(finding!.signature).toBe('Error: open');
    expect(progress.inputs).toBeGreaterThan(2);
    expect(progress.edges).toBeGreaterThan(3);
  });

  it('is what finds them', async () => {
    expect((await open('locked-and-blind')).finding).toBeUndefined();
  });
});

describe('a selection', { timeout: 180_000 }, () => {
  it.each(['utf8', 'api-sequence'])('keeps the edges of a search: %s', async (target) => {
    const corpus = emptyCorpus();
    const found = await firstSearch(target);
    const first = await select(target, corpus, found.inputs);
    // Inputs that the search did not keep make some edges known.
    expect(first.progress.edges).toBeGreaterThan(0.98 * found.progress.edges);
    const again = await select(target, corpus);
    expect(again.inputs).toEqual(first.inputs);
    expect(again.progress.edges).toBe(first.progress.edges);
    const files = readdirSync(new URL(`${target}/`, corpus));
    expect(files).toEqual(again.inputs.map((input) => hashOf(input)).toSorted());
  });

  it('keeps inputs named in words', async () => {
    const corpus = emptyCorpus();
    const folder = new URL('utf8/', corpus);
    mkdirSync(folder);
    for (const name of ['it-once-failed', 'it-failed-too']) {
      writeFileSync(new URL(name, folder), 'a'.repeat(20));
    }
    await select('utf8', corpus);
    const files = readdirSync(folder);
    expect(files).toContain('it-once-failed');
    expect(files).toContain('it-failed-too');
  });

  it.each(['fails', 'runs-no-edge'])('deletes nothing if the target %s', async (target) => {
    const corpus = emptyCorpus();
    const folder = new URL(`${target}/`, corpus);
    mkdirSync(folder);
    const input = Buffer.from('kept');
    writeFileSync(new URL(hashOf(input), folder), input);
    const { finding } = await runInWorker({
      list: testTargets,
      target,
      corpus: corpus.href,
      job: { kind: 'select', found: [] },
    });
    expect(finding?.text).toMatch(/no edge|planted/);
    expect(readdirSync(folder)).toEqual([hashOf(input)]);
  });
});
