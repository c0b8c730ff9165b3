import { type Fields, typed } from './encoding.ts';

/**
 * Returns the proof that this end knows the password, the same in protocols 4 and 5:
 * base64(sha256(base64(sha256(password + salt)) + challenge)).
 *
 * @throws (rejects) ObsProtocolError for a malformed challenge; TypeError in a page without WebCrypto.
 */
export async function proofOf(password: string, { salt, challenge }: Fields): Promise<string> {
  const inner = await digest(password + typed('salt', 'string', salt));
  return digest(inner + typed('challenge', 'string', challenge));
}

async function digest(text: string): Promise<string> {
  const subtle = crypto.subtle as typeof crypto.subtle | undefined;
  if (subtle === undefined) {
    throw new TypeError(
      'password: this page has no WebCrypto; load it over https or from localhost',
    );
  }
  const bytes = await subtle.digest('SHA-256', new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
