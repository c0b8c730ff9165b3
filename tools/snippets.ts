import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** A `ts` block of a page or of a comment. */
export interface Snippet {
  /** Path from the root. */
  readonly file: string;
  /** Line of the block's first line of code, from 1. */
  readonly line: number;
  readonly code: string;
  /** False for a block marked `ts no-run`: type-checked only. */
  readonly run: boolean;
}

/** Pages whose programs belong together: a test of their own runs them. */
export const PROJECTS: Readonly<Record<string, string>> = {
  'docs/frameworks.md': 'tests/frameworks/programs.slow.test.ts',
  'docs/production.md': 'tools/test/production.slow.test.ts',
  'docs/rpc.md': 'tools/test/rpc-page.slow.test.ts',
};

const FENCE = /^[ \t]*(?:\*[ \t]*)?```ts\b([^\n]*)\n([\s\S]*?)^[ \t]*(?:\*[ \t]*)?```/gm;

/**
 * Every `ts` block of the READMEs and of the pages in docs/, except {@link PROJECTS}, and of the
 * comments in the packages' sources. Not one marked `ts project`: a test of its page runs it.
 */
export function snippets(root: string): Snippet[] {
  return pages(root).flatMap((path) => {
    const text = readFileSync(path, 'utf8');
    const blocks = [...text.matchAll(FENCE)].filter(([, info]) => !info!.includes('project'));
    return blocks.map((block) => {
      const lines = block[2]!.split('\n');
      const code = path.endsWith('.ts') ? lines.map((l) => l.replace(/^\s*\* ?/, '')) : lines;
      return {
        file: relative(root, path),
        line: text.slice(0, block.index).split('\n').length + 1,
        code: code.join('\n'),
        run: !block[1]!.includes('no-run'),
      };
    });
  });
}

function pages(root: string): string[] {
  const grouped = ['packages', 'examples'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(root, group, name)),
  );
  const folders = [...grouped, join(root, 'conformance')];
  const readmes = [root, ...folders].map((folder) => join(folder, 'README.md'));
  const docs = readdirSync(join(root, 'docs')).map((name) => join(root, 'docs', name));
  const sources = folders
    .map((folder) => join(folder, 'src'))
    .filter((src) => existsSync(src))
    .flatMap((src) =>
      readdirSync(src, { recursive: true, encoding: 'utf8' }).map((name) => join(src, name)),
    );
  const pages = [...readmes, ...docs.filter((path) => path.endsWith('.md'))];
  return [
    ...pages.filter((path) => existsSync(path) && !(relative(root, path) in PROJECTS)),
    ...sources.filter((path) => path.endsWith('.ts')),
  ];
}
