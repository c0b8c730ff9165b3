import type { Conn, ConnLike } from '@ws/conn';
import { describe, expectTypeOf, it } from 'vitest';
import type { BrowserConn } from '../src/index.ts';

describe('ConnLike', () => {
  it('is the type of a Conn and of a BrowserConn', () => {
    expectTypeOf<Conn>().toExtend<ConnLike>();
    expectTypeOf<BrowserConn>().toExtend<ConnLike>();
    expectTypeOf<Conn<{ name: string }>>().toExtend<ConnLike<{ name: string }>>();
    expectTypeOf<BrowserConn<{ name: string }>>().toExtend<ConnLike<{ name: string }>>();
    expectTypeOf<Conn<{ name: string }>>().not.toExtend<ConnLike<{ name: number }>>();
  });

  it('has what both have', () => {
    expectTypeOf<ConnLike>().not.toHaveProperty('ping');
    expectTypeOf<ConnLike['readJSON']>().toEqualTypeOf<Conn['readJSON']>();
    expectTypeOf<ConnLike>().toExtend<AsyncDisposable>();
  });
});
