import { after, whole } from '@ws/browser/internal';
import { parseHostPort } from '@ws/codec/internal';
import { errorOf, kind } from '@ws/conn/internal';
import type { HeadersLike, Plan, Refusal } from './options.ts';
import { reportTo } from './reports.ts';
import { isResponse, ownResponse } from './responses.ts';

/** What a handshake has agreed on. */
export interface Agreement {
  readonly request: Request;
  readonly plan: Plan;
  /** `''` for none. */
  readonly subprotocol: string;
  readonly auth: unknown;
}

const BAD = 'not a websocket handshake:';
const NOT_WEBSOCKET = 'the client is not using the websocket protocol:';
const BAD_VERSION = "unsupported version: 13 not found in 'Sec-Websocket-Version' header";
/** As in the codec: the spare bits of the last character have no meaning. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const MAX_OFFER = 4_096;

/** A Response that refuses a request, with a line of text: the class adds its type. */
export function refuse(status: number, text: string, headers?: HeadersLike): Response {
  const all = new Headers(headers);
  all.set('X-Content-Type-Options', 'nosniff');
  const hasBody = status !== 304;
  return new Response(hasBody ? `${text}\n` : null, { status, headers: all });
}

/**
 * Refuses a request whose Host or target is malformed: `Host: a/b` would become a part of the path.
 *
 * @returns undefined for any other.
 */
export function refuseBadHost({ headers, url }: Request): Response | undefined {
  const host = headers.get('host');
  const isValid = (!host || parseHostPort(host, '') !== undefined) && URL.canParse(url);
  return isValid
    ? undefined
    : refuse(400, `not an HTTP request: malformed 'Host' header or target`);
}

/**
 * Checks a request, and asks `authenticate`. The rules, their order and their words are those of
 * `requestRules` in the codec, as far as a Request shows them.
 *
 * @param clientSignal - Aborted when the client leaves, on a runtime that knows it.
 * @param wireIsChecked - The runtime checks requests itself, and calls `fetch` without a wire, too.
 * @returns The refusal, or what both ends agree on. Never throws for the request.
 */
export async function negotiate(
  request: Request,
  plan: Plan,
  clientSignal: AbortSignal | undefined,
  wireIsChecked = false,
): Promise<Response | Agreement> {
  const refusal = checkRequest(request, plan, wireIsChecked);
  if (refusal !== undefined) return refusal;
  const { authenticate, subprotocols = [] } = plan.options;
  const auth =
    authenticate === undefined ? true : await ask(request, plan, authenticate, clientSignal);
  // Each Response refuses: see `readAuth`.
  if (isResponse(auth)) return ownResponse(auth);
  const offer = request.headers.get('sec-websocket-protocol') ?? '';
  const offered = listOf(offer);
  if (offer.length > MAX_OFFER || new Set(offered).size < offered.length) {
    return refuse(400, `${BAD} malformed 'Sec-WebSocket-Protocol' header`);
  }
  const subprotocol = subprotocols.find((name) => offered.includes(name)) ?? '';
  return { request, plan, subprotocol, auth };
}

/** Fields of the wire, which a Worker that calls another one does not send. */
const WIRE_FIELDS = ['connection', 'sec-websocket-version', 'sec-websocket-key'];

function checkRequest(
  { method, headers, url }: Request,
  plan: Plan,
  wireIsChecked: boolean,
): Response | undefined {
  const isCall = wireIsChecked && !WIRE_FIELDS.some((name) => headers.has(name));
  const of = (name: string): string => headers.get(name) ?? '';
  const lists = (name: string, token: string): boolean =>
    listOf(of(name).toLowerCase()).includes(token);
  const host = headers.get('host') ?? (wireIsChecked ? new URL(url).host : '');
  // `Host` is all that the origin is compared with.
  if (parseHostPort(host, '') === undefined) {
    return refuse(400, `${BAD} 'Host' header is not a valid host`);
  }
  if (headers.has('transfer-encoding') || !/^0*$/.test(of('content-length'))) {
    return refuse(400, `${BAD} request has a body`);
  }
  if (!isCall && !lists('connection', 'upgrade')) {
    return refuse(400, `${NOT_WEBSOCKET} 'upgrade' token not found in 'Connection' header`);
  }
  const upgrade = { Upgrade: 'websocket', Connection: 'Upgrade' };
  if (!lists('upgrade', 'websocket')) {
    return refuse(426, `${NOT_WEBSOCKET} 'websocket' token not found in 'Upgrade' header`, upgrade);
  }
  if (method !== 'GET') {
    return refuse(405, `${NOT_WEBSOCKET} request method is not GET`, { Allow: 'GET' });
  }
  const version = isCall ? '13' : headers.get('sec-websocket-version');
  if (version === null || version.includes(',')) return refuse(400, BAD_VERSION);
  if (version !== '13') {
    return refuse(426, BAD_VERSION, { ...upgrade, 'Sec-WebSocket-Version': '13' });
  }
  const origin = headers.get('origin');
  const facts = { has: () => true, once: () => origin ?? undefined, list: () => host };
  if (origin !== null && !plan.origins.allows(facts)) {
    return refuse(403, `origin ${shown(origin)} does not match host ${shown(host)}`);
  }
  if (!isCall && !KEY.test(of('sec-websocket-key'))) {
    return refuse(
      400,
      `${BAD} 'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length`,
    );
  }
  return undefined;
}

function listOf(value: string): string[] {
  return value.split(',').map((each) => each.trim());
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
  const status = given === true ? 401 : given;
  return refuse(whole('authenticate: refuse', status, 300, 599), body, headers);
}

/** @throws TypeError for an object that looks like a refusal, or contains a result of `admit`. */
function checkedAuth(result: object): object {
  const { status } = result as { status?: unknown };
  const isRefusal = typeof status === 'number' && status >= 300 && status <= 599;
  if (!isRefusal && !hasAdmission(result)) return result;
  const what = isRefusal ? `the status ${status}` : 'a result of admit in it';
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
  const { expose, status = 0, message } = Object(error) as Partial<Error> & Exposed;
  if (expose === true && status >= 400 && status <= 499) return refuse(status, String(message));
  reportTo(options.report, error, { where: 'authenticate', request, status: 500 });
  return refuse(500, 'Internal Server Error');
}

interface Exposed {
  readonly expose?: boolean;
  readonly status?: number;
}
