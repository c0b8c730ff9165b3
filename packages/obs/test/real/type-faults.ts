import { join } from 'node:path';
import ts from 'typescript';
import type { Seen } from './tour.ts';

const FILE = join(import.meta.dirname, 'seen.ts');

/**
 * Compares values with the generated types, by the compiler: each value becomes a literal. A field
 * that the type does not have is a fault too.
 */
export function typeFaults(seen: readonly Seen[]): string[] {
  const text = [
    "import type { Events, Responses } from '../../src/generated/protocol.ts';",
    ...seen.map(({ kind, name, value }, i) => {
      return `export const v${i}: ${kind}['${name}'] = ${JSON.stringify(value)};`;
    }),
  ].join('\n');
  const options: ts.CompilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    types: [],
    // The least that utility types need: the whole library takes seconds.
    lib: ['lib.es5.d.ts'],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    allowImportingTsExtensions: true,
  };
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (path) => path === FILE || disk.fileExists(path),
    readFile: (path) => (path === FILE ? text : disk.readFile(path)),
    getSourceFile: (path, ...rest) =>
      path === FILE
        ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022)
        : disk.getSourceFile(path, ...rest),
  };
  const program = ts.createProgram([FILE], options, host);
  const diagnostics = program.getSemanticDiagnostics(program.getSourceFile(FILE));
  return diagnostics.map(({ file, start = 0, messageText }) => {
    const line = file?.getLineAndCharacterOfPosition(start).line ?? 0;
    const { name = file?.fileName, value } = seen[line - 1] ?? {};
    const message = ts.flattenDiagnosticMessageText(messageText, ' ');
    return `${name}: ${message}: ${JSON.stringify(value)?.slice(0, 300)}`;
  });
}
