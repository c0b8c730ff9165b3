import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { ReadLimitError } from '@ws/conn';
import { FrameLane, type FrameLaneOwner } from './frame-lane.ts';
import { Quiet } from './quiet.ts';
import { Tunnel } from './tunnel.ts';

/**
 * The mode `frames`: the peers' bytes pass untouched, and the proxy adds close frames and pings of
 * its own between their frames. No peer is left without a reason: the client gets 1014 when the
 * target dies, the target gets 1001 when the client does.
 */
export class FrameTunnel extends Tunnel<FrameLane> implements FrameLaneOwner {
  /** The proxy has begun to close, so it ends the sockets after the peers' close frames. */
  #closing = false;
  /** The first close frame. */
  #first: { readonly code: number; readonly reason: string } | undefined;
  /** Of the client and the target; undefined without a heartbeat. */
  #quiet: readonly Quiet[] | undefined;

  close(code: number): void {
    if (this.#closing) return;
    this.#closing = true;
    this.endedBy ??= 'proxy';
    for (const lane of [this.in, this.out]) {
      lane.sendClose(code);
      // A source that waits for a slow sink must be read, or its close frame would not be seen.
      lane.source.resume();
    }
    this.#endIfAnswered();
  }

  closes(code: number, reason: string): void {
    this.#first ??= { code, reason };
  }

  closeReceived(lane: FrameLane): void {
    this.endedBy ??= this.nameOf(lane);
    if (this.#closing) this.#endIfAnswered();
  }

  tooBig(lane: FrameLane): void {
    this.error ??= new ReadLimitError(this.plan.client.readLimit);
    this.endedBy ??= 'proxy';
    const reverse = this.#reverseOf(lane);
    lane.dropHeld();
    reverse.sendClose(CloseCode.MessageTooBig);
    this.#sendDeath(lane);
    this.endSinks();
    this.endSoon();
  }

  override tick(now: number): void {
    super.tick(now);
    this.in.tick();
    this.out.tick();
    const { heartbeat } = this.plan.client;
    if (heartbeat === false || this.#closing) return;
    this.#quiet ??= [new Quiet(this.in, this.out), new Quiet(this.out, this.in)];
    for (const each of this.#quiet) each.tick(now, heartbeat);
  }

  protected lane(source: Duplex, sink: Duplex): FrameLane {
    // The first lane is that to the target.
    return new FrameLane(source, sink, this, this.plan.client, this.in === undefined);
  }

  protected passEnd(lane: FrameLane): void {
    if (!lane.isClosed) return this.#died(lane);
    lane.sink.end();
    this.endSoon();
  }

  protected sourceClosed(lane: FrameLane): void {
    if (!lane.sourceEnded) this.passEnd(lane);
  }

  protected closeInfo(): { readonly code: number; readonly reason: string } {
    return this.#first ?? { code: CloseCode.AbnormalClosure, reason: '' };
  }

  /** The source has gone without a close frame. */
  #died(lane: FrameLane): void {
    lane.dropHeld();
    // Inside a frame that will never end no close frame can stand: what passed is sent, then the end.
    this.#sendDeath(lane);
    lane.sink.end();
    lane.source.destroy();
    // Bytes for the dead source are dropped, until the sink ends.
    lane.sink.resume();
    this.endSoon();
  }

  #sendDeath(lane: FrameLane): void {
    lane.sendClose(lane === this.in ? CloseCode.GoingAway : CloseCode.BadGateway);
  }

  #endIfAnswered(): void {
    for (const lane of [this.in, this.out]) {
      if (lane.closeReceived && this.#reverseOf(lane).isClosed) lane.source.end();
    }
  }

  #reverseOf(lane: FrameLane): FrameLane {
    return lane === this.in ? this.out : this.in;
  }
}
