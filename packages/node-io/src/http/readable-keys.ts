/** The codes of OpenSSL for keys and certificates, in words. */
const MEANINGS: ReadonlyMap<string | undefined, string> = new Map([
  ['ERR_OSSL_X509_KEY_VALUES_MISMATCH', 'key does not belong to cert'],
  ['ERR_OSSL_X509_KEY_TYPE_MISMATCH', 'key does not belong to cert'],
  ['ERR_OSSL_BAD_DECRYPT', 'key is encrypted, and passphrase does not fit it'],
  ['ERR_OSSL_EVP_BAD_DECRYPT', 'key is encrypted, and passphrase does not fit it'],
  ['ERR_OSSL_PEM_BAD_PASSWORD_READ', 'key is encrypted, and passphrase does not fit it'],
  ['ERR_MISSING_PASSPHRASE', 'key is encrypted, and passphrase does not fit it'],
]);

/**
 * Runs `make`, which reads the keys and the certificates of TLS options.
 *
 * @param option - The option that has them, for the message.
 * @throws TypeError for a key or a certificate that OpenSSL cannot read or use.
 */
export function withReadableKeys<Made>(option: string, make: () => Made): Made {
  try {
    return make();
  } catch (cause) {
    throw new TypeError(`${option}: ${meaningOf(cause)}`, { cause });
  }
}

function meaningOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  // OpenSSL has no code for a wrong passphrase of a PKCS #12 file.
  const isSealed = message === 'mac verify failure';
  const meaning = isSealed ? 'passphrase does not fit pfx' : MEANINGS.get(code);
  if (meaning !== undefined) return `${meaning} (${String(cause)})`;
  // Other codes, of a wrong type or of unknown ciphers, are not about the contents of files.
  const isContent = code === undefined || code.startsWith('ERR_OSSL_');
  if (!isContent) return message;
  return `key, cert, ca and pfx are the contents of the files, not their paths, and key is the private one (${String(cause)})`;
}
