/** The error of the functions in {@link WRONG_FUNCTIONS}. */
export const mine: Error = new Error('mine');

export type WrongFunction = (...args: unknown[]) => unknown;

/** Ways in which a function of the application is wrong. */
export const WRONG_FUNCTIONS = {
  throws: () => {
    throw mine;
  },
  rejects: () => Promise.reject(mine),
  'never settles': () => new Promise<never>(() => {}),
  'returns nonsense': () => 12_345,
} as const satisfies Readonly<Record<string, WrongFunction>>;

export type Wrong = keyof typeof WRONG_FUNCTIONS;

/** The names of the members of `T` that are functions. A table keyed by it misses none. */
export type FunctionsOf<T> = {
  [K in keyof T]-?: Extract<NonNullable<T[K]>, (...args: never[]) => unknown> extends never
    ? never
    : K & string;
}[keyof T];
