/** Advice about a rejected certificate, by Node's error code. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'the certificate is self-signed; trust it with tls: { ca }'],
  ...[
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ].map((code): [string, string] => [
    code,
    'no trusted authority has signed the certificate; trust its authority with tls: { ca }',
  ]),
  ['CERT_HAS_EXPIRED', 'the certificate has expired'],
  ['CERT_NOT_YET_VALID', 'the certificate is not valid yet; check the clock'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'the certificate is for another name'],
]);

/**
 * Returns the end of an error message: advice about the certificate, or `''` for another error.
 *
 * @param isNamedServer - Whether the certificate is of the server that the caller named.
 *   `servername` applies only to it.
 */
export function certificateAdvice(
  error: NodeJS.ErrnoException | undefined,
  isNamedServer: boolean,
): string {
  const advice = ADVICE.get(error?.code ?? '');
  if (advice === undefined) return '';
  const rename = isNamedServer && error?.code === 'ERR_TLS_CERT_ALTNAME_INVALID';
  return `: ${advice}${rename ? '; dial that name, or set it with tls: { servername }' : ''}`;
}
