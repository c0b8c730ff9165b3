import { validateHeaderValue } from 'node:http';
import { typeName } from '@ws/node-io/internal';

/** The part of a cookie jar that a handshake uses. `CookieJar` of tough-cookie implements it. */
export interface CookieJar {
  /**
   * Returns the value of the Cookie header for `url` (http or https); `''` for none. The dial
   * rejects with its error.
   */
  getCookieString(url: string): string | PromiseLike<string>;
  /**
   * Stores a cookie that came from `url`. The jar decides whether it may (domain, path, Secure,
   * public suffixes). The dial rejects with its error.
   *
   * @param cookie - The value of a Set-Cookie header.
   * @param options - `ignoreError`: a cookie that the jar rejects is not an error, as in a browser.
   */
  setCookie(cookie: string, url: string, options: { ignoreError: boolean }): unknown;
}

/** @throws TypeError for a result of a jar that a header cannot contain. */
export function checkCookie(cookie: unknown): void {
  if (typeof cookie !== 'string') {
    throw new TypeError(`jar: expected a string from getCookieString, got ${typeName(cookie)}`);
  }
  try {
    validateHeaderValue('Cookie', cookie);
  } catch (cause) {
    // The value is a secret.
    throw new TypeError(
      'jar: getCookieString returned a character that a Cookie header cannot contain',
      { cause },
    );
  }
}

/** Stores every cookie of a response in the jar, in order. */
export async function storeCookies(
  jar: CookieJar,
  cookies: readonly string[],
  url: string,
): Promise<void> {
  for (const cookie of cookies) await jar.setCookie(cookie, url, { ignoreError: true });
}
