import { AsyncResource } from 'node:async_hooks';
import type { AsyncContext } from '@ws/conn/internal';

type AnyFunction = (...args: unknown[]) => unknown;
type Fields = Readonly<Record<symbol, unknown>>;

/**
 * Symbols of a resource with the stores of `AsyncLocalStorage`: one for each storage, as async_hooks
 * has them (up to Node 22), or one for all (Node 24 and later).
 */
const STORES = /^kResourceStore$|frame/i;
/** From this version of Node on, a resource has the second kind. */
const FRAMES_FROM = 24;

/** Whether any program of the process uses contexts. */
let inUse = false;

/** Whether `resource` has a store, or does not show it. */
function mayHaveStore(resource: object): boolean {
  const symbols = Object.getOwnPropertySymbols(resource).filter(({ description }) =>
    STORES.test(description ?? ''),
  );
  if (symbols.length > 0)
    return symbols.some((symbol) => (resource as Fields)[symbol] !== undefined);
  const { node, bun, deno } = process.versions;
  return bun !== undefined || deno !== undefined || Number.parseInt(node, 10) >= FRAMES_FROM;
}

/**
 * Captures the context of the caller, in which the handler of `receive` then runs. Undefined as long
 * as each caller had an empty one: to enter a context costs 100 ns.
 */
export function captureContext(): AsyncContext | undefined {
  const resource = new AsyncResource('WebSocket', { requireManualDestroy: true });
  inUse ||= mayHaveStore(resource);
  return inUse ? resource : undefined;
}

/** Binds `call` to the context of the caller. */
export function bindContext<Call>(call: Call): Call {
  const context = captureContext();
  if (context === undefined) return call;
  const bound: AnyFunction = (...args) =>
    context.runInAsyncScope(call as AnyFunction, undefined, ...args);
  return bound as Call;
}
