import { HandshakeError } from './errors.ts';

const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)/i;

/**
 * Removes scheme and authority of an absolute URI. The result starts with a slash.
 *
 * @param target - A path or an absolute URI.
 * @see RFC 9112, sections 3.2.1 and 3.2.2
 */
export function pathForm(target: string): string {
  if (target.startsWith('/')) return target;
  const rest = target.replace(ABSOLUTE, '');
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * Splits a request target at its query.
 *
 * @param target - By {@link pathForm}.
 */
export function splitTarget(target: string): [path: string, query: string] {
  const at = target.indexOf('?');
  return at === -1 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}

/**
 * Percent-decodes each segment of a path once, after the handshake has checked that all are
 * percent-encoded UTF-8. `%2F` stays: the result has the segments of `path`.
 */
export function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  return path.split('/').map(decodeSegment).join('/');
}

function decodeSegment(segment: string): string {
  return decodeURIComponent(segment).replaceAll('/', '%2F');
}

/**
 * The parameters of a route by their names: `RouteParams<'/feed/:id/:sub'>` is
 * `{ id: string; sub: string }`. For a pattern that is known only at run time, every name may be
 * missing.
 */
export type RouteParams<Pattern extends string> = Pattern extends unknown
  ? string extends Pattern
    ? { [name: string]: string | undefined }
    : { [Name in ParamNames<Pattern>]: string }
  : never;

type ParamNames<
  Pattern extends string,
  Found = never,
> = Pattern extends `${infer First}/${infer Rest}`
  ? ParamNames<Rest, Found | ParamName<First>>
  : Found | ParamName<Pattern>;

type ParamName<Segment> = Segment extends `:${infer Name}` ? Name : never;

/** The parameters of a connection that no route has matched: an empty object. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- no name is what it says
export type NoParams = RouteParams<''>;

/** Finds the handler for a request. */
export type Router<Handler> = Pick<RouteTable<Handler>, 'has' | 'match'>;

/** A pattern with parameters. */
interface Template<Handler> {
  readonly pattern: string;
  /** Literal segments as sent; a parameter is `:` and its name. */
  readonly segments: readonly string[];
  readonly handler: Handler;
}

const noParams: NoParams = Object.freeze(Object.create(null) as NoParams);

const PARAM = /^:[A-Za-z_$][A-Za-z0-9_$]*$/;
/** `segment` of RFC 3986, section 3.3, without `:` and `*`, which have a meaning in patterns. */
const LITERAL = /^(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})*$/;
/** Characters of an unknown path that an error message quotes. */
const MAX_QUOTED_PATH = 100;

/**
 * Handlers by request path. A path is compared as sent, segment by segment, in time linear in its
 * length. A literal segment takes precedence over a parameter: the leftmost difference decides,
 * whatever the order of the routes.
 */
export class RouteTable<Handler> {
  readonly #literal = new Map<string, Handler>();
  /** Sorted, the most literal first. */
  readonly #templates: readonly Template<Handler>[];
  /** Segments of the longest template. Longer paths are not split any further. */
  readonly #maxSegments: number;
  readonly #known: string;

  /**
   * @throws TypeError that names a pattern that is malformed or clashes with another, or for no
   *   pattern at all.
   */
  constructor(routes: { readonly [pattern: string]: Handler }) {
    const templates: Template<Handler>[] = [];
    for (const [pattern, handler] of Object.entries(routes)) {
      const segments = parsePattern(pattern);
      if (!segments.some(isParam)) this.#literal.set(pattern, handler);
      else templates.push({ pattern, segments, handler });
    }
    this.#known = Object.keys(routes).join(', ');
    if (this.#known === '') throw new TypeError('routes: expected at least one path');
    this.#templates = templates.toSorted(byRank);
    this.#maxSegments = templates.reduce(
      (most, { segments }) => Math.max(most, segments.length),
      0,
    );
    refuseClashes(this.#templates);
  }

  /**
   * @param target - The request target as sent.
   * @throws HandshakeError 404 for an unknown path, 400 when a parameter is not percent-encoded
   *   UTF-8.
   */
  match(target: string): { handler: Handler; params: NoParams; route: string | undefined } {
    const [path] = splitTarget(pathForm(target));
    const literal = this.#literal.get(path);
    if (literal !== undefined) return { handler: literal, params: noParams, route: path };
    const segments = this.#split(path);
    const template = this.#find(segments);
    if (template !== undefined) {
      const { handler, pattern } = template;
      return { handler, params: readParams(template.segments, segments), route: pattern };
    }
    throw this.#notFound(path);
  }

  /** Whether there is a handler for a request target as sent. */
  has(target: string): boolean {
    const [path] = splitTarget(pathForm(target));
    return this.#literal.has(path) || this.#find(this.#split(path)) !== undefined;
  }

  #split(path: string): string[] {
    return path.split('/', this.#maxSegments + 1);
  }

  #find(segments: readonly string[]): Template<Handler> | undefined {
    return this.#templates.find((template) => matches(template.segments, segments));
  }

  /** The message lists the routes for the log. The body does not show them to the peer. */
  #notFound(path: string): HandshakeError {
    const quoted = JSON.stringify(
      path.length > MAX_QUOTED_PATH ? `${path.slice(0, MAX_QUOTED_PATH)}...` : path,
    );
    return new HandshakeError(404, `no route for ${quoted}; known routes: ${this.#known}`, {
      body: 'not found: no WebSocket route has this path; case and a trailing slash count\n',
    });
  }
}

/** Makes a router that returns `handler` for every path. */
export function anyPath<Handler>(handler: Handler): Router<Handler> {
  const match = { handler, params: noParams, route: undefined };
  return { has: () => true, match: () => match };
}

function isParam(segment: string): boolean {
  return segment.startsWith(':');
}

/** @throws TypeError for a malformed pattern. */
function parsePattern(pattern: string): string[] {
  const bad = (why: string): TypeError =>
    new TypeError(`routes: ${JSON.stringify(pattern)} ${why}`);
  if (/^(open|message|close|drain|error|ping|pong|upgrade)$/.test(pattern)) {
    throw bad('is no path; a handler is one function, (conn) => conn.receive(...)');
  }
  if (!pattern.startsWith('/')) {
    throw bad(`does not start with a slash; write ${JSON.stringify(`/${pattern}`)}`);
  }
  const segments = pattern.split('/');
  const names = new Set<string>();
  for (const segment of segments) {
    const known = isParam(segment) ? PARAM.test(segment) : LITERAL.test(segment);
    if (!known) {
      let cure = 'expected a parameter, a colon and its name, or a part of a path as it is sent';
      if (segment.includes('*')) cure = 'it is no wildcard; write a parameter, such as :name';
      if (segment.includes('?')) cure = 'a route has no query; read context.query';
      throw bad(`has the segment ${JSON.stringify(segment)}: ${cure}`);
    }
    if (isParam(segment) && names.has(segment)) throw bad(`has two parameters ${segment}`);
    names.add(segment);
  }
  return segments;
}

/** Returns the pattern without the names of its parameters. */
function shapeOf(segments: readonly string[]): string {
  return segments.map((segment) => (isParam(segment) ? ':' : segment)).join('/');
}

/** Returns a sort key: a pattern with a later first parameter sorts first. */
function rankOf({ segments }: Template<unknown>): string {
  return segments.map((segment) => (isParam(segment) ? '1' : '0')).join('');
}

function byRank(a: Template<unknown>, b: Template<unknown>): number {
  const [first, second] = [rankOf(a), rankOf(b)];
  if (first === second) return 0;
  return first < second ? -1 : 1;
}

/** @throws TypeError for two patterns that match the same paths. */
function refuseClashes(templates: readonly Template<unknown>[]): void {
  const patterns = new Map<string, string>();
  for (const { pattern, segments } of templates) {
    const shape = shapeOf(segments);
    const other = patterns.get(shape);
    if (other !== undefined) {
      throw new TypeError(`routes: ${pattern} and ${other} match the same paths`);
    }
    patterns.set(shape, pattern);
  }
}

/** A parameter matches one segment that is not empty. */
function matches(pattern: readonly string[], path: readonly string[]): boolean {
  return (
    pattern.length === path.length &&
    pattern.every((segment, i) => (isParam(segment) ? path[i] !== '' : segment === path[i]))
  );
}

/**
 * Decodes each parameter once. The result may contain a slash or `..`; the application has to check
 * it.
 *
 * @returns An object without a prototype, so that `__proto__` is an ordinary name.
 * @throws HandshakeError 400 when a parameter is not percent-encoded UTF-8.
 */
function readParams(pattern: readonly string[], path: readonly string[]): NoParams {
  const params = Object.create(null) as Record<string, string>;
  for (const [i, segment] of pattern.entries()) {
    if (isParam(segment)) params[segment.slice(1)] = decode(path[i]!);
  }
  return params;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HandshakeError(400, 'not a websocket handshake: path is not percent-encoded UTF-8');
  }
}
