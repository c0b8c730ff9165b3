/** Types of values that JSON cannot represent. */
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

/** The types of `Kind` that `T` contains, at any level; never for `any` and `unknown`. */
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

/**
 * For a parameter of type `S & Verdict<…>`. If nothing was found, `unknown` accepts any schema `S`.
 * Otherwise the other type fits no schema, and its key explains why.
 */
type Verdict<Found> = [Found] extends [never] ? unknown : { readonly 'JSON has no': Found };

/** Refuses the schema of an input that JSON cannot represent. */
export type Sent<Input> = Verdict<Find<Input, NoJSON>>;

/** As {@link Sent}, for an answer. A Date in the output is sent as text, which the schema may accept. */
export type Answered<Input, Output> = Verdict<
  Find<Input, NoJSON> | Find<Output, Exclude<NoJSON, Date>>
>;
