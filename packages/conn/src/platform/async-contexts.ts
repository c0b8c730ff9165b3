/**
 * The context of a call: in Node an AsyncResource, which keeps the stores of `AsyncLocalStorage`.
 */
export type AsyncContext = {
  /** Calls `run` with `self` as `this`, in this context. */
  runInAsyncScope<This, Args extends unknown[], Result>(
    run: (this: This, ...args: Args) => Result,
    self: This,
    ...args: Args
  ): Result;
};

/** The contexts of the runtime. `@ws/node-io` sets both functions; the defaults ignore contexts. */
export const asyncContexts: {
  /** The context of the caller. Undefined where no program uses contexts. */
  capture: () => AsyncContext | undefined;
  /** Returns `call`, bound to the context of the caller. */
  bind: <Call>(call: Call) => Call;
} = { capture: () => undefined, bind: (call) => call };
