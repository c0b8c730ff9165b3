import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { pagesOf } from '../check/api-page.ts';

const root = mkdtempSync(join(tmpdir(), 'api-'));
afterAll(() => rmSync(root, { recursive: true }));

/** The page of a package whose declarations are these. */
function pageOf(files: Readonly<Record<string, string>>): string {
  const folder = join(root, 'packages/a');
  const entries = { '.': './src/index.ts', './more': './src/more.ts', './internal': './src/i.ts' };
  const exports = Object.fromEntries(
    Object.entries(entries).map(([subpath, source]) => [subpath, { '@ws/source': source }]),
  );
  const all = {
    'package.json': JSON.stringify({ name: '@x/a', exports }),
    '.tsc/index.d.ts': 'export {};',
    '.tsc/more.d.ts': 'export {};',
    '.tsc/i.d.ts': 'export declare const hidden: 1;',
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return pagesOf([{ folder, manifest: { name: '@x/a' } }]).get('a.md')!;
}

it('has every export, sorted, without comments and internal members', () => {
  const page = pageOf({
    '.tsc/index.d.ts': `
      /** Comment. */
      export declare function b(option: Option): void;
      export { A } from './a.ts';`,
    '.tsc/a.d.ts': `
      export declare class A {
        #private;
        private key;
        /** @internal */
        inner(): void;
        shown(): string;
      }`,
    '.tsc/more.d.ts': `export { A } from './a.ts';`,
  });
  expect(page).toBe(`# API of @x/a

<!-- Written by pnpm api. Do not edit. -->

## \`@x/a\`

\`\`\`ts
class A {
    shown(): string;
}

function b(option: Option): void;
\`\`\`

## \`@x/a/more\`

\`\`\`ts
export { A } from '@x/a';
\`\`\`
`);
});

it('has the types that an export names, and theirs', () => {
  const page = pageOf({
    '.tsc/index.d.ts': `import type { Options } from './options.ts';
      export declare function start(options: Options): void;`,
    '.tsc/options.d.ts': `export interface Options { readonly size: Size; }
      type Size = 1 | 2;`,
  });
  expect(page.split('## Named above, exported nowhere\n')[1]).toBe(`
\`\`\`ts
interface Options {
    readonly size: Size;
}

type Size = 1 | 2;
\`\`\`
`);
});

it('refuses an entry without declarations', () => {
  expect(() => pageOf({ '.tsc/index.d.ts': `export { gone } from './gone.ts';` })).toThrow(
    'gone has no declaration: run tsc -b',
  );
});
