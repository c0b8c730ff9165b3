import { Hub } from '@ws/hub';
import { describe, expect, it } from 'vitest';
import { enter, turns } from './nodes.ts';

const cycle: Record<string, unknown> = {};
cycle['self'] = cycle;
const unwritable: readonly [string, unknown][] = [
  ['undefined', undefined],
  ['a function', () => {}],
  ['a symbol', Symbol('s')],
  ['a cycle', cycle],
  ['a BigInt', 1n],
  [
    'a toJSON that throws',
    {
      toJSON() {
        throw new Error('mine');
      },
    },
  ],
];

describe('session.writeJSON', () => {
  it('sends a value as text, in one order with send', async () => {
    const { session, received } = enter(new Hub());
    expect([session.writeJSON({ a: 1 }), session.send('x'), session.writeJSON(null)]).toEqual([
      true,
      true,
      true,
    ]);
    await turns();
    expect(received).toEqual(['{"a":1}', 'x', 'null']);
  });

  it.each(unwritable)('throws a TypeError for %s, and sends nothing', async (_, value) => {
    const { session, received } = enter(new Hub());
    expect(() => session.writeJSON(value)).toThrow(TypeError);
    await turns();
    expect([received, session.state]).toEqual([[], 'open']);
  });

  it('takes the options of send', () => {
    const { session } = enter(new Hub({ overflow: 'latest' }));
    expect(session.writeJSON(1, { key: 'a' })).toBe(true);
    expect(() => session.writeJSON(1, { kye: 'a' } as object)).toThrow('unknown option kye');
  });
});

describe('room.publishJSON', () => {
  it('sends a value to the members and to the history, with the options of publish', async () => {
    const hub = new Hub({ rooms: { r: { history: true } } });
    const [a, b] = [enter(hub, 'r'), enter(hub, 'r')];
    const position = await hub.room('r').publishJSON({ a: [1] }, { except: a.session });
    expect(position).toMatchObject({ offset: 1 });
    await turns();
    expect([a.received, b.received]).toEqual([[], ['{"a":[1]}']]);
    const { messages } = await hub.room('r').history();
    expect(messages.map(({ message }) => message.text())).toEqual(['{"a":[1]}']);
  });

  it.each(unwritable)('rejects with a TypeError for %s, and sends nothing', async (_, value) => {
    const hub = new Hub();
    hub.on('error', () => {});
    const { received } = enter(hub, 'r');
    await expect(hub.room('r').publishJSON(value)).rejects.toThrow(TypeError);
    await turns();
    expect([received, hub.stats.published]).toEqual([[], 0]);
  });
});
