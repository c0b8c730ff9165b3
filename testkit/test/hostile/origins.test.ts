// Pages of other sites, which have their visitors' cookies.
import { describe, expect, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import { ask, askAll, attacked, attackedUpgrader, statusOf } from './asking.ts';

/** Origins that are not that of the host behind them. */
const TRICKS: readonly (readonly [origin: string, host: string])[] = [
  ['null', 'good'],
  ['', 'good'],
  ['http://good.evil', 'good'],
  ['http://evil-good', 'good'],
  ['http://evil.good', 'good'],
  ['http://good.', 'good'],
  ['http://good:8080', 'good'],
  ['http://good', 'good:8080'],
  ['https://good', 'good:80'],
  ['http://good@evil', 'good'],
  ['http://evil/good', 'good'],
  ['http://evil#good', 'good'],
  ['http://evil?good', 'good'],
  ['http://evil\\@good', 'good'],
  ['http://evil,http://good', 'good'],
  ['http://good%00.evil', 'good'],
  ['http://good:evil', 'good'],
  ['http://good:99999', 'good'],
  ['http://a:b', 'a'],
  ['http://', 'good'],
  ['good', 'good'],
  ['http:good', 'good'],
  ['http://[::2]', '[::1]'],
  ['http://[::1', '[::1]'],
  ['http://::1', '[::1]'],
  ['http://2130706433', '127.0.0.1'],
  ['http://0x7f.1', '127.0.0.1'],
  ['http://127.1', '127.0.0.1'],
  ['http://localhost', '127.0.0.1'],
  ['javascript:alert(1)', 'good'],
];

/** Other ways to write that of the host. */
const SAME: readonly (readonly [origin: string, host: string])[] = [
  ['http://good', 'good'],
  ['HTTP://GOOD', 'good'],
  ['http://good:80', 'good'],
  ['http://good', 'good:80'],
  ['https://good:443', 'good'],
  ['http://127.0.0.1:8080', '127.0.0.1:8080'],
  ['http://[::1]', '[0:0:0:0:0:0:0:1]'],
];

const asked = (pairs: typeof TRICKS): { set: string[]; add: string[] }[] =>
  pairs.map(([origin, host]) => ({ set: [`Host: ${host}`], add: [`Origin: ${origin}`] }));

describe('a page', () => {
  nothingLeft();

  it('of another site is kept out, with its cookies and before anybody looks at them', async () => {
    const logins: unknown[] = [];
    const authenticate = (): void => void logins.push('asked');
    const targets = [await attacked({ authenticate }), await attackedUpgrader({ authenticate })];
    const change = { add: ['Origin: https://evil.example', 'Cookie: session=good'] };
    await survives(25, async (watch) => {
      const replies = [];
      for (const target of targets) replies.push(await ask(watch, target, change, { weigh: true }));
      return { status: statusOf(replies), logins: logins.length };
    });
  });

  it('whose origin only looks like that of the host is kept out', async () => {
    const target = await attacked();
    await survives(26, async (watch) => {
      const tricks = await askAll(watch, target, asked(TRICKS));
      const opened = target.opened;
      const same = await askAll(watch, target, asked(SAME));
      target.opened = 0;
      return { cases: tricks.length, status: statusOf(tricks), opened, same: statusOf(same) };
    });
    expect(target.reported).toEqual([]);
  });

  it('whose name was made to point here is kept out by allowedHosts', async () => {
    const allowedHosts = ['localhost', '*.example.org', '127.0.0.1'];
    const target = await attacked({ allowedHosts });
    const as = (host: string): { set: string[]; add: string[] } => ({
      set: [`Host: ${host}`],
      add: [`Origin: http://${host}`],
    });
    const strangers = ['evil.example', 'evil.example:80', 'localhost.evil', 'example.org', '[::1]'];
    const names = ['localhost:3000', 'app.example.org', '127.0.0.1:8080'];
    await survives(27, async (watch) => {
      const rebound = await askAll(watch, target, strangers.map(as));
      const ours = await askAll(watch, target, names.map(as));
      return { rebound: statusOf(rebound), ours: statusOf(ours) };
    });
  });
});
