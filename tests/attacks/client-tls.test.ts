import { duplexPair } from 'node:stream';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { Dialer, type DialerOptions, TransportError } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { CertificateAuthority } from '../kit/certificate-authority.ts';
import { type SelfSigned, selfSigned } from '../kit/self-signed.ts';
import { claim, survives } from './harness/index.ts';
import { Dials, receivedRequest } from './hostile-server.ts';

/** The server names of all ClientHellos; `false` for none. */
const names: unknown[] = [];

/** Returns a server in memory that uses TLS with this certificate and accepts every upgrade. */
function secured(secureContext: SecureContext): DialerOptions['netDial'] {
  return () => {
    const [ours, theirs] = duplexPair();
    const socket = new TLSSocket(theirs, {
      isServer: true,
      secureContext,
      SNICallback: (name, done) => {
        names.push(name);
        done(null, secureContext);
      },
    });
    socket.on('error', () => {});
    socket.once(
      'data',
      (chunk: Buffer) => void socket.write(receivedRequest(chunk.toString('latin1')).ok()),
    );
    ours.once('close', () => {
      socket.destroy();
      theirs.destroy();
    });
    return ours;
  };
}

const contextOf = ({ key, cert }: SelfSigned): SecureContext => createSecureContext({ key, cert });

describe('a client over TLS', () => {
  it('opens only to a server whose certificate is valid for the URL', async () => {
    const ours = await CertificateAuthority.make('ours');
    const other = await CertificateAuthority.make('another');
    const good = { names: ['h.example'], addresses: ['192.0.2.1'] };
    const days = (from: number, to: number) => ours.issue({ ...good, days: [from, to] });
    const wrong: readonly (readonly [SelfSigned, url: string])[] = [
      [await selfSigned(), 'wss://localhost/'],
      [await other.issue(good), 'wss://h.example/'],
      [await ours.issue({ names: ['other.example'] }), 'wss://h.example/'],
      [await ours.issue({ names: ['*.example'] }), 'wss://a.h.example/'],
      [await ours.issue({ commonName: 'h.example', names: ['x.example'] }), 'wss://h.example/'],
      [await days(-3, -1), 'wss://h.example/'],
      [await days(1, 3), 'wss://h.example/'],
      [await ours.issue({ names: ['h.example'] }), 'wss://192.0.2.1/'],
      [await ours.issue({ names: ['192.0.2.1'] }), 'wss://192.0.2.1/'],
    ];
    const servers = wrong.map(([pair, url]) => [secured(contextOf(pair)), url] as const);
    const right = secured(contextOf(await ours.issue(good)));
    const attack = claim('certificates that do not match the URL', 'RFC 6455, 4.1 and 10.6');
    await survives(attack, { opened: 0, sniOfIp: 0 }, async () => {
      names.length = 0;
      const dial = (netDial: DialerOptions['netDial'], url: string) =>
        new Dialer({ netDial, tls: { ca: ours.cert } }).dial(url);
      const refused = new Dials();
      for (const [server, url] of servers) await refused.take(dial(server, url));
      for (const error of refused.errors) {
        expect(error).toBeInstanceOf(TransportError);
        expect(error.message).toMatch(/^websocket: TLS handshake with .* failed/);
      }
      const good = new Dials();
      await good.take(dial(right, 'wss://h.example/'));
      await good.take(dial(right, 'wss://192.0.2.1/'));
      expect(good.errors).toEqual([]);
      const ips = names.filter((name) => name === '192.0.2.1').length;
      expect(names).toContain('h.example');
      return { opened: refused.opened, sniOfIp: ips };
    });
  });
});
