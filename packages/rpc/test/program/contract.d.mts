import type { Contract, Event, Method, Stream } from '@ws/rpc';
import type { ZodType } from 'zod';

type Of<T> = ZodType<T, T>;
type Nothing = Of<undefined>;

export declare const chat: Contract<
  {
    say: Method<Of<{ text: string }>, Of<{ user: string; text: string }>>;
    ask: Method<Nothing, Of<boolean>>;
    fail: Method<Nothing, Nothing>;
    slow: Method<Nothing, Nothing>;
    aborted: Method<Nothing, Of<number>>;
    sum: Method<Of<{ count: number }>, Of<number>>;
    count: Stream<Of<{ to: number; pad: number }>, Of<{ n: number; pad: string }>>;
    typing: Event<Of<{ room: string }>>;
  },
  {
    typed: Event<Of<{ room: string }>>;
    confirm: Method<Of<{ question: string }>, Of<boolean>>;
    frames: Stream<Of<{ count: number }>, Of<number>>;
  }
>;
