import { after } from '@ws/browser/internal';
import { parseSubprotocols, type RequestFacts, type RequestStep, requestRules } from '@ws/codec';
import { parseHostPort } from '@ws/codec/internal';
import { errorOf, kind, whole } from '@ws/conn/internal';
import type { HeadersLike, Plan, Refusal } from './options.ts';
import { reportTo } from './reports.ts';
import { isResponse, ownResponse } from './responses.ts';

/** The result of a handshake. */
export interface Agreement {
  readonly request: Request;
  readonly plan: Plan;
  /** `''` for none. */
  readonly subprotocol: string;
  readonly auth: unknown;
}

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
 * @returns The refusal, or what both ends agree on. Never throws for the request.
 */
export async function negotiate(
  request: Request,
  plan: Plan,
  clientSignal: AbortSignal | undefined,
  wireIsChecked = false,
): Promise<Response | Agreement> {
  const facts = factsOf(request, wireIsChecked);
  const refusal = checkRequest(facts, plan);
  if (refusal !== undefined) return refusal;
  const { authenticate, subprotocols = [] } = plan.options;
  const auth =
    authenticate === undefined ? true : await ask(request, plan, authenticate, clientSignal);
  // Each Response refuses: see `readAuth`.
  if (isResponse(auth)) return ownResponse(auth);
  const offered = parseSubprotocols(facts.list('sec-websocket-protocol'));
  if (offered === undefined) {
    return refuse(400, "not a websocket handshake: malformed 'Sec-WebSocket-Protocol' header");
  }
  const subprotocol = subprotocols.find((name) => offered.includes(name)) ?? '';
  return { request, plan, subprotocol, auth };
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

/** @returns The result of `authenticate`, or the refusal. */
async function ask(
  request: Request,
  plan: Plan,
  authenticate: NonNullable<Plan['options']['authenticate']>,
  clientSignal: AbortSignal | undefined,
): Promise<unknown> {
  const controller = new AbortController();
  const leave = (): void => controller.abort(clientSignal!.reason);
  clientSignal?.addEventListener('abort', leave);
  const ms = plan.handshakeTimeout;
  let cancel!: () => void;
  const late = new Promise<Response>((resolve) => {
    cancel = after(ms, () => {
      resolve(refuse(503, 'handshake timed out'));
      controller.abort(new Error(`handshake timed out after ${ms} ms (option handshakeTimeout)`));
    });
  });
  try {
    const result = (async () => authenticate(request, { signal: controller.signal }))();
    return readAuth(await Promise.race([result, late]));
  } catch (error) {
    return refusalOfError(request, plan, error);
  } finally {
    cancel();
    clientSignal?.removeEventListener('abort', leave);
  }
}

/**
 * @returns The auth, or a Response that refuses.
 * @throws an error that `authenticate` has returned; TypeError, RangeError for a refusal that cannot
 *   be sent, and for a result that looks like one.
 */
function readAuth(result: unknown): unknown {
  if (!result) return refuse(401, 'Unauthorized');
  if (errorOf(result) === result) throw result;
  if (typeof result !== 'object') return result;
  if (kind(result) === 'Response') {
    // Below 300, it would look like an upgrade.
    whole('authenticate: status of the Response', (result as Response).status, 300, 599);
    return result;
  }
  if (!('refuse' in result)) return checkedAuth(result);
  const { refuse: given, headers, body = 'refused' } = result as Refusal;
  const status: unknown = given === true ? 401 : given;
  // The string of an Admission says what it is.
  if (typeof status === 'string') throw new TypeError(`authenticate: refuse: got ${status}`);
  return refuse(whole('authenticate: refuse', status, 300, 599), body, headers);
}

/** An object that has only these describes an error, and no user. */
const ERROR_KEYS = ['error', 'message', 'code'];

/** @throws TypeError for an object that looks like a refusal, or contains a result of `admit`. */
function checkedAuth(result: object): object {
  const { status } = result as { status?: unknown };
  const keys = Object.keys(result);
  let what: string;
  if (typeof status === 'number' && status >= 300 && status <= 599) what = `the status ${status}`;
  else if (keys.length > 0 && keys.every((key) => ERROR_KEYS.includes(key))) {
    what = `no data but ${keys.join(' and ')}`;
  } else if (hasAdmission(result)) what = 'a result of admit in it';
  else return result;
  throw new TypeError(
    `authenticate: got an object with ${what}; to refuse, write { refuse: 401 }; to admit, return admit(auth) itself`,
  );
}

/** Whether data contains a result of `admit`. The data may be large. Calls no getter. */
function hasAdmission(data: object, depth = 3): boolean {
  const own = (object: object, key: string): unknown =>
    Object.getOwnPropertyDescriptor(object, key)?.value;
  return Object.keys(data)
    .slice(0, 100)
    .some((key) => {
      const value = own(data, key);
      if (typeof value !== 'object' || value === null) return false;
      const refused = own(value, 'refuse');
      const isOne = typeof refused === 'string' && refused.startsWith('a result of admit');
      return isOne || (depth > 1 && hasAdmission(value, depth - 1));
    });
}

/** An error that is meant for the client, as http-errors makes it, has its own status. */
function refusalOfError(request: Request, { options }: Plan, error: unknown): Response {
  const {
    expose,
    status = 0,
    message,
  } = Object(error) as Partial<Error> & {
    readonly expose?: boolean;
    readonly status?: number;
  };
  if (expose === true && status >= 400 && status <= 499) return refuse(status, String(message));
  reportTo(options.report, error, { where: 'authenticate', request, status: 500 });
  return refuse(500, 'Internal Server Error');
}
