/** The context of a call, for example the stores of `AsyncLocalStorage`. An AsyncResource of Node. */
export type AsyncContext = {
  /** Calls `run` with `self` as `this`, in this context. */
  runInAsyncScope<This, Args extends unknown[], Result>(
    run: (this: This, ...args: Args) => Result,
    self: This,
    ...args: Args
  ): Result;
};

/** The contexts of the runtime. A runtime without them needs none of this; `@ws/node-io` sets it. */
export const asyncContexts: {
  /** The context of the caller. Undefined where no program uses contexts. */
  capture: () => AsyncContext | undefined;
  /** Returns `call`, bound to the context of the caller. */
  bind: <Call>(call: Call) => Call;
} = { capture: () => undefined, bind: (call) => call };
