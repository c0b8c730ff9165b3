import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

describe('the exports of', () => {
  it.each(readdirSync(join(root, 'packages')))(
    '%s each have a comment',
    { timeout: 30_000 },
    (name) => {
      const folder = join(root, 'packages', name);
      const config = ts.readConfigFile(join(folder, 'tsconfig.json'), (file) =>
        ts.sys.readFile(file),
      );
      const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, folder);
      const index = join(folder, 'src/index.ts');
      const program = ts.createProgram([index], options);
      const checker = program.getTypeChecker();
      const module = checker.getSymbolAtLocation(program.getSourceFile(index)!)!;
      const bare = checker.getExportsOfModule(module).filter((symbol) => {
        const alias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
        const target = alias ? checker.getAliasedSymbol(symbol) : symbol;
        return target.getDocumentationComment(checker).length === 0;
      });
      expect(bare.map((symbol) => symbol.name)).toEqual([]);
    },
  );
});
