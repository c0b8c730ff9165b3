import { type IncomingHttpHeaders, validateHeaderValue } from 'node:http';
import { kind } from '@ws/conn/internal';
import type { DialScope } from './dial-scope.ts';
import { callFunction } from './errors.ts';

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

/**
 * Returns the value of the Cookie header of a request; `''` for none.
 *
 * @throws the error of the jar; TypeError for a result that a header cannot contain.
 */
export async function cookieValue(jar: CookieJar, url: string, scope: DialScope): Promise<string> {
  scope.stage = 'waiting for the cookie jar';
  const cookie = await scope.race(callFunction(() => jar.getCookieString(url)));
  checkCookie(cookie);
  scope.stage = 'connecting';
  return cookie;
}

function checkCookie(cookie: unknown): void {
  if (typeof cookie !== 'string') {
    throw new TypeError(`jar: expected a string from getCookieString, got ${kind(cookie)}`);
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
  { 'set-cookie': cookies = [] }: IncomingHttpHeaders,
  url: string,
  scope: DialScope,
): Promise<void> {
  if (cookies.length === 0) return;
  scope.stage = 'waiting for the cookie jar';
  const store = async (): Promise<void> => {
    for (const cookie of cookies) await jar.setCookie(cookie, url, { ignoreError: true });
  };
  await scope.race(callFunction(store));
}
