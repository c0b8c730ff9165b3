import type { FetchReport, FetchReportContext } from './options.ts';

/**
 * The errors of a connection, or of a request, that were reported. One may pass through several
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
  (async () => (report ?? print)(error, context))()
    .catch((fault: unknown) => {
      print(error);
      print(fault);
    })
    .catch(() => {});
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

/** The kinds of errors that were printed in {@link second}. */
const printed = /* @__PURE__ */ new Set<string>();
/** The most kinds that are printed in a second. */
const MAX_KINDS = 100;
let second = 0;
let withheld = 0;

/** Prints one error of a kind a second: strangers cause as many as they want. */
function print(error: unknown): void {
  const now = Math.floor(Date.now() / 1_000);
  if (now !== second) printed.clear();
  second = now;
  const kind = kindOf(error);
  if (printed.has(kind) || printed.size === MAX_KINDS) return void withheld++;
  printed.add(kind);
  console.error(error, ...(withheld ? [`(errors not printed before it: ${withheld})`] : []));
  withheld = 0;
}

/** Errors of one class that one line has created. The message may contain input of a peer. */
function kindOf(error: unknown): string {
  const { name, message, stack } = Object(error) as Partial<Error>;
  const [line] = / at .*/.exec(`${stack}`.replace(`${message}`, '')) ?? [];
  return `${typeof error} ${name} ${line}`;
}
