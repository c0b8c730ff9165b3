import { isUtf8 } from 'node:buffer';
import type { Attempt } from '../model/attempt.ts';
import { HardViolation, Violation } from '../model/verdicts.ts';
import { Compressor, Decompressor, type DeflateTerms } from './deflate.ts';
import {
  CLOSE,
  type Frame,
  type FrameSpec,
  frameBytes,
  frameText,
  PING,
  PONG,
  RSV1,
  TEXT,
  takeFrame,
} from './frame.ts';
import { frameFaults, isAssignedCode } from './frame-faults.ts';
import { type End, type PeerSocket, RawPeer, type Resettable } from './raw-peer.ts';
import type { TlsWire } from './tls-wire.ts';

/** The suite's end of the connection. The target has the other role. */
export type Role = 'client' | 'server';

/** A complete message from the target, inflated. */
export interface MessageEvent {
  readonly kind: 'message';
  readonly opcode: number;
  readonly payload: Buffer;
  /** Its frames as received. */
  readonly frames: readonly Frame[];
  /** True when RSV1 was set. */
  readonly compressed: boolean;
}

/** A ping or a pong from the target. */
interface ControlEvent {
  readonly kind: 'ping' | 'pong';
  readonly payload: Buffer;
}

/** A close frame from the target. */
export interface CloseEvent {
  readonly kind: 'close';
  /** Close code; undefined for an empty frame. */
  readonly code: number | undefined;
  readonly reason: string;
}

/** The target has stopped sending. */
export interface EndEvent {
  readonly kind: 'end';
  readonly how: End;
}

/** An event that the target causes. */
export type PeerEvent = MessageEvent | ControlEvent | CloseEvent | EndEvent;

/** What a wait returns. */
interface WaitOptions {
  /** True: also pongs. Default false: a target may send them at any time (5.5.3). */
  readonly pongs?: boolean;
  /**
   * True: answers pings, since a server may end a long conversation without pongs. Default false: a
   * pong would come within an unfinished frame of ours.
   */
  readonly answersPings?: boolean;
}

/**
 * A WebSocket endpoint that sends any frames and checks every received frame. An invalid frame
 * from the target ends the case, whatever the case tests.
 */
export class Peer extends RawPeer {
  readonly role: Role;
  /** What TLS has negotiated, and the stream below it; undefined without TLS. */
  tls:
    | { readonly alpnProtocol: string | undefined; readonly wire: TlsWire | undefined }
    | undefined;
  /** Masking keys of the received frames, in order, big-endian. */
  readonly maskKeys: number[] = [];
  #deflate: DeflateTerms | undefined;
  #compressor: Compressor | undefined;
  #decompressor: Decompressor | undefined;
  #fragments: Frame[] = [];
  #closed: CloseEvent | undefined;

  /** @param tcp - The TCP socket below a TLS socket. Default: `socket`. */
  constructor(
    socket: PeerSocket & Partial<Resettable>,
    attempt: Attempt,
    connection: number,
    role: Role,
    tcp: Resettable = socket as Resettable,
  ) {
    super(socket, attempt, connection, tcp);
    this.role = role;
  }

  /** Enables compression with the negotiated parameters. */
  useDeflate(terms: DeflateTerms): void {
    this.#deflate = terms;
    const client = [terms.clientMaxWindowBits, !terms.clientNoContextTakeover] as const;
    const server = [terms.serverMaxWindowBits, !terms.serverNoContextTakeover] as const;
    const [ours, theirs] = this.role === 'client' ? [client, server] : [server, client];
    this.#compressor = new Compressor(...ours);
    this.#decompressor = new Decompressor(...theirs);
  }

  /** Negotiated parameters; undefined without compression. */
  get deflate(): DeflateTerms | undefined {
    return this.#deflate;
  }

  /** Compresses messages to send. @throws Error without negotiated compression. */
  get compressor(): Compressor {
    if (this.#compressor === undefined) throw new Error('no compression was negotiated');
    return this.#compressor;
  }

  /** The close frame of the target, after it has arrived. */
  get closed(): CloseEvent | undefined {
    return this.#closed;
  }

  /** Serializes frames. A frame without `mask` is masked as the suite's role requires. */
  bytes(...frames: readonly FrameSpec[]): Buffer {
    return this.#bytesOf(frames);
  }

  #bytesOf(frames: readonly FrameSpec[]): Buffer {
    return Buffer.concat(
      frames.map((spec) =>
        frameBytes({
          ...spec,
          mask: spec.mask ?? (this.role === 'client' ? this.attempt.randomBytes(4) : false),
        }),
      ),
    );
  }

  /** Sends frames in one write. */
  async sendFrames(...frames: readonly FrameSpec[]): Promise<void> {
    await this.sendList(frames);
  }

  /** Like {@link sendFrames}, for more frames than a call can have arguments. */
  async sendList(frames: readonly FrameSpec[]): Promise<void> {
    await this.send(this.#bytesOf(frames), specsText(frames));
  }

  /** Sends frames in pieces of `size` bytes. */
  async sendFramesCut(
    frames: readonly FrameSpec[],
    size: number,
    options?: { untilAnswered?: boolean },
  ): Promise<void> {
    await this.sendCut(this.bytes(...frames), size, { label: specsText(frames), ...options });
  }

  /** Tests whether the target has sent something else than pings and pongs, which it discards. */
  protected override hasAnswer(): boolean {
    for (;;) {
      const [first] = this.queue.peek(1);
      if (first === undefined) return false;
      const opcode = first & 0x0f;
      if (opcode !== PING && opcode !== PONG) return true;
      if (this.#takeEvent() === undefined) return false;
    }
  }

  /**
   * Waits for the next event except pings and, by default, pongs.
   *
   * @param awaited - Expected event, for the message of a timeout.
   * @throws Violation for an invalid frame, and after a timeout.
   */
  async next(awaited: string, options?: WaitOptions): Promise<PeerEvent> {
    const event = await this.nextWithin(awaited, this.attempt.timeout, options);
    if (event === undefined) throw this.timeoutViolation(awaited);
    return event;
  }

  /**
   * Like {@link next} with a timeout in ms; returns undefined after it. Bytes of an unfinished
   * message restart the timeout, and the ignored events do not.
   */
  async nextWithin(
    awaited: string,
    ms: number,
    { pongs = false, answersPings = false }: WaitOptions = {},
  ): Promise<PeerEvent | undefined> {
    let until = performance.now() + ms;
    let held = this.#heldBytes;
    for (;;) {
      const event = this.#takeEvent();
      if (event !== undefined) {
        if (event.kind === 'ping' && answersPings) {
          await this.sendFrames({ opcode: PONG, payload: event.payload });
        }
        if (event.kind === 'ping' || (event.kind === 'pong' && !pongs)) continue;
        // Without echoes, messages are the target's own.
        if (event.kind === 'message' && !this.attempt.echoes) continue;
        // A target may send pongs without end, so they are no steps.
        if (event.kind !== 'pong') this.attempt.stepped();
        return event;
      }
      if (this.ended !== undefined) {
        if (this.queue.length > 0 && this.ended === 'fin') {
          throw new Violation(`the connection ended within a frame, expected ${awaited}`);
        }
        return { kind: 'end', how: this.ended };
      }
      if (this.attempt.echoes && this.#heldBytes > held) until = performance.now() + ms;
      held = this.#heldBytes;
      const left = until - performance.now();
      if (left <= 0 || !(await this.waitForProgress(left))) return undefined;
    }
  }

  /** Number of bytes of the unfinished frame and message. */
  get #heldBytes(): number {
    return (
      this.queue.length + this.#fragments.reduce((sum, { payload }) => sum + payload.length, 0)
    );
  }

  #takeEvent(): Exclude<PeerEvent, EndEvent> | undefined {
    for (;;) {
      const frame = takeFrame(this.queue);
      if (frame === undefined) return undefined;
      if (frame.mask !== undefined) this.maskKeys.push(frame.mask.readUInt32BE());
      const faults = frameFaults(frame, {
        fromClient: this.role === 'server',
        deflate: this.#deflate !== undefined,
        open: this.#fragments.length > 0,
        closed: this.#closed !== undefined,
      });
      this.attempt.transcript.event(
        this.connection,
        `frame: ${frameText({ ...frame, size: frame.payload.length })}`,
      );
      if (faults.length > 0)
        throw new HardViolation(`the target sent an invalid frame: ${faults.join('; ')}`);
      if (frame.opcode === CLOSE) return this.#close(frame);
      if (frame.opcode === PING) return { kind: 'ping', payload: frame.payload };
      if (frame.opcode === PONG) return { kind: 'pong', payload: frame.payload };
      this.#fragments.push(frame);
      if (frame.fin) return this.#message();
    }
  }

  #close(frame: Frame): CloseEvent {
    const { payload } = frame;
    const code = payload.length === 0 ? undefined : payload.readUInt16BE(0);
    if (code !== undefined && !isAssignedCode(code)) {
      throw new Violation(`the target sent close code ${code}, which has no meaning (7.4)`);
    }
    this.#closed = { kind: 'close', code, reason: payload.subarray(2).toString('utf8') };
    return this.#closed;
  }

  #message(): MessageEvent {
    const frames = this.#fragments;
    this.#fragments = [];
    const first = frames[0]!;
    const compressed = (first.rsv & RSV1) !== 0;
    const joined = Buffer.concat(frames.map(({ payload }) => payload));
    const payload = compressed ? this.#decompressor!.decompress(joined).bytes : joined;
    if (first.opcode === TEXT && !isUtf8(payload)) {
      throw new HardViolation('the target sent a text message that is not UTF-8 (RFC 6455, 8.1)');
    }
    return { kind: 'message', opcode: first.opcode, payload, frames, compressed };
  }
}

/** Maximum number of frames that a transcript line describes. */
const MAX_DESCRIBED = 20;

function specsText(frames: readonly FrameSpec[]): string {
  const texts = frames.slice(0, MAX_DESCRIBED).map(specText);
  if (frames.length > texts.length) texts.push(`${frames.length - texts.length} more frames`);
  return texts.join(' + ');
}

/** Describes a frame to send. */
function specText(spec: FrameSpec): string {
  const words = frameText({
    opcode: spec.opcode,
    fin: spec.fin ?? true,
    rsv: spec.rsv ?? 0,
    size: spec.payload?.length ?? 0,
  });
  const claims = spec.claims === undefined ? '' : `, claiming ${spec.claims}`;
  return `${words}${claims}`;
}
