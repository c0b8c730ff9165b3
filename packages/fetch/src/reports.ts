import type { FetchReport, FetchReportContext } from './options.ts';

/**
 * The errors of a connection, or of a request, that were reported: one may pass through several
 * functions. Another connection may fail with the same object.
 */
const reported = /* @__PURE__ */ new WeakMap<object, Set<unknown>>();

/** Passes an error to the option `report`, or prints it. Never throws. */
export function reportTo(
  report: FetchReport | undefined,
  error: unknown,
  context: FetchReportContext,
): void {
  const owner = context.conn ?? context.request;
  if (owner) {
    const errors = reported.get(owner) ?? new Set();
    reported.set(owner, errors);
    if (errors.has(error)) return;
    errors.add(error);
  }
  // An async function: neither a throw nor a rejection of `report` reaches the runtime.
  (async () => (report ?? print)(error, context))().catch(print);
}

/** Reports an error unless one was reported for `key`, which `known` keeps. */
export function reportOnce(
  known: WeakSet<object>,
  key: object,
  ...report: Parameters<typeof reportTo>
): void {
  if (known.has(key)) return;
  known.add(key);
  reportTo(...report);
}

function print(error: unknown): void {
  console.error(error);
}
