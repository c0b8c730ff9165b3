import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { Lane, reset } from './lane.ts';
import { Tunnel } from './tunnel.ts';

/** Milliseconds that both peers have to end their sockets when the proxy has ended its own. */
const END_TIMEOUT = 5_000;

/** The mode `bytes`: nothing is parsed. A FIN is passed on as a FIN, a reset as a reset. */
export class ByteTunnel extends Tunnel<Lane> {
  close(): void {
    this.endedBy ??= 'proxy';
    this.in.sink.end();
    this.out.sink.end();
  }

  sourceEnded(lane: Lane): void {
    this.endedBy ??= lane === this.in ? 'client' : 'target';
    lane.sink.end();
  }

  protected lane(source: Duplex, sink: Duplex): Lane {
    return new Lane(source, sink, this, this.plan.highWaterMark);
  }

  protected sourceClosed(lane: Lane): void {
    if (lane.sourceEnded) lane.sink.end();
    else reset(lane.sink);
  }

  protected idle(): void {
    this.close();
    this.endWithin(END_TIMEOUT);
  }

  protected closeInfo(): { readonly code: number; readonly reason: string } {
    return { code: CloseCode.AbnormalClosure, reason: '' };
  }
}
