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

/**
 * Returns the end of an error message: advice about the certificate, or `''` for another error.
 *
 * @param kind - Whose certificate it is: of the server that the caller named, of another one after
 *   a redirect, for which the option `servername` does not apply, or of a proxy.
 */
export function certificateAdvice(
  error: NodeJS.ErrnoException | undefined,
  kind: 'server' | 'redirect' | 'proxy',
): string {
  const advice = ADVICE.get(error?.code ?? '');
  if (advice === undefined) return '';
  const option = kind === 'proxy' ? 'proxyTls' : 'tls';
  const rename = kind !== 'redirect' && error?.code === 'ERR_TLS_CERT_ALTNAME_INVALID';
  const how = rename ? `; dial that name, or set it with ${option}: { servername }` : '';
  return `: ${advice.replace('OPTION', option)}${how}`;
}
