import { describe, expect, it } from 'vitest';
import { clientSuiteCases, serverSuiteCases } from '../../src/index.ts';
import { idsOf, WEIGHT_RULES } from '../../src/model/weights.ts';

const ROLES = {
  server: [...serverSuiteCases([], [], true), ...serverSuiteCases(['15'], [], true, true)],
  client: clientSuiteCases([], [], true),
};

describe.each(['server', 'client'] as const)('the weights of the %s cases', (role) => {
  const cases = ROLES[role];
  const rules = WEIGHT_RULES[role].flatMap(([ids, weight]) =>
    idsOf(ids).map((id) => ({ id, weight })),
  );
  const weightOf = (id: string): string => cases.find((one) => one.id === id)!.weight;

  it('come from rules that each match a case', () => {
    const unused = rules.filter(
      (rule) => !cases.some(({ id }) => id === rule.id || id.startsWith(`${rule.id}.`)),
    );
    expect(unused).toEqual([]);
  });

  it('have one rule for each id', () => {
    const ids = rules.map(({ id }) => id);
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
  });

  it('put lost data, false lengths and reserved bits apart', () => {
    expect(['1.1.1', '9.9.1', '3.1.1'].map(weightOf)).toEqual([
      'interoperability',
      'security',
      'pedantry',
    ]);
  });

  it('prefer the rule of a case to that of its section', () => {
    expect(['6.7.9', '6.7.10'].map(weightOf)).toEqual(['security', 'interoperability']);
  });
});

it('tell a missing Host from one that occurs twice', () => {
  const weights = serverSuiteCases(['8.11.1', '8.12.1']).map(({ weight }) => weight);
  expect(weights).toEqual(['pedantry', 'security']);
});
