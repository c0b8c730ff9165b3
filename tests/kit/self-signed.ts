/** PEM texts: `{ key, cert }` for a server, `{ ca: cert }` for a client that trusts it. */
export interface SelfSigned {
  readonly key: string;
  readonly cert: string;
}

let made: Promise<SelfSigned> | undefined;

/** A self-signed certificate for localhost, 127.0.0.1 and ::1, created once per process. */
export function selfSigned(): Promise<SelfSigned> {
  made ??= newSelfSigned();
  return made;
}

/** A new certificate for the same names, for tests that need a second one. */
export async function newSelfSigned(): Promise<SelfSigned> {
  // Loaded on first use: it takes a fifth of a second, and most test files need no certificate.
  const { generate } = await import('selfsigned');
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  });
  return { key: pems.private, cert: pems.cert };
}
