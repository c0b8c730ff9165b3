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

/** Bound of the levels that {@link Find} visits. A type may contain itself. */
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

/** Replaces `string`, so that an index signature does not hide known keys. */
type Key<K> = string extends K ? '[string]' : K;

/** `unknown` accepts any schema. The other type accepts none: the compiler shows its key. */
type Verdict<Found> = [Found] extends [never] ? unknown : { readonly 'JSON has no': Found };

/** Refuses the schema of an input that JSON does not carry. */
export type Sent<Input> = Verdict<Find<Input, NoJSON>>;

/** As {@link Sent}, for an answer. A Date is sent as a text, which the schema may accept. */
export type Answered<Input, Output> = Verdict<
  Find<Input, NoJSON> | Find<Output, Exclude<NoJSON, Date>>
>;
