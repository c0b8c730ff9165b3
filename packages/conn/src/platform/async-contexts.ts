/** The async context of a call. Node: an AsyncResource with the stores of `AsyncLocalStorage`. */
export type AsyncContext = {
  /** Calls `run` with `self` as `this`, in this context. */
  runInAsyncScope<This, Args extends unknown[], Result>(
    run: (this: This, ...args: Args) => Result,
    self: This,
    ...args: Args
  ): Result;
};

/** Async contexts of the runtime. `@ws/node-io` sets the functions. Defaults ignore contexts. */
export const asyncContexts: {
  /** Returns the context of the caller. Undefined where no program uses contexts. */
  capture: () => AsyncContext | undefined;
  /** Returns `call`, bound to the context of the caller. */
  bind: <Call>(call: Call) => Call;
  /**
   * Calls `call` in a context without stores. For callbacks that serve many connections: they would
   * otherwise show the stores of one connection to the others.
   */
  inRoot: <Args extends unknown[], Result>(
    call: (...args: Args) => Result,
    ...args: Args
  ) => Result;
  /** Calls `call` in a new context without stores, which no other call shares. */
  inOwnContext: (call: () => void) => void;
} = {
  capture: () => undefined,
  bind: (call) => call,
  inRoot: (call, ...args) => call(...args),
  inOwnContext: (call) => call(),
};
