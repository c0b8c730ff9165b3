// What the workflows may do, and whose code they run.
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
  it('name every action by its commit, the same one everywhere, and say its version', () => {
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
      'actions/setup-node',
      'actions/upload-artifact',
      'changesets/action',
    ]);
  });

  it('may read, and nothing else, but for the two jobs that release', () => {
    const granted: Record<string, string[]> = {};
    for (const { name, text } of workflows) {
      expect([name, permissions(text, '')]).toEqual([name, ['contents: read']]);
      for (const [job, body] of jobs(text)) {
        if (body.includes('permissions:')) granted[`${name} ${job}`] = permissions(body, '    ');
        // A token that nobody needs is not left in .git/config for what the job runs.
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
      'release.yml publish': ['contents: write', 'id-token: write'],
    });
  });

  it('publish after the checks, and with no action of third parties beside the right to', () => {
    const { text } = workflows.find(({ name }) => name === 'release.yml')!;
    const { check, version, publish } = Object.fromEntries(jobs(text));
    expect(check).toContain('- run: .ci/run\n');
    expect(version).toContain('needs: check\n');
    expect(publish).toContain('needs: version\n');
    expect(publish).toContain("if: needs.version.outputs.waiting == 'false'\n");
    expect(publish).toContain('- run: pnpm run release\n');
    expect(publish!.match(/uses: (?!actions\/)/g)).toBe(null);
    expect(text.match(/id-token/g)).toHaveLength(1);
  });
});
