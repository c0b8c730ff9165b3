import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { afterEach, describe, expect, it } from 'vitest';
import { directionFaults } from '../direction.ts';

const root = join(import.meta.dirname, '../..');
const trees: string[] = [];

afterEach(() => {
  for (const tree of trees.splice(0)) rmSync(tree, { recursive: true });
});

/** A small tree with the real manifests and configurations, an empty index in each package, and `files`. */
function tree(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'direction-'));
  trees.push(folder);
  cpSync(join(root, 'tsconfig.base.json'), join(folder, 'tsconfig.base.json'));
  for (const name of readdirSync(join(root, 'packages'))) {
    for (const file of ['package.json', 'tsconfig.json']) {
      const text = readFileSync(join(root, 'packages', name, file), 'utf8');
      write(join(folder, 'packages', name, file), text);
    }
    write(join(folder, 'packages', name, 'src/index.ts'), 'export {};\n');
  }
  for (const [file, text] of Object.entries(files)) write(join(folder, file), text);
  return folder;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

describe('the direction of dependencies', () => {
  it('is kept by this repository', () => {
    expect(directionFaults(root)).toEqual([]);
  });

  it('is kept by a tree that goes one way', () => {
    const folder = tree({
      'packages/conn/src/index.ts': "export * from './a.ts';\n",
      'packages/conn/src/a.ts': "import type { A } from '@ws/codec';\nexport type B = A;\n",
      'packages/node-io/src/index.ts':
        "import net from 'node:net';\nimport '@ws/conn';\nexport { net };\n",
      'examples/own/server.ts': "import '@ws/node-server';\nimport './page.ts';\n",
      'examples/own/test/server.test.ts': "import '@ws/testkit/examples';\n",
      'testkit/package.json': '{ "exports": { ".": "./index.ts", "./examples": "./examples.ts" } }',
    });
    expect(directionFaults(folder)).toEqual([]);
  });

  it.each([
    ['codec imports a neighbour', 'codec', "import '@ws/conn';", 'codec must not know @ws/conn'],
    [
      'conn imports upwards',
      'conn',
      "export * from '@ws/node-io';",
      'conn must not know @ws/node-io',
    ],
    [
      'the adapters meet, by a type',
      'node-server',
      "type D = import('@ws/node-client').Dialer;",
      'node-server must not know @ws/node-client',
    ],
    [
      'a package imports the testkit',
      'node-io',
      "import '@ws/testkit';",
      'node-io must not know @ws/testkit',
    ],
    [
      'a pure package imports node:',
      'conn',
      "import type { Socket } from 'node:net';",
      'node:net in a package that runs anywhere',
    ],
    [
      'a pure package loads node: lazily',
      'codec',
      "export const f = () => import('node:os');",
      'node:os in a package that runs anywhere',
    ],
    [
      'a package has a dependency',
      'node-io',
      "import 'left-pad';",
      'node-io has no dependency from elsewhere, and left-pad is one',
    ],
    [
      'a dependency is not declared',
      'node-client',
      "import 'left-pad';",
      "left-pad is not in package.json's dependencies",
    ],
    [
      'a file imports its own index',
      'node-io',
      "import './index.ts';",
      'import the file, not index.ts',
    ],
    [
      'a file leaves its package',
      'node-io',
      "import '../../conn/src/index.ts';",
      "../../conn/src/index.ts leaves the package's src",
    ],
    [
      'a pure package references types',
      'codec',
      '/// <reference types="node" />',
      'a reference to node brings globals in',
    ],
    [
      'a pure package declares a global elsewhere',
      'conn',
      'declare const process: unknown;',
      'an ambient declaration; globals are declared in src/globals.d.ts only',
    ],
  ])('names the fault when %s', (_, name, text, fault) => {
    const folder = tree({ [`packages/${name}/src/planted.ts`]: `${text}\nexport {};\n` });
    expect(directionFaults(folder)).toEqual([`packages/${name}/src/planted.ts: ${fault}`]);
  });

  it('names a circle of types', () => {
    const folder = tree({
      'packages/conn/src/a.ts': "import type { B } from './b.ts';\nexport type A = B;\n",
      'packages/conn/src/b.ts': "import type { A } from './a.ts';\nexport type B = A;\n",
    });
    const [a, b] = ['packages/conn/src/a.ts', 'packages/conn/src/b.ts'];
    expect(directionFaults(folder)).toEqual([`circle: ${a} -> ${b} -> ${a}`]);
  });

  it.each(['../../packages/conn/src/index.ts', '@ws/conn/src/conn.ts', '@ws/nothing/src'])(
    'names an example that reaches into a package by %s',
    (specifier) => {
      const folder = tree({ 'examples/own/server.ts': `import '${specifier}';\n` });
      expect(directionFaults(folder)).toEqual([
        `examples/own/server.ts: ${specifier} is not a public name`,
      ]);
    },
  );

  it('names a configuration that lets globals in', () => {
    const folder = tree({
      'packages/codec/tsconfig.json': '{ "compilerOptions": { "lib": ["ES2022", "DOM"] } }',
    });
    expect(directionFaults(folder)).toEqual([
      'packages/codec/tsconfig.json: types must be []',
      'packages/codec/tsconfig.json: lib must be set, without the DOM',
    ]);
  });
});

describe('the configuration of the pure packages', () => {
  it.each(
    ['codec', 'conn'].flatMap((name) =>
      [
        'console.log(1)',
        'process.exit()',
        'Buffer.alloc(1)',
        'document.title',
        'require("x")',
        'globalThis.process',
      ].map((code) => ({ name, code })),
    ),
  )('makes `$code` in $name an error of the compiler', ({ name, code }) => {
    const folder = tree({ [`packages/${name}/src/planted.ts`]: `${code};\nexport {};\n` });
    expect(errorsOf(join(folder, 'packages', name))).not.toEqual([]);
  });

  it('makes a global that globals.d.ts does not name an error, and one that it names none', () => {
    const planted = { 'packages/conn/src/planted.ts': 'setTimeout(() => {}, 1);\nexport {};\n' };
    const declared = 'declare function setTimeout(callback: () => void, ms: number): unknown;\n';
    const without = tree(planted);
    const named = tree({ ...planted, 'packages/conn/src/globals.d.ts': declared });
    expect(errorsOf(join(without, 'packages/conn'))).toEqual([
      expect.stringContaining('setTimeout'),
    ]);
    expect(errorsOf(join(named, 'packages/conn'))).toEqual([]);
  });
});

/** What the compiler says about a package of a small tree, under the package's own configuration. */
function errorsOf(folder: string): string[] {
  const config = ts.readConfigFile(join(folder, 'tsconfig.json'), (file) =>
    ts.sys.readFile(file),
  ).config;
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
  const program = ts.createProgram(fileNames, options);
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
