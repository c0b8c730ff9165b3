import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { ReadLimitError } from '@ws/conn';
import { FrameLane, type FrameLaneOwner } from './frame-lane.ts';
import { Tunnel } from './tunnel.ts';

/** Milliseconds that both peers have to answer a close frame of the proxy. */
const CLOSE_TIMEOUT = 5_000;
/** Bytes of a ping's payload. */
const PING_SIZE = 8;

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
  readonly #quiet: readonly [Quiet, Quiet] = [new Quiet(), new Quiet()];

  close(code: number): void {
    if (this.#closing) return;
    this.#closing = true;
    this.endedBy ??= 'proxy';
    this.in.sendClose(code);
    this.out.sendClose(code);
    // A source that waits for a slow sink must be read, or its close frame would not be seen.
    for (const { source } of [this.in, this.out]) source.resume();
    this.#endIfAnswered();
  }

  sourceEnded(lane: FrameLane): void {
    this.endedBy ??= this.#nameOf(lane);
    if (lane.closeReceived || lane.closeSent) lane.sink.end();
    else this.#died(lane);
  }

  closes(code: number, reason: string): void {
    this.#first ??= { code, reason };
  }

  closeReceived(lane: FrameLane): void {
    this.endedBy ??= this.#nameOf(lane);
    if (this.#closing) this.#endIfAnswered();
  }

  tooBig(lane: FrameLane): void {
    const limit = this.plan.maxMessageSize;
    this.error = new ReadLimitError(limit);
    this.endedBy ??= 'proxy';
    lane.dropHeld();
    lane.reverse.sendClose(CloseCode.MessageTooBig);
    lane.sendClose(this.#deathCodeOf(lane));
    for (const { sink, source } of [lane, lane.reverse]) {
      sink.end();
      source.resume();
    }
    this.endWithin(CLOSE_TIMEOUT);
  }

  override tick(now: number): void {
    super.tick(now);
    const { heartbeat } = this.plan;
    if (heartbeat === undefined || this.#closing) return;
    for (const [i, lane] of [this.in, this.out].entries()) {
      this.#quiet[i]!.tick(lane, now, heartbeat);
    }
  }

  protected lane(source: Duplex, sink: Duplex, toTarget: boolean): FrameLane {
    const { highWaterMark, maxMessageSize } = this.plan;
    return new FrameLane(source, sink, this, highWaterMark, toTarget, maxMessageSize);
  }

  protected sourceClosed(lane: FrameLane): void {
    if (lane.sourceEnded) return;
    if (lane.closeReceived || lane.closeSent) lane.sink.end();
    else this.#died(lane);
  }

  protected idle(): void {
    this.close(CloseCode.GoingAway);
    this.endWithin(CLOSE_TIMEOUT);
  }

  protected closeInfo(): { readonly code: number; readonly reason: string } {
    return this.#first ?? { code: CloseCode.AbnormalClosure, reason: '' };
  }

  /** The source has gone without a close frame. */
  #died(lane: FrameLane): void {
    lane.dropHeld();
    if (lane.sendClose(this.#deathCodeOf(lane))) lane.sink.end();
    // A close frame cannot stand inside a frame that will never end.
    else lane.sink.destroy();
    lane.source.destroy();
    // Bytes for the dead source are dropped, until the sink ends.
    lane.sink.resume();
    this.endWithin(CLOSE_TIMEOUT);
  }

  #endIfAnswered(): void {
    for (const lane of [this.in, this.out]) {
      if (lane.closeReceived && lane.reverse.closeSent) lane.source.end();
    }
  }

  #nameOf(lane: FrameLane): 'client' | 'target' {
    return lane === this.in ? 'client' : 'target';
  }

  #deathCodeOf(lane: FrameLane): number {
    return lane === this.in ? CloseCode.GoingAway : CloseCode.BadGateway;
  }
}

/** Finds a source from which nothing has come for a while. */
class Quiet {
  #bytes = -1;
  #since = 0;
  #pinged = false;

  tick(
    lane: FrameLane,
    now: number,
    { interval, timeout }: { readonly interval: number; readonly timeout: number },
  ): void {
    // A source that the proxy has paused cannot answer.
    if (lane.bytes !== this.#bytes || lane.source.isPaused()) {
      this.#bytes = lane.bytes;
      this.#since = now;
      this.#pinged = false;
    } else if (!this.#pinged && now - this.#since >= interval) {
      const payload = randomBytes(PING_SIZE);
      this.#pinged = lane.reverse.sendPing(payload);
      if (this.#pinged) lane.expectPong(payload);
      this.#since = now;
    } else if (this.#pinged && now - this.#since >= timeout) lane.source.destroy();
  }
}
