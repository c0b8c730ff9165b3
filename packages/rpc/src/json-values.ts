/** Values that JSON does not carry. */
type NoJSON =
  | bigint
  | symbol
  | Date
  | RegExp
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBuffer
  | ArrayBufferView
  | ((...args: never) => unknown)
  | (abstract new (
      ...args: never
    ) => unknown);

/** Levels of a value that are looked at. A type may contain itself. */
type Levels = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/** The values of `Kind` in `T`, at any level. `any` and `unknown` have none. */
type Find<T, Kind, L extends readonly unknown[] = Levels> = unknown extends T
  ? never
  : T extends string | number | boolean | null | undefined
    ? never
    : T extends NoJSON
      ? Extract<T, Kind>
      : L extends readonly [unknown, ...infer Rest]
        ? T extends readonly unknown[]
          ? Find<T[number], Kind, Rest>
          : T extends object
            ? ValueOf<{ [K in keyof T as Key<K>]-?: Find<T[K], Kind, Rest> }>
            : never
        : never;

type ValueOf<T> = T[keyof T];

/** An index signature beside known keys does not hide them. */
type Key<K> = string extends K ? '[string]' : K;

type Verdict<Found> = [Found] extends [never] ? unknown : { readonly 'JSON has no': Found };

/** Refuses a schema of values that are sent, and that JSON does not carry. */
export type Sent<Input> = Verdict<Find<Input, NoJSON>>;

/** As {@link Sent}, for an answer. A Date is sent as a text. The schema may take that. */
export type Answered<Input, Output> = Verdict<
  Find<Input, NoJSON> | Find<Output, Exclude<NoJSON, Date>>
>;
