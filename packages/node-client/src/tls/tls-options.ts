import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls';

/** Options that say who we are, or for whom one certain server is to be taken. */
const IDENTITY: ReadonlySet<string> = new Set<keyof ConnectionOptions>([
  'cert',
  'key',
  'pfx',
  'passphrase',
  'clientCertEngine',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'pskCallback',
  'session',
  'servername',
  'ALPNProtocols',
]);

/** What Node would find out when it is too late to say so: it is checked here, by name. */
const EXPECTED: ReadonlyMap<string, readonly [what: string, holds: (value: unknown) => boolean]> =
  new Map([
    ['checkServerIdentity', ['a function', isFunction]],
    ['pskCallback', ['a function', isFunction]],
    ['lookup', ['a function', isFunction]],
    ['rejectUnauthorized', ['a boolean', (value) => typeof value === 'boolean']],
    ['servername', ['a string', isString]],
    ['session', ['bytes', (value) => isString(value) || ArrayBuffer.isView(value)]],
    ['ALPNProtocols', ['an array of strings or bytes', isProtocols]],
    ['minDHSize', ['a number above 0', (value) => typeof value === 'number' && value > 0]],
  ]);

/**
 * A copy of TLS options without those that are undefined, which would take the place of Node's defaults.
 *
 * @throws TypeError that names the option.
 */
export function checkTls(tls: ConnectionOptions): ConnectionOptions {
  const given = Object.entries(tls).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const [what, holds] = EXPECTED.get(name) ?? [];
    if (holds === undefined || holds(value)) continue;
    const got = value === null ? 'null' : typeof value;
    throw new TypeError(`tls.${name}: expected ${what}, got ${got}`);
  }
  return Object.fromEntries(given);
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function isProtocols(value: unknown): boolean {
  if (ArrayBuffer.isView(value)) return true;
  return Array.isArray(value) && value.every((name) => isString(name) || ArrayBuffer.isView(name));
}

/** TLS options for one kind of peer, with the context that is made of them. */
export class TlsOptions {
  readonly given: ConnectionOptions;
  readonly #forNamed: boolean;
  #secureContext: SecureContext | undefined;

  /**
   * @param named - For the server that the caller named. Otherwise only the part is taken that holds for any server, whom
   *   to trust and how: a client certificate, a name to expect or a session is none of a proxy's, nor of another server's
   *   business.
   */
  constructor(tls: ConnectionOptions | undefined, named: boolean) {
    const all = tls ?? {};
    this.#forNamed = named;
    this.given = named
      ? all
      : Object.fromEntries(Object.entries(all).filter(([name]) => !IDENTITY.has(name)));
  }

  /**
   * Made when it is first asked for, and shared, since it parses certificates.
   *
   * @param label - The peer that it is for.
   * @throws what `tls.createSecureContext` throws for bad options; TypeError where one was given that may hold who we
   *   are, for somebody else than the named server.
   */
  secureContext(label: string): SecureContext {
    const { secureContext } = this.given;
    if (!this.#forNamed && secureContext !== undefined) {
      throw new TypeError(
        `tls.secureContext: it is for the server of the URL, and not for ${label}; give ca, cert, key, ... in its place`,
      );
    }
    this.#secureContext ??= secureContext ?? createSecureContext(this.given);
    return this.#secureContext;
  }
}
