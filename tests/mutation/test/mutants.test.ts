import { describe, expect, it } from 'vitest';
import { plantMeters } from '../harness/meters.ts';
import { mutantsOf } from '../harness/mutants.ts';
import { applied, parse, shown } from '../harness/source.ts';

/** The file with each of its mutants. */
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
  ])('makes of $text what a hand may slip to', ({ text, mutants }) => {
    expect(mutated(text).toSorted()).toEqual(mutants.toSorted());
  });

  it('leaves types, imports and the texts for a caller alone', () => {
    const text = "import { a } from 'a';\ntype T = 'b' | 'c';\nthrow new RangeError('no');\n";
    expect(mutated(text)).toEqual([]);
  });

  it('says where a mutant stands', () => {
    const text = 'class A {\n  b(): number {\n    return c * 2;\n  }\n}\n';
    const mutant = mutantsOf(parse('a.ts', text)).find(({ kind }) => kind === 'arithmetic')!;
    expect(mutant).toMatchObject({ within: 'A.b', line: 3 });
    expect(shown(text, mutant)).toEqual({ line: 'return c * 2;', change: '* → /' });
  });
});

describe('plantMeters', () => {
  /** Runs a function body with meters, and says which pieces of it have run. */
  function regionsRun(body: string, limit = 1000): string[] {
    const source = parse('a.ts', body);
    const { text, regions } = plantMeters(source, 0);
    const meter = {
      hits: new Uint8Array(100),
      turns: 0,
      limit,
      stop: () => {
        throw new Error('endless');
      },
    };
    // oxlint-disable-next-line no-new-func, no-implied-eval -- it is what is tested
    new Function('globalThis', text)({ __meter: meter });
    return regions.flatMap(({ start, end }, i) =>
      meter.hits[i] === 1 ? [body.slice(start, end)] : [],
    );
  }

  it('notes statements that run, and branches of expressions', () => {
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

  it('leaves lines where they are', () => {
    const text = 'a();\nif (b)\n  c();\n';
    expect(plantMeters(parse('a.ts', text), 0).text.split('\n')).toHaveLength(4);
  });
});
