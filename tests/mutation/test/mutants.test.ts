import { describe, expect, it } from 'vitest';
import { instrument } from '../harness/instrument.ts';
import { mutantsOf } from '../harness/mutants.ts';
import { applied, parse, shown } from '../harness/source.ts';

function mutated(text: string): string[] {
  return mutantsOf(parse('a.ts', text)).map((mutant) => applied(text, mutant));
}

describe('mutantsOf', () => {
  it.each([
    { text: 'a + b;', mutants: ['a - b;'] },
    { text: 'a & b;', mutants: ['a | b;'] },
    { text: 'a >>> 8;', mutants: ['a << 8;'] },
    { text: 'x = a < b;', mutants: ['x = true;', 'x = false;', 'x = a <= b;', 'x = a >= b;'] },
    { text: 'x = a ?? b;', mutants: ['x = a && b;'] },
    { text: 'if (a) b();', mutants: ['if (true) b();', 'if (false) b();'] },
    { text: 'while (a) b();', mutants: ['while (false) b();'] },
    { text: 'x = !a;', mutants: ['x = a;'] },
    {
      text: 'x = /^[a-z]+$/y;',
      mutants: [
        'x = /[a-z]+$/y;',
        'x = /^[a-z]+/y;',
        'x = /^[^a-z]+$/y;',
        'x = /^[a-z]$/y;',
        'x = /^[a-z]+$/;',
      ],
    },
    { text: 'i++;', mutants: ['i--;'] },
    { text: 'x -= a;', mutants: ['x += a;'] },
    { text: 'a?.b;', mutants: ['a.b;'] },
    { text: "x = ['a'];", mutants: ['x = [];', "x = [''];"] },
    { text: 'x = { a: true };', mutants: ['x = {};', 'x = { a: false };'] },
    { text: 'function f() { return 1; }', mutants: ['function f() {}'] },
    { text: 'switch (a) { case 1: b(); }', mutants: ['switch (a) { case 1:  }'] },
  ])('changes $text', ({ text, mutants }) => {
    expect(mutated(text).toSorted()).toEqual(mutants.toSorted());
  });

  it('ignores types, imports and messages for callers', () => {
    const text = "import { a } from 'a';\ntype T = 'b' | 'c';\nthrow new RangeError('no');\n";
    expect(mutated(text)).toEqual([]);
  });

  it('reports the place of a mutant', () => {
    const text = 'class A {\n  b(): number {\n    return c * 2;\n  }\n}\n';
    const mutant = mutantsOf(parse('a.ts', text)).find(({ kind }) => kind === 'arithmetic')!;
    expect(mutant).toMatchObject({ within: 'A.b', line: 3 });
    expect(shown(text, mutant)).toEqual({ line: 'return c * 2;', change: '* → /' });
  });
});

describe('instrument', () => {
  /** The instrumented regions that a function body runs. */
  function regionsRun(body: string, limit = 1000): string[] {
    const source = parse('a.ts', body);
    const { text, regions } = instrument(source, 0);
    const counters = {
      hits: new Uint8Array(100),
      loops: 0,
      limit,
      stop: () => {
        throw new Error('endless');
      },
    };
    // oxlint-disable-next-line no-new-func, no-implied-eval -- the instrumented code under test
    new Function('globalThis', text)({ __counters: counters });
    return regions.flatMap(({ start, end }, i) =>
      counters.hits[i] === 1 ? [body.slice(start, end)] : [],
    );
  }

  it('marks statements and branches that run', () => {
    expect(regionsRun('let x = 1; if (x > 1) x = 2; else x = 3;')).toEqual([
      'let x = 1;',
      'if (x > 1) x = 2; else x = 3;',
      'x = 3;',
    ]);
    expect(regionsRun('let x = true ? 1 : 2;')).toEqual(['let x = true ? 1 : 2;', '1']);
    expect(regionsRun('let x = false && 1;')).toEqual(['let x = false && 1;']);
  });

  it.each(['while (true);', 'for (;;) {}', 'do {} while (true);'])('ends %s', (body) => {
    expect(() => regionsRun(body)).toThrow('endless');
  });

  it('keeps line numbers', () => {
    const text = 'a();\nif (b)\n  c();\n';
    expect(instrument(parse('a.ts', text), 0).text.split('\n')).toHaveLength(4);
  });
});
