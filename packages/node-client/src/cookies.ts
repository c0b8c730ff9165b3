import { validateHeaderValue } from 'node:http';

/** A cookie jar, as far as a handshake needs one. tough-cookie's `CookieJar` is one. */
export interface CookieJar {
  /** The value of the Cookie header for `url` (http or https), `''` when there is none. */
  getCookieString(url: string): string | PromiseLike<string>;
  /**
   * Keeps a cookie that came from `url`. What may be kept (domain, path, Secure, public suffixes) is the jar's to
   * decide.
   *
   * @param cookie - A Set-Cookie header's value.
   * @param options - `ignoreError`: a cookie that the jar refuses is no error, as in a browser.
   */
  setCookie(cookie: string, url: string, options: { ignoreError: boolean }): unknown;
}

/** @throws TypeError for what a jar gave and no header can carry. */
export function checkCookie(cookie: unknown): void {
  if (typeof cookie !== 'string') {
    const got = cookie === null ? 'null' : typeof cookie;
    throw new TypeError(`jar: expected a string from getCookieString, got ${got}`);
  }
  validateHeaderValue('Cookie', cookie);
}

/** Gives the jar every cookie of a response, in order. */
export async function storeCookies(
  jar: CookieJar,
  cookies: readonly string[],
  url: string,
): Promise<void> {
  for (const cookie of cookies) await jar.setCookie(cookie, url, { ignoreError: true });
}
