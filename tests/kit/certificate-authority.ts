import { generate } from 'selfsigned';
import type { SelfSigned } from './self-signed.ts';

/** What a certificate is for. */
export interface CertificateFor {
  /** DNS names. Default: none. */
  readonly names?: readonly string[];
  /** IP addresses. Default: none. */
  readonly addresses?: readonly string[];
  /** Days from now, negative for the past. Default: from a day ago to a day ahead. */
  readonly days?: readonly [from: number, to: number];
  readonly commonName?: string;
}

const DAY = 86_400_000;

/** Signs certificates, as those who trust its own take them. */
export class CertificateAuthority {
  readonly #own: SelfSigned;

  private constructor(own: SelfSigned) {
    this.#own = own;
  }

  static async make(name = 'a test'): Promise<CertificateAuthority> {
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

  /** For `tls: { ca }`. */
  get cert(): string {
    return this.#own.cert;
  }

  /** A certificate for servers and clients alike, and its key. */
  async issue(of: CertificateFor): Promise<SelfSigned> {
    const [from, to] = of.days ?? [-1, 1];
    const altNames = [
      ...(of.names ?? []).map((value) => ({ type: 2 as const, value })),
      ...(of.addresses ?? []).map((ip) => ({ type: 7 as const, ip })),
    ];
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
