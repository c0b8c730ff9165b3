import { AsyncResource, executionAsyncResource } from 'node:async_hooks';

type AnyFunction = (...args: unknown[]) => unknown;
type Fields = Readonly<Record<symbol, unknown>>;

const OPTIONS = { requireManualDestroy: true };

function newResource(): AsyncResource {
  return new AsyncResource('WebSocket', OPTIONS);
}

/** The field of a resource with the stores of every `AsyncLocalStorage`: in use from Node 24 on. */
const FRAME = Object.getOwnPropertySymbols(newResource()).find(({ description }) =>
  /frame/i.test(description ?? ''),
);

const { bun, deno } = process.versions;
/** Whether any program of the process uses contexts. Bun and Deno do not show it. */
let inUse = bun !== undefined || deno !== undefined;

/**
 * A resource without stores, also when a program loads this module while it has one. No code of a
 * program runs in it. `enterWith` would change it.
 */
const root = newResource();
for (const symbol of Object.getOwnPropertySymbols(root)) {
  const isStore = symbol === FRAME || symbol.description === 'kResourceStore';
  if (isStore) (root as unknown as Record<symbol, unknown>)[symbol] = undefined;
}

/** Calls `call` without a store. What it creates, such as a timer, has a context of its own. */
export function inRootContext<Args extends unknown[], Result>(
  call: (...args: Args) => Result,
  ...args: Args
): Result {
  return root.runInAsyncScope(call as (...args: unknown[]) => Result, undefined, ...args);
}

/** `process.nextTick`, looked up for each call: fake timers may replace it. */
export function nextTick(task: () => void): void {
  process.nextTick(task);
}

/** Calls `call` without a store, in a resource of its own. */
export function inOwnContext(call: () => void): void {
  inRootContext(newResource).runInAsyncScope(call);
}

/**
 * Calls `call` in a resource of its own, with the stores of the caller. Node runs the listeners of
 * 'upgrade' in a parser that it uses again for other sockets. `enterWith` would change that.
 */
export function inScope<Result>(call: () => Result): Result {
  return new AsyncResource('WebSocket', OPTIONS).runInAsyncScope(call);
}

/** Whether the caller has a store. */
function hasStore(): boolean {
  if (FRAME !== undefined && (newResource() as unknown as Fields)[FRAME] !== undefined) return true;
  // Up to Node 22, the current resource has a field for each storage.
  const resource = executionAsyncResource() as Fields;
  for (const symbol of Object.getOwnPropertySymbols(resource)) {
    if (symbol.description === 'kResourceStore' && resource[symbol] !== undefined) return true;
  }
  return false;
}

/**
 * Captures the context of the caller, in which the handler of `receive` then runs. Undefined until
 * a caller has a store, where Node shows it: entering a context costs 100 ns.
 */
export function captureContext(): AsyncResource | undefined {
  inUse ||= hasStore();
  return inUse ? newResource() : undefined;
}

/** Binds `call` to the context of the caller. */
export function bindContext<Call>(call: Call): Call {
  const context = captureContext();
  if (context === undefined) return call;
  const bound: AnyFunction = (...args) =>
    context.runInAsyncScope(call as AnyFunction, undefined, ...args);
  return bound as Call;
}
