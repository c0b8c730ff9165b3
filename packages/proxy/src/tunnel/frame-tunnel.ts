import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { ReadLimitError } from '@ws/conn';
import { FrameDirection } from './frame-direction.ts';
import { SourceHeartbeat } from './source-heartbeat.ts';
import { Tunnel } from './tunnel.ts';

/**
 * The mode `frames`: the peers' bytes pass untouched, and the proxy adds close frames and pings of
 * its own between their frames. No peer is left without a reason: the client gets 1014 when the
 * target dies, the target gets 1001 when the client does.
 */
export class FrameTunnel extends Tunnel<FrameDirection> {
  /** The proxy has begun to close, so it ends the sockets after the peers' close frames. */
  #closing = false;
  /** A source has sent more than `maxMessageSize`, so the proxy ends the sockets after its close frames. */
  #tooBig = false;
  /** The time that is left is that for the end of a stream of HTTP/2. */
  #isShort = false;
  /** The first close frame. */
  #first: { readonly code: number; readonly reason: string } | undefined;
  /** Of the client and the target; undefined without a heartbeat. */
  #heartbeats: readonly SourceHeartbeat[] | undefined;

  close(code: number): void {
    if (this.#closing) return;
    this.#closing = true;
    this.endedBy ??= 'proxy';
    for (const direction of [this.in, this.out]) {
      direction.sendClose(code);
      // A source that waits for a slow sink must be read, or its close frame would not be seen.
      direction.source.resume();
    }
    this.#endIfAnswered();
  }

  override expire(code: number): void {
    // A close frame replaces a frame of which the target has seen nothing.
    this.in.dropHeld();
    super.expire(code);
    // No close frame can follow a part of a frame.
    if (this.in.isClosePending) this.in.endSink();
  }

  /** A close frame passes, or the proxy sends one. */
  closes(code: number, reason: string): void {
    this.#first ??= { code, reason };
  }

  /** The source has sent a close frame. */
  closeReceived(direction: FrameDirection): void {
    this.endedBy ??= this.nameOf(direction);
    if (this.#closing) this.#endIfAnswered();
    // Nothing may follow two close frames. The peers have a while to end their sockets.
    if (this.in.isClosed && this.out.isClosed) this.terminateSoon();
    this.#hurry();
  }

  /** The source has sent more than `maxMessageSize` in one message. */
  tooBig(direction: FrameDirection): void {
    this.error ??= new ReadLimitError(this.plan.client.readLimit);
    this.endedBy ??= 'proxy';
    const reverse = this.#reverseOf(direction);
    this.#tooBig = true;
    direction.dropHeld();
    reverse.sendClose(CloseCode.MessageTooBig);
    this.#sendDeath(direction);
    // The rest of the message is dropped. A source that waited for its sink must be read.
    direction.source.resume();
    this.#endAfterFrames();
    this.terminateSoon();
    this.terminateInTime();
  }

  /** A close frame of the proxy, which waited for the end of a frame, has passed. */
  closePassed(): void {
    if (this.#tooBig) this.#endAfterFrames();
    else this.#endIfAnswered();
    this.#hurry();
  }

  /** Ends the streams of HTTP/2 that their peers keep open after the closing handshake. */
  override fire(): void {
    const wasShort = this.#isShort;
    this.#isShort = false;
    const late = this.#unended.filter(({ source }) => source.writableLength === 0);
    // A peer that still takes bytes has the usual time.
    if (late.length === 0) return wasShort ? this.terminateSoon() : super.fire();
    for (const { source } of late) {
      // The end of a server comes before its reset.
      if (source === this.in.source && !source.writableEnded) source.end();
      else source.destroy();
    }
    this.terminateSoon();
    this.#hurry();
  }

  override tick(now: number): void {
    super.tick(now);
    this.in.tick();
    this.out.tick();
    const { heartbeat } = this.plan.client;
    if (heartbeat === false || this.#closing) return;
    this.#heartbeats ??= [
      new SourceHeartbeat(this.in, this.out),
      new SourceHeartbeat(this.out, this.in),
    ];
    for (const each of this.#heartbeats) each.tick(now, heartbeat);
  }

  protected createDirection(source: Duplex, sink: Duplex): FrameDirection {
    // The first direction is that to the target.
    return new FrameDirection(source, sink, this, this.in === undefined);
  }

  protected passEnd(direction: FrameDirection): void {
    if (!direction.isClosed) return this.#died(direction);
    direction.endSink();
    const { reverse } = direction;
    if (reverse!.sourceEnded) reverse!.endSink();
    this.terminateSoon();
    this.#hurry();
  }

  protected sourceClosed(direction: FrameDirection): void {
    if (!direction.sourceEnded) this.passEnd(direction);
  }

  protected closeInfo(): { readonly code: number; readonly reason: string } {
    return this.#first ?? { code: CloseCode.AbnormalClosure, reason: '' };
  }

  /** The source has gone without a close frame. */
  #died(direction: FrameDirection): void {
    direction.dropHeld();
    // Inside a frame that will never end no close frame can stand: what passed is sent, then the end.
    this.#sendDeath(direction);
    direction.endSink();
    direction.source.destroy();
    this.terminateSoon();
  }

  #sendDeath(direction: FrameDirection): void {
    direction.sendClose(direction === this.in ? CloseCode.GoingAway : CloseCode.BadGateway);
  }

  /**
   * Ends both sockets, unless a close frame waits for the end of a frame: many servers stop in the
   * middle of a frame when they see a FIN.
   */
  #endAfterFrames(): void {
    if (!this.in.isClosePending && !this.out.isClosePending) this.endSinks();
  }

  #endIfAnswered(): void {
    for (const direction of [this.in, this.out]) {
      const reverse = this.#reverseOf(direction);
      if (direction.closeReceived && reverse.isClosed) reverse.endSink();
    }
  }

  /** The sources whose stream of HTTP/2 is open after their closing handshake. */
  get #unended(): readonly FrameDirection[] {
    return [this.in, this.out].filter(({ endTimeout }) => endTimeout !== undefined);
  }

  /** Gives such a source less time. */
  #hurry(): void {
    const [first] = this.#unended;
    if (first === undefined) return;
    this.#isShort = true;
    this.terminateSoon(first.endTimeout);
  }

  #reverseOf(direction: FrameDirection): FrameDirection {
    return direction === this.in ? this.out : this.in;
  }
}
