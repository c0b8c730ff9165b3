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

/**
 * The part of TLS options that holds for any server: whom to trust, and how. A client certificate, a name to expect or a
 * session was given for the server that the caller dials, and is none of a proxy's, nor of another server's business.
 */
export function withoutIdentity(tls: ConnectionOptions): ConnectionOptions {
  return Object.fromEntries(Object.entries(tls).filter(([name]) => !IDENTITY.has(name)));
}

/** TLS options, with the context that is made of them. */
export class TlsOptions {
  readonly given: ConnectionOptions | undefined;
  #secureContext: SecureContext | undefined;

  /** @throws what `tls.createSecureContext` throws for bad options. */
  constructor(given: ConnectionOptions | undefined) {
    this.given = given;
    // What is wrong with them shows before any dial.
    if (given !== undefined)
      this.#secureContext = given.secureContext ?? createSecureContext(given);
  }

  /** Made once and shared, since it parses certificates; without options when it is first asked for. */
  get secureContext(): SecureContext {
    this.#secureContext ??= createSecureContext();
    return this.#secureContext;
  }
}
