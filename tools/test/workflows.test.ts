// The permissions of the workflows, and the actions that they run.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const folder = join(import.meta.dirname, '../../.github/workflows');
const workflows = readdirSync(folder).map((name) => ({
  name,
  text: readFileSync(join(folder, name), 'utf8'),
}));

/** The text of each job of a workflow, by its name. */
function jobs(text: string): Map<string, string> {
  const [, all = ''] = text.split(/^jobs:\n/m);
  const [, ...parts] = all.split(/^ {2}([\w-]+):\n/m);
  return new Map(parts.flatMap((part, i) => (i % 2 === 0 ? [[part, parts[i + 1]!]] : [])));
}

/** What a job, or a workflow, says below its `permissions`. */
function permissions(text: string, indent: string): string[] {
  const [, block = ''] =
    new RegExp(`^${indent}permissions:\\n((?:${indent} .*\\n)*)`, 'm').exec(text) ?? [];
  return [...block.matchAll(/^\s*([\w-]+: \w+)$/gm)].map(([, each]) => each!);
}

describe('the workflows', () => {
  it('pin every action to one commit, with its version', () => {
    const lines = workflows.flatMap(({ text }) => text.match(/^.*\buses:.*$/gm) ?? []);
    const pinned = /^ +- uses: ([\w/-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$/;
    expect(lines.filter((line) => !pinned.test(line))).toEqual([]);
    const commits = new Map<string, Set<string>>();
    for (const line of lines) {
      const [, action = '', commit = ''] = pinned.exec(line)!;
      commits.set(action, (commits.get(action) ?? new Set()).add(commit));
    }
    expect([...commits].filter(([, { size }]) => size > 1)).toEqual([]);
    expect([...commits.keys()].toSorted()).toEqual([
      'actions/checkout',
      'actions/dependency-review-action',
      'actions/download-artifact',
      'actions/setup-node',
      'actions/upload-artifact',
      'changesets/action',
    ]);
  });

  it('have read permission only, except the two jobs that release', () => {
    const granted: Record<string, string[]> = {};
    for (const { name, text } of workflows) {
      expect([name, permissions(text, '')]).toEqual([name, ['contents: read']]);
      for (const [job, body] of jobs(text)) {
        if (body.includes('permissions:')) granted[`${name} ${job}`] = permissions(body, '    ');
        // An unused token must not stay in .git/config, where the code of the job can read it.
        else if (body.includes('actions/checkout'))
          expect([name, job, body]).toEqual([
            name,
            job,
            expect.stringMatching(/persist-credentials: false/),
          ]);
      }
    }
    expect(granted).toEqual({
      'release.yml version': ['contents: write', 'pull-requests: write'],
      'release.yml publish': ['id-token: write'],
    });
  });

  it('publish checked tarballs in a job that installs nothing', () => {
    const { text } = workflows.find(({ name }) => name === 'release.yml')!;
    const { tarballs, publish } = Object.fromEntries(jobs(text));
    expect(tarballs).toContain('- run: .ci/run\n');
    expect(publish).toContain('needs: tarballs\n');
    expect(publish).toContain('needs.tarballs.outputs.digest');
    expect(publish).not.toMatch(/checkout|pnpm|npm (?:ci|install)|npx/);
    expect(text.match(/id-token/g)).toHaveLength(1);
  });
});
