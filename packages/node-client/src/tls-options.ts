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

  constructor(given: ConnectionOptions | undefined) {
    this.given = given;
  }

  /**
   * Made when it is first asked for, and shared, since it parses certificates.
   *
   * @throws what `tls.createSecureContext` throws for bad options.
   */
  get secureContext(): SecureContext {
    this.#secureContext ??= this.given?.secureContext ?? createSecureContext(this.given);
    return this.#secureContext;
  }
}
