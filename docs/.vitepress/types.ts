import { join } from 'node:path';
import { transformerTwoslash } from '@shikijs/twoslash';
import ts from 'typescript';

type Transformer = ReturnType<typeof transformerTwoslash>;

/** Pages whose names show their types. Each program costs about 0.2 s of the build. */
const PAGES: ReadonlySet<string> = new Set([
  'index.md',
  'server.md',
  'client.md',
  'browser.md',
  'conn.md',
  'streams.md',
  'rooms.md',
]);

/** Whether the programs of a page, given by its path on the site, show types. */
export function showsTypes(page: string): boolean {
  return PAGES.has(page);
}

/**
 * Gives each name in a block marked `ts twoslash` its type and the first paragraph of its docstring.
 * They are attributes: neither the search nor the button that copies a program takes them for text.
 */
export function typesOnHover(root: string): Transformer {
  const results = new Map<string, Twoslashed>();
  return transformerTwoslash({
    explicitTrigger: true,
    langs: ['ts'],
    // The search and both builds render each page.
    typesCache: {
      read: (code) => results.get(code) ?? null,
      write: (code, result) => void results.set(code, result),
    },
    twoslashOptions: {
      compilerOptions: compilerOptions(root),
      shouldGetHoverInfo: (name) => name !== 'console' && name !== 'log',
    },
    renderer: {
      nodeStaticInfo: ({ text, docs }, node) => ({
        type: 'element',
        tagName: 'span',
        properties: {
          // Focusable by a script and by a tap. Hundreds of tab stops would hide the links.
          tabindex: -1,
          'data-type': ownType(text),
          ...(docs && { 'data-docs': firstParagraph(docs) }),
        },
        children: [node],
      }),
    },
  });
}

type Cache = NonNullable<NonNullable<Parameters<typeof transformerTwoslash>[0]>['typesCache']>;
type Twoslashed = Parameters<Cache['write']>[1];

/** Those of the tests, so that programs see the sources of the packages. */
function compilerOptions(root: string): ts.CompilerOptions {
  const file = join(root, 'tsconfig.json');
  const { config } = ts.readConfigFile(file, (path) => ts.sys.readFile(path));
  return ts.parseJsonConfigFileContent(config, ts.sys, root).options;
}

/** The type of an imported name, without the words about its import. */
function ownType(text: string): string {
  return text.replace(/^\(alias\) /, '').replace(/\nimport \w+$/, '');
}

function firstParagraph(docs: string): string {
  const [first = ''] = docs.split(/\n\s*\n/);
  return first
    .replaceAll(/\{@link (\S+?)\s*\}/g, '$1')
    .replaceAll('`', '')
    .replaceAll(/\s+/g, ' ');
}
