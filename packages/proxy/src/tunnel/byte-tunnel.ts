import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { Lane, reset } from './lane.ts';
import { Tunnel } from './tunnel.ts';

/** The mode `bytes`: nothing is parsed. A FIN is passed on as a FIN, a reset as a reset. */
export class ByteTunnel extends Tunnel<Lane> {
  close(): void {
    this.endedBy ??= 'proxy';
    this.endSinks();
  }

  protected lane(source: Duplex, sink: Duplex): Lane {
    return new Lane(source, sink, this, this.plan.client.highWaterMark);
  }

  protected passEnd({ sink }: Lane): void {
    sink.end();
  }

  protected sourceClosed({ sourceEnded, sink }: Lane): void {
    if (sourceEnded) sink.end();
    else reset(sink);
  }

  protected closeInfo(): { readonly code: number; readonly reason: string } {
    return { code: CloseCode.AbnormalClosure, reason: '' };
  }
}
