import type { FetchReport, FetchReportContext } from './options.ts';

/** The errors that were reported: one may pass through several functions. */
const reported = /* @__PURE__ */ new WeakSet<object>();

/** Passes an error to the option `report`, or prints it. Never throws. */
export function reportTo(
  report: FetchReport | undefined,
  error: unknown,
  context: FetchReportContext,
): void {
  const key = Object(error) as object;
  if (reported.has(key)) return;
  reported.add(key);
  // An async function: neither a throw nor a rejection of `report` reaches the runtime.
  (async () => (report ?? print)(error, context))().catch(print);
}

function print(error: unknown): void {
  console.error(error);
}
