import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { ClientTls } from '../attempts/client-attempt.ts';
import { TlsWire } from '../wire/tls-wire.ts';

/** The suite's end of the TLS connection of a client. */
export class TlsEnd implements ClientTls {
  readonly wire: TlsWire;
  readonly socket: TLSSocket;
  protocols: readonly string[] | undefined;

  constructor(tcp: Socket, secureContext: SecureContext) {
    this.wire = new TlsWire(tcp);
    this.socket = new TLSSocket(this.wire, {
      isServer: true,
      secureContext,
      ALPNCallback: ({ protocols }) => {
        this.protocols = protocols;
        return protocols.includes('http/1.1') ? 'http/1.1' : protocols[0];
      },
    });
  }

  get serverName(): string | undefined {
    // Node has it without documenting it: false without a name.
    return (this.socket as { servername?: string | false }).servername || undefined;
  }
}
