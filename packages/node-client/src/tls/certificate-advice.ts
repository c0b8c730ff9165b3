import type { PeerKind } from '../errors.ts';

/** Advice about a rejected certificate, by Node's error code. `OPTION` is `tls` or `proxyTls`. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'the certificate is self-signed; trust it with OPTION: { ca }'],
  ...[
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ].map((code): [string, string] => [
    code,
    'no trusted authority has signed the certificate; trust its authority with OPTION: { ca }',
  ]),
  ['CERT_HAS_EXPIRED', 'the certificate has expired'],
  ['CERT_NOT_YET_VALID', 'the certificate is not valid yet; check the clock'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'the certificate is for another name'],
]);

/** Node's other codes for a certificate that OpenSSL has rejected. */
const OTHER_REJECTIONS: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CRL_SIGNATURE_FAILURE',
  'CRL_NOT_YET_VALID',
  'CRL_HAS_EXPIRED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
]);

/**
 * Returns whether Node has rejected the peer's certificate.
 *
 * @see https://nodejs.org/docs/latest-v20.x/api/tls.html#x509-certificate-error-codes
 */
export function isCertificateError(error: unknown): error is NodeJS.ErrnoException {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return typeof code === 'string' && (ADVICE.has(code) || OTHER_REJECTIONS.has(code));
}

/**
 * Returns the end of an error message: advice about the certificate, or `''` for another error.
 *
 * @param kind - The peer that has the certificate. The option `servername` does not apply after a
 *   redirect.
 */
export function certificateAdvice(
  error: NodeJS.ErrnoException | undefined,
  kind: PeerKind,
): string {
  const advice = ADVICE.get(error?.code ?? '');
  if (advice === undefined) return '';
  const option = kind === 'proxy' ? 'proxyTls' : 'tls';
  const rename = kind !== 'redirect' && error?.code === 'ERR_TLS_CERT_ALTNAME_INVALID';
  const how = rename ? `; dial that name, or set it with ${option}: { servername }` : '';
  return `: ${advice.replace('OPTION', option)}${how}`;
}
