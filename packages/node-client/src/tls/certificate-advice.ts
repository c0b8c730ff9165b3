/** What can be done about a certificate that was not accepted, by Node's code for why. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'the certificate is self-signed; trust it with tls: { ca }'],
  ...[
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ].map((code): [string, string] => [
    code,
    'no authority that is trusted has signed the certificate; trust the one that did with tls: { ca }',
  ]),
  ['CERT_HAS_EXPIRED', 'the certificate has expired'],
  ['CERT_NOT_YET_VALID', 'the certificate is not valid yet; check the clock'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'the certificate is for another name'],
]);

/**
 * The end of an error message: what is wrong with the certificate, or nothing when it is not about one.
 *
 * @param named - It is the certificate of the server that the caller named: `servername` is for no other.
 */
export function certificateAdvice(
  error: NodeJS.ErrnoException | undefined,
  named: boolean,
): string {
  const advice = ADVICE.get(error?.code ?? '');
  if (advice === undefined) return '';
  const rename = named && error?.code === 'ERR_TLS_CERT_ALTNAME_INVALID';
  return `: ${advice}${rename ? '; dial that one, or say which it has with tls: { servername }' : ''}`;
}
