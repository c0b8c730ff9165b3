import { after } from '@ws/browser/internal';
import { parseSubprotocols, type RequestFacts, type RequestStep, requestRules } from '@ws/codec';
import { parseHostPort } from '@ws/codec/internal';
import { Admission, badType, decisionOf, kind, whole } from '@ws/conn/internal';
import type { HeadersLike, Plan, Refusal } from './options.ts';
import { reportOnce, reportTo } from './reports.ts';
import { ownResponse } from './responses.ts';

/** The result of a handshake. */
export interface Agreement {
  readonly request: Request;
  readonly plan: Plan;
  /** `''` for none. */
  readonly subprotocol: string;
  readonly auth: unknown;
  /** See `admit`. */
  readonly expires: Date | number | undefined;
}

/** Headers that an application cannot set, as on servers of Node. */
const HANDSHAKE_HEADERS =
  'connection upgrade content-length transfer-encoding sec-websocket-accept'.split(' ');

/** A Response that refuses a request, with a line of text: the class adds its type. */
export function refuse(status: number, text: string, headers?: HeadersLike): Response {
  const all = new Headers(headers);
  all.set('X-Content-Type-Options', 'nosniff');
  const hasBody = status !== 304;
  return new Response(hasBody ? `${text}\n` : null, { status, headers: all });
}

/**
 * Refuses a request with a malformed Host or target: `Host: a/b` would become a part of the path.
 *
 * @returns undefined for any other.
 */
export function refuseBadHost({ headers, url }: Request): Response | undefined {
  const host = headers.get('host');
  const isValid = (!host || parseHostPort(host) !== undefined) && URL.canParse(url);
  return isValid
    ? undefined
    : refuse(400, "not an HTTP request: malformed 'Host' header or target");
}

/**
 * Checks a request, and asks `authenticate`.
 *
 * @param clientSignal - Aborted when the client leaves, on a runtime that knows it.
 * @param wireIsChecked - See {@link factsOf}.
 * @param canExpire - Whether the connection of the runtime can end with a login.
 * @returns The refusal, or what both ends agree on. Never throws for the request.
 */
export async function negotiate(
  request: Request,
  plan: Plan,
  clientSignal: AbortSignal | undefined,
  wireIsChecked = false,
  canExpire = false,
): Promise<Response | Agreement> {
  const facts = factsOf(request, wireIsChecked);
  const refusal = checkRequest(facts, plan);
  if (refusal !== undefined) return refusal;
  const { authenticate, subprotocols = [] } = plan.options;
  const admission =
    authenticate === undefined
      ? (decisionOf(true) as Admission<true>)
      : await ask(request, plan, authenticate, clientSignal, canExpire);
  // Each Response refuses: see `readAuth`.
  if (!Admission.is(admission)) return admission;
  const offered = parseSubprotocols(facts.list('sec-websocket-protocol'));
  if (offered === undefined) {
    return refuse(400, "not a websocket handshake: malformed 'Sec-WebSocket-Protocol' header");
  }
  const subprotocol = subprotocols.find((name) => offered.includes(name)) ?? '';
  const { auth, expires } = admission;
  return { request, plan, subprotocol, auth, expires };
}

/** The fields of an opening handshake that a Worker does not send when it calls another one. */
const WIRE: Readonly<Record<string, string>> = {
  connection: 'Upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
};

const NO_URL = { host: '', pathname: '', search: '' };

/**
 * Describes a Request, for the codec's table of rules.
 *
 * @param wireIsChecked - The runtime checks requests itself, and also calls `fetch` without a wire.
 *   Such a call follows the rules of the wire, and its URL has the host.
 */
function factsOf({ method, headers, url }: Request, wireIsChecked: boolean): RequestFacts {
  // Some runtimes build the URL from a malformed Host.
  const { host, pathname, search } = URL.canParse(url) ? new URL(url) : NO_URL;
  const isCall = wireIsChecked && !Object.keys(WIRE).some((name) => headers.has(name));
  const added: Readonly<Record<string, string>> = {
    ...(wireIsChecked && { host }),
    ...(isCall && WIRE),
  };
  const get = (name: string): string | undefined => headers.get(name) ?? added[name];
  // Headers joins the lines of a field so.
  const lines = (name: string): string[] => get(name)?.split(', ') ?? [];
  return {
    method,
    target: pathname + search,
    version: '1.1',
    remoteAddress: undefined,
    has: (name) => get(name) !== undefined,
    once: (name) => (lines(name).length === 1 ? get(name) : undefined),
    lines,
    list: (name) => get(name) ?? '',
  };
}

function checkRequest(facts: RequestFacts, plan: Plan): Response | undefined {
  const refusal = refuseByRule(facts, 'request') ?? refuseByRule(facts, 'origin');
  if (refusal !== undefined) return refusal;
  if (!plan.origins.allows(facts)) {
    const [origin = '', host] = [facts.once('origin'), facts.list('host')];
    return refuse(403, `origin ${shown(origin)} does not match host ${shown(host)}`);
  }
  return refuseByRule(facts, 'offers');
}

/**
 * Refuses a request that breaks a rule of the step. `checkRequest` of the codec would bring the rules
 * of HTTP/2 into the bundle.
 */
function refuseByRule(facts: RequestFacts, step: RequestStep): Response | undefined {
  const broken = requestRules.find((rule) => rule.step === step && !rule.holds(facts));
  if (broken === undefined) return undefined;
  const headers = new Headers(Object.fromEntries(broken.headers ?? []));
  // RFC 9110, section 7.8.
  if (headers.has('upgrade')) headers.set('Connection', 'Upgrade');
  return refuse(broken.status, broken.message, headers);
}

/** A value of the client, without characters that have a meaning in HTML. */
function shown(value: string): string {
  return value.slice(0, 80).replaceAll(/[^!-~]|[<>&"'`\\]/g, '?') || '(empty)';
}

/** The functions `report`, and {@link ask}, that got the error of a forgotten `return`. */
const reportedNothing = /* @__PURE__ */ new WeakSet<object>();

/** Reports once that `authenticate` has returned undefined: it looks like wrong credentials. */
function reportNothing(request: Request, { report }: Plan['options']): void {
  const error = new TypeError(
    'authenticate returned undefined, which refuses with 401; return true to admit without data, false to refuse (reported once)',
  );
  const context = { where: 'authenticate', request, status: 401 };
  reportOnce(reportedNothing, report ?? ask, report, error, context);
}

/** @returns The admission, or the refusal. */
async function ask(
  request: Request,
  plan: Plan,
  authenticate: NonNullable<Plan['options']['authenticate']>,
  clientSignal: AbortSignal | undefined,
  canExpire: boolean,
): Promise<Admission<unknown> | Response> {
  const controller = new AbortController();
  const leave = (): void => controller.abort(clientSignal!.reason);
  clientSignal?.addEventListener('abort', leave);
  const ms = plan.handshakeTimeout;
  let cancel!: () => void;
  const late = new Promise<Refusal>((resolve) => {
    cancel = after(ms, () => {
      resolve({ refuse: 503, body: 'handshake timed out' });
      controller.abort(new Error(`handshake timed out after ${ms} ms (option handshakeTimeout)`));
    });
  });
  try {
    const result = (async () => authenticate(request, { signal: controller.signal }))();
    const first = await Promise.race([result, late]);
    if (first === undefined) reportNothing(request, plan.options);
    const decision = readAuth(first, canExpire);
    return Admission.is(decision) ? decision : await ownResponse(decision);
  } catch (error) {
    return refusalOfError(request, plan, error);
  } finally {
    cancel();
    clientSignal?.removeEventListener('abort', leave);
  }
}

/**
 * @returns The admission, or a Response that refuses.
 * @throws an error that `authenticate` has returned; TypeError, RangeError for a refusal that cannot
 *   be sent, and for a result that decides nothing.
 */
function readAuth(result: unknown, canExpire: boolean): Admission<unknown> | Response {
  const decision = decisionOf(result);
  if (decision === undefined) return refuse(401, 'Unauthorized');
  if (Admission.is(decision)) {
    if (decision.expires === undefined || canExpire) return decision;
    throw new TypeError('admit: this runtime cannot end a login; leave out the option expires');
  }
  if (kind(decision) === 'Response') {
    // Below 300, it would look like an upgrade.
    whole('authenticate: refuse: status of the Response', (decision as Response).status, 300, 599);
    return decision as Response;
  }
  return refusalOf(decision as Refusal);
}

/** @throws TypeError, RangeError for a refusal that cannot be sent. */
function refusalOf({ refuse: given, headers, body = 'refused' }: Refusal): Response {
  const status: unknown = given === true ? 401 : given;
  // The string of an Admission of another copy says what it is.
  if (typeof status === 'string') throw new TypeError(`authenticate: refuse: got ${status}`);
  if (typeof body !== 'string') throw badType('body: expected a string', body);
  const all = new Headers(headers);
  const own = HANDSHAKE_HEADERS.find((name) => all.has(name));
  if (own !== undefined) throw new TypeError(`header ${own} is set by the handshake`);
  return refuse(whole('authenticate: refuse', status, 300, 599), body, all);
}

/** An error that is meant for the client, as http-errors makes it, has its own status and headers. */
function refusalOfError(request: Request, { options }: Plan, error: unknown): Response {
  try {
    const { expose, status = 0, headers, message } = Object(error) as ExposedError;
    if (expose === true && status >= 400 && status <= 499) {
      return refusalOf({ refuse: status, headers, body: String(message) });
    }
  } catch {
    // A getter or a trap of the error has thrown, or its refusal cannot be sent.
  }
  reportTo(options.report, error, { where: 'authenticate', request, status: 500 });
  return refuse(500, 'Internal Server Error');
}

type ExposedError = Partial<Omit<Refusal, 'refuse'> & Error & { expose: boolean; status: number }>;
