import { describe, expect, it } from 'vitest';
import { drawScript, type Script, scriptText } from './script.ts';

const MANY = 2_000;
const scripts = Array.from({ length: MANY }, (_, i) => drawScript(20_260, i));

function count(of: (script: Script) => readonly (string | undefined)[]): Map<string, number> {
  const counted = new Map<string, number>();
  for (const what of scripts.flatMap(of)) {
    if (what !== undefined) counted.set(what, (counted.get(what) ?? 0) + 1);
  }
  return counted;
}

/** Each name is drawn in more than 1 % of the connections. */
function expectAll(of: (script: Script) => readonly (string | undefined)[], names: string[]): void {
  const counted = count(of);
  expect([...counted.keys()].toSorted()).toEqual(names.toSorted());
  expect(Math.min(...counted.values())).toBeGreaterThan(MANY / 100);
}

describe('drawScript', () => {
  it('is determined by seed and number', () => {
    expect(scripts.every((script, i) => same(script, drawScript(20_260, i)))).toBe(true);
    expect(scripts.some((script, i) => same(script, drawScript(20_261, i)))).toBe(false);
  });

  it('draws every kind of fault, and many connections without one', () => {
    expectAll(
      ({ plan }) => [plan.toServer.end?.cut, plan.toClient.end?.cut],
      ['drop', 'fin', 'half-close', 'reset', 'reset-receiver', 'reset-sender'],
    );
    expectAll(
      ({ plan }) =>
        [...plan.toServer.stretches, ...plan.toClient.stretches].map(({ kind }) => kind),
      ['delay', 'gather', 'single'],
    );
    expectAll(
      ({ plan }) => {
        const end = plan.toServer.end ?? plan.toClient.end;
        if (end === undefined) return ['never'];
        return [end.after < 150 ? 'in the handshake' : 'after it'];
      },
      ['never', 'in the handshake', 'after it'],
    );
  });

  it('draws every way of writing, reading and ending', () => {
    const parts = ({ client, server }: Script) => [client, server];
    expectAll(
      (script) => parts(script).map(({ writing }) => writing),
      ['awaited', 'bulk', 'flood', 'heavy', 'mixed'],
    );
    expectAll(
      (script) => parts(script).map(({ reading }) => reading),
      ['any', 'loop', 'read', 'reader', 'receive', 'receive-async'],
    );
    expectAll((script) => parts(script).map(({ leaves }) => leaves?.how), ['close', 'terminate']);
    expectAll(({ closer }) => [closer], ['both', 'client', 'server']);
  });

  it('prints as four lines', () => {
    expect(scriptText(scripts[1]!).split('\n')).toHaveLength(4);
  });
});

function same(a: Script, b: Script): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
