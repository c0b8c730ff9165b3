import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Attempt } from '../model/attempt.ts';
import { Violation } from '../model/verdicts.ts';
import { Compressor, Decompressor, type DeflateTerms } from './deflate.ts';
import {
  CLOSE,
  type Frame,
  type FrameSpec,
  frameBytes,
  frameWords,
  PING,
  PONG,
  RSV1,
  TEXT,
  takeFrame,
} from './frame.ts';
import { frameFaults } from './frame-faults.ts';
import { type End, RawPeer } from './raw-peer.ts';

/** Which end of the connection the suite is; the target is the other one. */
export type Role = 'client' | 'server';

/** A whole message of the target, inflated. */
export interface MessageEvent {
  readonly kind: 'message';
  readonly opcode: number;
  readonly payload: Buffer;
  /** Its frames, as they were on the wire. */
  readonly frames: readonly Frame[];
  /** Whether RSV1 was set. */
  readonly compressed: boolean;
}

/** A ping or a pong of the target. */
interface ControlEvent {
  readonly kind: 'ping' | 'pong';
  readonly payload: Buffer;
}

/** A close frame of the target. */
export interface CloseEvent {
  readonly kind: 'close';
  /** Undefined when the frame was empty. */
  readonly code: number | undefined;
  readonly reason: string;
}

/** The target sends nothing any more. */
export interface EndEvent {
  readonly kind: 'end';
  readonly how: End;
}

/** What a target can do next. */
export type PeerEvent = MessageEvent | ControlEvent | CloseEvent | EndEvent;

/**
 * A WebSocket endpoint that sends whatever it is told to, and judges all that comes back: a frame of the target that
 * breaks a rule ends the case, whatever the case is about.
 */
export class Peer extends RawPeer {
  readonly role: Role;
  /** Masking keys of the frames that have come, in their order, big-endian. */
  readonly maskKeys: number[] = [];
  #deflate: DeflateTerms | undefined;
  #compressor: Compressor | undefined;
  #decompressor: Decompressor | undefined;
  #fragments: Frame[] = [];
  #closed: CloseEvent | undefined;

  /** @param tcp - What TLS stands on. */
  constructor(
    socket: Socket,
    attempt: Attempt,
    connection: number,
    role: Role,
    tcp: Socket = socket,
  ) {
    super(socket, attempt, connection, tcp);
    this.role = role;
  }

  /** Tells what the handshake has agreed on. */
  agree(terms: DeflateTerms): void {
    this.#deflate = terms;
    const client = [terms.clientMaxWindowBits, !terms.clientNoContextTakeover] as const;
    const server = [terms.serverMaxWindowBits, !terms.serverNoContextTakeover] as const;
    const [ours, theirs] = this.role === 'client' ? [client, server] : [server, client];
    this.#compressor = new Compressor(...ours);
    this.#decompressor = new Decompressor(...theirs);
  }

  /** What was agreed on; undefined when messages are sent plain. */
  get deflate(): DeflateTerms | undefined {
    return this.#deflate;
  }

  /** Compresses what we send, by the agreed terms. */
  get compressor(): Compressor {
    if (this.#compressor === undefined) throw new Error('no compression was agreed on');
    return this.#compressor;
  }

  /** The close frame of the target, once it has been seen. */
  get closed(): CloseEvent | undefined {
    return this.#closed;
  }

  /** The bytes of frames, masked as our role must unless a frame says otherwise. */
  bytes(...frames: readonly FrameSpec[]): Buffer {
    return Buffer.concat(
      frames.map((spec) =>
        frameBytes({
          ...spec,
          mask: spec.mask ?? (this.role === 'client' ? randomBytes(4) : false),
        }),
      ),
    );
  }

  /** Sends frames in one write. */
  async sendFrames(...frames: readonly FrameSpec[]): Promise<void> {
    await this.send(this.bytes(...frames), frames.map(specWords).join(' + '));
  }

  /** Sends frames in pieces of `size` bytes. */
  async sendFramesCut(
    frames: readonly FrameSpec[],
    size: number,
    options?: { untilAnswered?: boolean },
  ): Promise<void> {
    const says = frames.map(specWords).join(' + ');
    await this.sendCut(this.bytes(...frames), size, { says, ...options });
  }

  /**
   * What the target does next. Its pings are read over: no rule says when they must be answered.
   *
   * @param awaited - What should come, for the message when nothing does.
   * @throws Violation when a frame of the target breaks a rule, or nothing comes in time.
   */
  async next(awaited: string): Promise<PeerEvent> {
    const event = await this.nextWithin(awaited, this.attempt.timeout);
    if (event === undefined) throw this.silence(awaited);
    return event;
  }

  /** {@link next} with another bound; undefined when nothing comes in time. */
  async nextWithin(awaited: string, ms: number): Promise<PeerEvent | undefined> {
    for (;;) {
      const event = this.#takeEvent();
      if (event !== undefined && event.kind !== 'ping') return event;
      if (event !== undefined) continue;
      if (this.ended !== undefined) {
        if (this.queue.length > 0 && this.ended === 'fin') {
          throw new Violation(`the connection ended within a frame, where ${awaited} was due`);
        }
        return { kind: 'end', how: this.ended };
      }
      if (!(await this.progress(ms))) return undefined;
    }
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
        `which is a ${frameWords({ ...frame, size: frame.payload.length })}`,
      );
      if (faults.length > 0)
        throw new Violation(`the target sent a frame that breaks a rule: ${faults.join('; ')}`);
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
      throw new Violation('the target sent a text message that is not UTF-8 (RFC 6455, 8.1)');
    }
    return { kind: 'message', opcode: first.opcode, payload, frames, compressed };
  }
}

/** A frame to be sent, in words. */
function specWords(spec: FrameSpec): string {
  const words = frameWords({
    opcode: spec.opcode,
    fin: spec.fin ?? true,
    rsv: spec.rsv ?? 0,
    size: spec.payload?.length ?? 0,
  });
  const claims = spec.claims === undefined ? '' : `, claiming ${spec.claims}`;
  return `${words}${claims}`;
}
