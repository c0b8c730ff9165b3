import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls';
import { isNativeError } from 'node:util/types';
import { kind } from '@ws/conn/internal';
import { asError, describeResult, withReadableKeys } from '@ws/node-io/internal';

/** Options that identify the client, or that apply to one certain server. */
const IDENTITY_OPTIONS: ReadonlySet<string> = new Set<keyof ConnectionOptions>([
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

/** Checks for options that Node checks too late, by name. */
const OPTION_CHECKS: ReadonlyMap<
  string,
  readonly [what: string, holds: (value: unknown) => boolean]
> = new Map([
  ['checkServerIdentity', ['a function', isFunction]],
  ['pskCallback', ['a function', isFunction]],
  ['lookup', ['a function', isFunction]],
  ['rejectUnauthorized', ['a boolean', (value) => typeof value === 'boolean']],
  ['servername', ['a string', isString]],
  ['session', ['bytes', (value) => isString(value) || ArrayBuffer.isView(value)]],
  ['ALPNProtocols', ['an array of strings or bytes', isProtocols]],
  // It would take the bytes from the connection.
  ['onread', ['undefined, because the connection reads the bytes', () => false]],
  ['minDHSize', ['a number above 0', (value) => typeof value === 'number' && value > 0]],
]);

/**
 * Returns a copy of TLS options without undefined values, which would override the defaults of
 * Node.
 *
 * @param option - `tls` or `proxyTls`, for messages.
 * @throws TypeError that names the option.
 */
export function checkTls(option: string, tls: ConnectionOptions): ConnectionOptions {
  const given = Object.entries(tls).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const [what, holds] = OPTION_CHECKS.get(name) ?? [];
    if (holds === undefined || holds(value)) continue;
    throw new TypeError(`${option}.${name}: expected ${what}, got ${kind(value)}`);
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

/** TLS options for one kind of peer, and the secure context made of them. */
export class TlsOptions {
  readonly given: ConnectionOptions;
  readonly #option: string;
  readonly #isNamedServer: boolean;
  #secureContext: SecureContext | undefined;

  /**
   * @param option - `tls` or `proxyTls`, for messages.
   * @param isNamedServer - Whether the peer is the server that the caller named. Other peers get
   *   only the options about whom to trust: a client certificate, an expected name or a session
   *   must not go to another server.
   */
  constructor(option: string, tls: ConnectionOptions | undefined, isNamedServer: boolean) {
    const all = tls ?? {};
    this.#option = option;
    this.#isNamedServer = isNamedServer;
    this.given = isNamedServer
      ? all
      : Object.fromEntries(Object.entries(all).filter(([name]) => !IDENTITY_OPTIONS.has(name)));
  }

  /**
   * Returns the secure context. It is made on first use and then shared, because making it parses
   * certificates.
   *
   * @param label - Name of the peer, for messages.
   * @throws TypeError for keys and certificates that OpenSSL cannot use, and for a given
   *   `secureContext`, which may identify the client, if the peer is not the named server.
   */
  secureContext(label: string): SecureContext {
    const { secureContext } = this.given;
    if (!this.#isNamedServer && secureContext !== undefined) {
      throw new TypeError(
        `tls.secureContext: it is only for the server of the URL, not for ${label}; give ca, cert, key, ... instead`,
      );
    }
    this.#secureContext ??=
      secureContext ?? withReadableKeys(this.#option, () => createSecureContext(this.given));
    return this.#secureContext;
  }
}

type Callbacks = Pick<ConnectionOptions, 'checkServerIdentity' | 'pskCallback'>;

/** Errors of `checkServerIdentity` and `pskCallback`. */
const callbackErrors = new WeakSet<object>();

/** Returns whether `error` came from `checkServerIdentity` or `pskCallback`. */
export function isCallbackError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && callbackErrors.has(error);
}

/**
 * Wraps the functions among TLS options for one connection. Node calls them from event handlers,
 * where a throw ends the process, and does not check their results.
 *
 * @param fail - Called with the error of a function, or with a TypeError for a bad result. The
 *   connection must fail then. It may be called before `tls.connect` has returned.
 * @param option - The option that holds the functions, for messages.
 */
export function guardedCallbacks(
  given: Callbacks,
  fail: (error: Error) => void,
  option: 'tls' | 'proxyTls',
): Callbacks {
  const { checkServerIdentity, pskCallback } = given;
  // The same peer fails in the same way again.
  const reject = (error: Error): void => {
    callbackErrors.add(error);
    fail(error);
  };
  const guarded: Callbacks = {};
  if (checkServerIdentity !== undefined) {
    const label = `${option}.checkServerIdentity`;
    guarded.checkServerIdentity = (...args) =>
      attempt(label, reject, () => identityError(label, checkServerIdentity(...args)));
  }
  if (pskCallback !== undefined) {
    const label = `${option}.pskCallback`;
    guarded.pskCallback = (hint) =>
      attempt(label, reject, () => pskOf(label, pskCallback(hint))) ?? null;
  }
  return guarded;
}

/** Node takes `false` for a yes, and destroys the socket with any other value as its error. */
function identityError(label: string, verdict: unknown): Error | undefined {
  if (verdict === undefined || verdict === null) return undefined;
  if (!isNativeError(verdict)) throw unexpected(label, 'an Error or undefined', verdict);
  const error = asError(verdict, label);
  callbackErrors.add(error);
  return error;
}

function pskOf(label: string, found: unknown): Psk {
  if (isPsk(found)) return found;
  throw unexpected(label, '{ psk, identity } or null', found);
}

function unexpected(label: string, expected: string, result: unknown): TypeError {
  return new TypeError(`${label}: expected ${expected}, got ${describeResult(result)}`);
}

type Psk = ReturnType<NonNullable<ConnectionOptions['pskCallback']>>;

function attempt<T>(label: string, fail: (error: Error) => void, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    fail(asError(error, label));
    return undefined;
  }
}

function isPsk(value: unknown): value is Psk {
  if (value === null || value === undefined) return true;
  const { psk, identity } = value as Record<string, unknown>;
  return ArrayBuffer.isView(psk) && typeof identity === 'string';
}
