import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { Direction, reset } from './direction.ts';
import { Tunnel } from './tunnel.ts';

/**
 * The mode `bytes`: nothing is parsed. A FIN is passed on as a FIN, a reset as a reset: over HTTP/2 as
 * END_STREAM and CANCEL.
 */
export class ByteTunnel extends Tunnel<Direction> {
  close(): void {
    this.endedBy ??= 'proxy';
    this.endSinks();
  }

  protected createDirection(source: Duplex, sink: Duplex): Direction {
    return new Direction(source, sink, this);
  }

  protected passEnd({ sink }: Direction): void {
    sink.end();
  }

  protected sourceClosed({ sourceEnded, sink }: Direction): void {
    if (sourceEnded) sink.end();
    else reset(sink);
  }

  protected closeInfo(): { readonly code: number; readonly reason: string } {
    return { code: CloseCode.AbnormalClosure, reason: '' };
  }
}
