import { isSameHost, type Target } from './target.ts';

type Headers = Record<string, unknown>;

/**
 * The headers of a client that follows redirects. Credentials go to the host that the application
 * has named, and never from TLS to plain text.
 */
export class Redirects {
  /** Redirects that were followed. */
  count = 0;
  readonly #first: Target;
  /** Headers of the application, in lower case. */
  readonly #headers: Headers;

  constructor(first: Target, headers: Headers) {
    this.#first = first;
    this.#headers = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
  }

  /**
   * Returns the headers, and user and password, of a request to `target`.
   *
   * @param auth - User and password for it.
   * @param trusted - The application looks at the redirects, and removes credentials itself.
   */
  follow(
    target: Target,
    auth: string | undefined,
    trusted: boolean,
  ): { headers: Headers; auth: string | undefined } {
    if (trusted || this.#mayHaveCredentials(target)) {
      this.remember(auth);
      return { headers: this.#headers, auth };
    }
    const headers = { ...this.#headers };
    delete headers['authorization'];
    delete headers['cookie'];
    if (!isSameHost(this.#first, target)) delete headers['host'];
    return { headers, auth: undefined };
  }

  /** As curl does: the first credentials stay, those of a redirect do not replace them. */
  remember(auth: string | undefined): void {
    if (!auth || this.#headers['authorization']) return;
    this.#headers['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`;
  }

  #mayHaveCredentials(target: Target): boolean {
    const downgrade = this.#first.isSecure && !target.isSecure;
    return isSameHost(this.#first, target) && !downgrade;
  }
}
