import { describe, expectTypeOf, it } from 'vitest';
import { admit, type Limit, serve, Upgrader } from '../../src/index.ts';

describe('102 limits', () => {
  it('know what authenticate admits', () => {
    void (() =>
      serve(
        {
          authenticate: () => admit({ user: 'ada' }),
          limits: [
            {
              by: ({ auth, address, request }) => {
                expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
                expectTypeOf(address).toEqualTypeOf<string | undefined>();
                expectTypeOf(request.url).toEqualTypeOf<string | undefined>();
                return auth.user;
              },
              connections: 20,
              rate: { messages: 50, burst: 200 },
            },
            { by: 'address', connections: 100 },
          ],
        },
        (_conn, _req, { auth }) => expectTypeOf(auth).toEqualTypeOf<{ user: string }>(),
      ));
    void (() =>
      new Upgrader({
        authenticate: async (req) => (req.url === '/' ? false : admit(5)),
        limits: [{ by: ({ auth }) => auth, handshakes: { perSecond: 1 } }],
      }));
    // A key is a text or a number.
    // @ts-expect-error -- an object is none
    void (() => new Upgrader({ limits: [{ by: () => ({}), connections: 1 }] }));
    expectTypeOf<Limit['by']>().not.toBeAny();
  });
});
