import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { warnOfDeprecation } from '../../src/report/report.ts';

const OPTION = {
  code: 'WS_DEP1',
  what: 'the option old of serve',
  instead: 'use young',
  until: '0.3.0',
};
const WARNING =
  'websocket: the option old of serve is deprecated, and a TypeError from 0.3.0 on: use young (WS_DEP1)';

describe('warnOfDeprecation', () => {
  it('warns once of each code, whatever platform of the process has it', () => {
    const platform = new FakePlatform();
    const derived = Object.assign(Object.create(platform), { base: platform });
    for (const each of [platform, platform, derived]) warnOfDeprecation(each, OPTION);
    expect(platform.warnings).toEqual([WARNING]);
    warnOfDeprecation(derived, { ...OPTION, code: 'WS_DEP2' });
    expect(platform.warnings).toHaveLength(2);
  });

  it('does not throw when the warning cannot be printed', () => {
    const platform = new FakePlatform();
    platform.warn = () => {
      throw new Error('no console');
    };
    expect(() => warnOfDeprecation(platform, OPTION)).not.toThrow();
  });
});
