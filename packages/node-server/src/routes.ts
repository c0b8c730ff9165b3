import { HandshakeError } from './errors.ts';
import { expect } from './options.ts';

/**
 * The parameters of a path by their names in its pattern: `RouteParams<'/feed/:id/:sub'>` is
 * `{ id: string; sub: string }`. Of a pattern that is known only at run time every name may be missing.
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

/** The parameters of a path that no pattern has matched: none. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- no name is what it says
export type NoParams = RouteParams<''>;

/** What a request's path leads to. */
export interface Found<Handler> {
  readonly handler: Handler;
  readonly params: NoParams;
}

/** Says which handler a request is for. */
export interface Router<Handler> {
  /** @param target - Of the request, as it was sent. */
  find(target: string): Found<Handler>;
}

/** A pattern with parameters. */
interface Template<Handler> {
  readonly pattern: string;
  /** Literal segments as they are to be sent; of a parameter `:` and its name. */
  readonly segments: readonly string[];
  readonly handler: Handler;
}

const noParams: NoParams = Object.freeze(Object.create(null) as NoParams);

const PARAM = /^:[A-Za-z_$][A-Za-z0-9_$]*$/;
/** RFC 3986's `segment`, without the two characters that have a meaning elsewhere: `:` and `*`. */
const LITERAL = /^(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})*$/;
/** How much of a path that leads nowhere is told, in characters. */
const TOLD = 100;

/**
 * Handlers by the paths of their requests. A path is compared as it was sent, segment by segment, in time linear in its
 * length; a literal segment goes before a parameter, the leftmost difference deciding, in whatever order they are given.
 */
export class RouteTable<Handler> implements Router<Handler> {
  readonly #literal = new Map<string, Handler>();
  /** The most literal first. */
  readonly #templates: readonly Template<Handler>[];
  /** Segments of the longest of them: more of a path need not be looked at. */
  readonly #longest: number;
  readonly #rest: Handler | undefined;
  readonly #known: string;

  /**
   * @param rest - Gets the paths that no pattern matches.
   * @throws TypeError that names the pattern: one that is malformed, that clashes with another or has no handler.
   */
  constructor(routes: { readonly [pattern: string]: Handler }, rest?: Handler) {
    checkHandlers(routes);
    if (rest !== undefined) expect('handler', rest, typeof rest === 'function', 'a function');
    const templates: Template<Handler>[] = [];
    for (const [pattern, handler] of Object.entries(routes)) {
      const segments = parsePattern(pattern);
      if (!segments.some(isParam)) this.#literal.set(pattern, handler);
      else templates.push({ pattern, segments, handler });
    }
    this.#known = Object.keys(routes).join(', ');
    if (this.#known === '' && rest === undefined) {
      throw new TypeError('routes: expected at least one path, or a handler for all');
    }
    this.#templates = templates.toSorted(byRank);
    this.#longest = templates.reduce((most, { segments }) => Math.max(most, segments.length), 0);
    this.#rest = rest;
    refuseClashes(this.#templates);
  }

  /**
   * @param target - Of the request, as it was sent.
   * @throws HandshakeError 404 for a path that leads nowhere, 400 when a parameter is not percent-encoded UTF-8.
   */
  find(target: string): Found<Handler> {
    const path = pathOf(target);
    const literal = this.#literal.get(path);
    if (literal !== undefined) return { handler: literal, params: noParams };
    const segments = path.split('/', this.#longest + 1);
    const template = this.#templates.find((candidate) => matches(candidate.segments, segments));
    if (template !== undefined) {
      return { handler: template.handler, params: readParams(template.segments, segments) };
    }
    if (this.#rest !== undefined) return { handler: this.#rest, params: noParams };
    throw this.#nowhere(path);
  }

  /** The peer is not told which paths there are; who reads the error is. */
  #nowhere(path: string): HandshakeError {
    const told = JSON.stringify(path.length > TOLD ? `${path.slice(0, TOLD)}...` : path);
    return new HandshakeError(404, `no route for ${told}; there are ${this.#known || 'none'}`, {
      body: 'not found: no WebSocket route has this path; case and a slash at the end count\n',
    });
  }
}

/** @throws TypeError for what is no object of functions. */
export function checkHandlers(routes: { readonly [pattern: string]: unknown }): void {
  const isTable = typeof routes === 'object' && routes !== null && !(Symbol.iterator in routes);
  expect('routes', routes, isTable, 'an object of handlers by path');
  for (const [pattern, handler] of Object.entries(routes)) {
    const name = `routes: ${JSON.stringify(pattern)}`;
    expect(name, handler, typeof handler === 'function', 'a function');
  }
}

/** Finds `handler` for every path. */
export function anyPath<Handler>(handler: Handler): Router<Handler> {
  const found: Found<Handler> = { handler, params: noParams };
  return { find: () => found };
}

/** The path of a request target that is one, or an absolute URI; without its query. */
function pathOf(target: string): string {
  const [beforeQuery = ''] = target.split('?', 1);
  const path = beforeQuery.replace(/^[a-z]+:\/\/[^/]*/i, '');
  return path === '' ? '/' : path;
}

function isParam(segment: string): boolean {
  return segment.startsWith(':');
}

/** @throws TypeError that says what is wrong with `pattern`. */
function parsePattern(pattern: string): string[] {
  const bad = (why: string): TypeError =>
    new TypeError(`routes: ${JSON.stringify(pattern)} ${why}`);
  if (!pattern.startsWith('/')) throw bad('does not begin with a slash');
  const segments = pattern.split('/');
  const names = new Set<string>();
  for (const segment of segments) {
    const known = isParam(segment) ? PARAM.test(segment) : LITERAL.test(segment);
    if (!known) {
      throw bad(
        `has the segment ${JSON.stringify(segment)}: expected a parameter, a colon and its name, or a part of a path as it is sent`,
      );
    }
    if (isParam(segment) && names.has(segment)) throw bad(`has two parameters ${segment}`);
    names.add(segment);
  }
  return segments;
}

/** The pattern without the names. */
function shapeOf(segments: readonly string[]): string {
  return segments.map((segment) => (isParam(segment) ? ':' : segment)).join('/');
}

/** Which segments are parameters, so that the pattern whose first one comes later sorts before. */
function rankOf({ segments }: Template<unknown>): string {
  return segments.map((segment) => (isParam(segment) ? '1' : '0')).join('');
}

function byRank(a: Template<unknown>, b: Template<unknown>): number {
  const [first, second] = [rankOf(a), rankOf(b)];
  if (first === second) return 0;
  return first < second ? -1 : 1;
}

/** @throws TypeError that names two patterns that match the same paths. */
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

/** A parameter takes one segment that is not empty. */
function matches(pattern: readonly string[], path: readonly string[]): boolean {
  return (
    pattern.length === path.length &&
    pattern.every((segment, i) => (isParam(segment) ? path[i] !== '' : segment === path[i]))
  );
}

/**
 * Decodes each parameter once: what it says then is the application's to judge, a slash or `..` for example.
 *
 * @returns An object without a prototype, so that `__proto__` is a name like any other.
 * @throws HandshakeError 400 for what is not percent-encoded UTF-8.
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
