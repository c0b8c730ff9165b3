import { HeaderScanner } from './header-scanner.ts';

/** A parameter's values, in the order of the header; `true` for a parameter without a value. */
export type ExtensionParameters = Record<string, (string | true)[]>;
/** The extensions of a header by name, each with its offers in order. */
export type Extensions = Record<string, ExtensionParameters[]>;

/**
 * Reads `Sec-WebSocket-Extensions`.
 *
 * @throws SyntaxError that names the index of the first character that does not fit.
 * @see RFC 6455, section 9.1
 */
export function parse(header: string): Extensions {
  const scanner = new HeaderScanner(header);
  // Names of the peer, such as `__proto__`, are names like any other.
  const offers = Object.create(null) as Extensions;
  do {
    const name = scanner.token(',;');
    const params = Object.create(null) as ExtensionParameters;
    while (scanner.take(';')) readParameter(scanner, params);
    (offers[name] ??= []).push(params);
  } while (scanner.take(','));
  return offers;
}

function readParameter(scanner: HeaderScanner, params: ExtensionParameters): void {
  const key = scanner.token(',;=');
  const values = (params[key] ??= []);
  values.push(scanner.take('=') ? scanner.value(',;') : true);
}

/** Writes `Sec-WebSocket-Extensions`. */
export function format(
  extensions: Record<string, Record<string, unknown> | readonly Record<string, unknown>[]>,
): string {
  return Object.entries(extensions)
    .flatMap(([name, offers]) =>
      (Array.isArray(offers) ? offers : [offers]).map((params: Record<string, unknown>) =>
        [name, ...Object.entries(params).flatMap(formatParameter)].join('; '),
      ),
    )
    .join(', ');
}

function formatParameter([key, values]: [string, unknown]): string[] {
  const list: unknown[] = Array.isArray(values) ? values : [values];
  return list.map((value) => (value === true ? key : `${key}=${String(value)}`));
}
