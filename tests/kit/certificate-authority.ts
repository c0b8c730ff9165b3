import type { SelfSigned } from './self-signed.ts';

/** Fields of a certificate. */
export interface CertificateFor {
  /** DNS names. Default: none. */
  readonly names?: readonly string[];
  /** IP addresses. Default: none. */
  readonly addresses?: readonly string[];
  /** Validity in days from now, negative for the past. Default: -1 to 1. */
  readonly days?: readonly [from: number, to: number];
  readonly commonName?: string;
}

const DAY = 86_400_000;

/** A certificate authority for tests. */
export class CertificateAuthority {
  readonly #own: SelfSigned;

  private constructor(own: SelfSigned) {
    this.#own = own;
  }

  static async make(name = 'a test'): Promise<CertificateAuthority> {
    const { generate } = await import('selfsigned');
    const { private: key, cert } = await generate([{ name: 'commonName', value: name }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    });
    return new CertificateAuthority({ key, cert });
  }

  /** Its certificate, for `tls: { ca }`. */
  get cert(): string {
    return this.#own.cert;
  }

  /** Issues a certificate for servers and clients. */
  async issue(of: CertificateFor): Promise<SelfSigned> {
    const [from, to] = of.days ?? [-1, 1];
    const altNames = [
      ...(of.names ?? []).map((value) => ({ type: 2 as const, value })),
      ...(of.addresses ?? []).map((ip) => ({ type: 7 as const, ip })),
    ];
    const { generate } = await import('selfsigned');
    const { private: key, cert } = await generate(
      [{ name: 'commonName', value: of.commonName ?? 'issued for a test' }],
      {
        ca: this.#own,
        keyType: 'ec',
        algorithm: 'sha256',
        notBeforeDate: new Date(Date.now() + from * DAY),
        notAfterDate: new Date(Date.now() + to * DAY),
        extensions: [
          { name: 'basicConstraints', cA: false },
          { name: 'keyUsage', digitalSignature: true, critical: true },
          { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
          ...(altNames.length > 0 ? [{ name: 'subjectAltName' as const, altNames }] : []),
        ],
      },
    );
    return { key, cert };
  }
}
