import { describe, expectTypeOf, it } from 'vitest';
import { contract } from '../../../rpc/src/index.ts';
import { Hub, type HubOptions, type JSONValue, type Session } from '../../src/index.ts';
import { serveRooms } from '../../src/serve-rooms/index.ts';

interface User {
  readonly name: string;
  readonly since: Date;
}

/** The `info` that a hub shows of a member. */
type InfoIn<H extends { room(name: string): { presence: ReadonlyMap<string, unknown> } }> =
  ReturnType<H['room']>['presence'] extends ReadonlyMap<string, { readonly info: infer I }>
    ? I
    : never;

describe('the type of info', () => {
  it('is what presence returns', () => {
    const hub = new Hub({
      rooms: {
        'chat/*': { presence: (session) => ({ name: session.id }) },
        news: { history: true },
      },
    });
    expectTypeOf<InfoIn<typeof hub>>().toEqualTypeOf<{ name: string }>();
    hub.on('presence', (_, { joined, left, changed }) => {
      for (const { info } of [...joined.values(), ...left.values(), ...changed.values()]) {
        expectTypeOf(info).toEqualTypeOf<{ name: string }>();
      }
    });
  });

  it('is a union for several keys, as JSON has them, and without undefined', () => {
    const hub = new Hub({
      rooms: {
        'chat/*': { presence: ({ data }: Session<User>) => data },
        'game/*': { presence: (session) => (session.id === '' ? undefined : session.id) },
      },
    });
    expectTypeOf<InfoIn<typeof hub>>().toEqualTypeOf<
      { readonly name: string; readonly since: string } | string
    >();
    expectTypeOf(hub).toExtend<Hub<User>>();
  });

  it('is any JSON for a hub whose type names the data only, or for what the types do not say', () => {
    const hub = new Hub<User>({ rooms: { r: { presence: ({ data }) => data } } });
    expectTypeOf<InfoIn<typeof hub>>().toEqualTypeOf<JSONValue>();
    const options: HubOptions<User> = { rooms: { r: { presence: ({ data }) => data } } };
    const odd = [
      new Hub(options),
      new Hub<User>(),
      new Hub<User>({ rooms: { r: { history: true } } }),
      new Hub({ rooms: { r: { presence: ({ data }: Session<User>): unknown => data } } }),
      new Hub({ rooms: { r: { presence: ({ data }: Session<User>) => new Map([[data, 1]]) } } }),
      new Hub({
        rooms: { r: { presence: ({ data }: Session<User>) => ({ a: data.name || undefined }) } },
      }),
    ] as const;
    expectTypeOf<InfoIn<(typeof odd)[number]>>().toEqualTypeOf<JSONValue>();
    expectTypeOf(odd).toExtend<readonly Hub<User>[]>();
  });

  it('may be written', () => {
    const hub = new Hub<User, { r: { name: string } }>({
      rooms: { r: { presence: ({ data }) => ({ name: data.name }) } },
    });
    expectTypeOf<InfoIn<typeof hub>>().toEqualTypeOf<{ name: string }>();
    expectTypeOf(hub).toExtend<Hub<User>>();
    const presence = () => ({ name: 1 });
    // @ts-expect-error -- presence returns something else
    void new Hub<User, { r: { name: string } }>({ rooms: { r: { presence } } });
  });

  it('is known to the hub of serveRooms, with and without a contract', () => {
    const table = {
      'chat/*': { mayJoin: true, presence: ({ data }: Session<User>) => ({ name: data.name }) },
      news: { mayJoin: true },
    };
    const { hub } = serveRooms(table);
    const both = serveRooms(
      {
        r: {
          mayJoin: (session) => session.id !== '',
          presence: ({ data }: Session<User>) => data.name,
        },
      },
      { contract: contract({}), handlers: {} },
    );
    expectTypeOf<InfoIn<typeof hub>>().toEqualTypeOf<{ name: string }>();
    expectTypeOf<InfoIn<typeof both.hub>>().toEqualTypeOf<string>();
    expectTypeOf(hub).toExtend<Hub<User>>();
  });
});
