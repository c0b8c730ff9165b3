import { setTimeout } from 'node:timers/promises';
import { Random } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { minimise } from '../harness/finding.ts';
import { Fuzzer } from '../harness/fuzzer.ts';
import { Input, piecesOf } from '../harness/input.ts';
import { mutate } from '../harness/mutate.ts';
import { InputSlot } from '../harness/protocol.ts';
import type { Target } from '../harness/target.ts';

const nothing: Target = {
  name: 'nothing',
  description: '',
  covers: [],
  maxLength: 40,
  dictionary: [],
  separators: [],
  seeds: [],
  run() {},
};

async function search(target: Target, executions: number, slow?: number) {
  const fuzzer = new Fuzzer(target, {
    seed: 7,
    corpus: [],
    ...(slow === undefined ? {} : { slow }),
  });
  let finding = await fuzzer.start();
  while (finding === undefined && fuzzer.executions < executions) finding = await fuzzer.batch();
  fuzzer.stop();
  return { finding };
}

describe('Fuzzer', () => {
  it('reports an input that computes for long', async () => {
    const run = (input: Uint8Array): void => {
      if (input.length < 3) return;
      for (const before = process.cpuUsage(); process.cpuUsage(before).user < 30_000; );
    };
    const { finding } = await search({ ...nothing, run }, 1_000, 20);
    expect(finding?.signature).toMatch(/^Error: slow/);
  });

  it('reports an input that waits for ten times as long', async () => {
    const run = async (input: Uint8Array): Promise<void> => {
      if (input.length > 2) await setTimeout(120);
    };
    const { finding } = await search({ ...nothing, run }, 1_000, 10);
    expect(finding?.signature).toMatch(/^Error: slow/);
  });

  it('reports a late rejection', async () => {
    const run = async (input: Uint8Array): Promise<void> => {
      await Promise.resolve();
      if (input.length > 4) throw new TypeError('late');
    };
    expect((await search({ ...nothing, run }, 1_000)).finding?.signature).toBe('TypeError: late');
  });

  it('makes equal inputs from equal seeds', async () => {
    const seen: string[][] = [[], []];
    for (const list of seen) {
      const run = (input: Uint8Array): void => void list.push(Buffer.from(input).toString('hex'));
      await search({ ...nothing, run }, 500);
    }
    expect(seen[0]!.length).toBeGreaterThan(500);
    expect(seen[0]).toEqual(seen[1]);
  });
});

describe('mutate', () => {
  it('respects the maximum length, keeps its input unchanged, and uses the format', () => {
    const random = new Random(3);
    const format = {
      maxLength: 50,
      dictionary: [Uint8Array.of(1, 2, 3)],
      separators: [Uint8Array.of(44)],
    };
    const input = Uint8Array.from(Buffer.from('one, two, three'));
    const before = input.slice();
    const made = new Set<string>();
    for (let i = 0; i < 5_000; i++) {
      const output = mutate(input, random, format, Uint8Array.of(9, 9, 9));
      expect(output.length).toBeLessThanOrEqual(50);
      made.add(Buffer.from(output).toString('latin1'));
    }
    expect(input).toEqual(before);
    expect(made.size).toBeGreaterThan(2_500);
    expect([...made].some((text) => text.includes('\x01\x02\x03'))).toBe(true);
    expect(made).toContain('one, two, two, three');
  });

  it('grows an empty input', () => {
    const random = new Random(4);
    const format = { maxLength: 5, dictionary: [], separators: [] };
    const made = Array.from({ length: 500 }, () => {
      return mutate(new Uint8Array(0), random, format, new Uint8Array(0)).length;
    });
    expect(Math.max(...made)).toBe(5);
  });
});

describe('minimise', () => {
  it('keeps the bytes that the failure needs, and sets the others to zero', async () => {
    const input = Uint8Array.from(Buffer.from('some text with an x and more of it'));
    const fails = async (bytes: Uint8Array) => bytes.includes(0x78) && bytes.length > 2;
    expect([...(await minimise(input, fails))].toSorted((a, b) => a - b)).toEqual([0, 0, 0x78]);
  });

  it('stops at its limit of attempts', async () => {
    let attempts = 0;
    const fails = async () => ++attempts < 0;
    await minimise(new Uint8Array(1_000), fails, 5);
    expect(attempts).toBe(5);
  });
});

describe('Input', () => {
  it('reads settings from the front, and zeros past the end', () => {
    const input = new Input(Uint8Array.of(1, 2, 3, 4, 5));
    expect([input.byte(), input.word(), input.flag()]).toEqual([1, 0x0203, false]);
    expect([...input.rest()]).toEqual([5]);
    expect([input.done, input.byte(), input.word(), input.pick(['a', 'b'])]).toEqual([
      true,
      0,
      0,
      'a',
    ]);
  });

  it('splits all bytes into a limited number of pieces', () => {
    const bytes = Uint8Array.from({ length: 1_000 }, (_, i) => i);
    for (const cuts of [[1], [Infinity], [3, 300, 1]]) {
      const pieces = [...piecesOf(bytes, cuts, 50)];
      expect(pieces.length).toBeLessThanOrEqual(51);
      expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    }
  });
});

describe('InputSlot', () => {
  it('shares the current input between threads', () => {
    const writer = new InputSlot();
    const reader = new InputSlot(writer.memory);
    writer.write(Uint8Array.of(1, 2, 3));
    writer.write(Uint8Array.of(4, 5));
    expect([reader.count, ...reader.read()]).toEqual([2, 4, 5]);
  });
});
