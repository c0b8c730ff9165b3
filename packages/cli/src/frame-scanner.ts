import { FrameHeader, unmask } from '@ws/codec';

/** A frame as it was on the wire, with the start of its payload. */
export interface SeenFrame {
  readonly opcode: number;
  readonly fin: boolean;
  /** Reserved bits as wire bits: `0x40` is RSV1. */
  readonly rsv: number;
  /** Payload length in bytes. */
  readonly length: number;
  /** Undefined for a frame without a mask. */
  readonly maskKey: number | undefined;
  /** The first bytes of the payload, without the mask. Compressed bytes stay compressed. */
  readonly payload: Uint8Array;
}

/** Most bytes of a header. */
const HEADER = 14;

/** Finds the frames in one direction of a connection, also frames that break the rules. */
export class FrameScanner {
  readonly #keep: number;
  readonly #onFrame: (frame: SeenFrame) => void;
  readonly #header = new FrameHeader();
  /** The first bytes of an incomplete header. */
  #begin = new Uint8Array(0);
  /** Payload bytes that have not come. */
  #left = 0;
  #payload: Uint8Array | undefined;
  #kept = 0;
  #isBroken = false;

  /** @param keep - Bytes of each payload that are kept. */
  constructor(keep: number, onFrame: (frame: SeenFrame) => void) {
    this.#keep = keep;
    this.#onFrame = onFrame;
  }

  /** @throws ProtocolError once, for a header whose length has a wrong form. No frame follows it. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#isBroken) {
      if (this.#payload !== undefined) at += this.#takePayload(chunk, at);
      else at += this.#takeHeader(chunk, at);
    }
  }

  /** @returns Bytes of `chunk` that are done. */
  #takeHeader(chunk: Uint8Array, at: number): number {
    const before = this.#begin.length;
    const bytes = Buffer.concat([this.#begin, chunk.subarray(at, at + HEADER - before)]);
    const size = this.#read(bytes);
    if (size === 0) {
      this.#begin = bytes;
      return bytes.length - before;
    }
    this.#begin = new Uint8Array(0);
    this.#left = this.#header.length;
    this.#payload = Buffer.alloc(Math.min(this.#left, this.#keep));
    this.#kept = 0;
    if (this.#left === 0) this.#end();
    return size - before;
  }

  #read(bytes: Uint8Array): number {
    try {
      return this.#header.read(bytes);
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  #takePayload(chunk: Uint8Array, at: number): number {
    const payload = this.#payload!;
    const size = Math.min(this.#left, chunk.length - at);
    const kept = Math.min(size, payload.length - this.#kept);
    payload.set(chunk.subarray(at, at + kept), this.#kept);
    this.#kept += kept;
    this.#left -= size;
    if (this.#left === 0) this.#end();
    return size;
  }

  #end(): void {
    const { opcode, fin, rsv, length, masked, maskKey } = this.#header;
    const payload = this.#payload!;
    this.#payload = undefined;
    if (masked) unmask(payload, 0, payload.length, maskKey);
    this.#onFrame({ opcode, fin, rsv, length, maskKey: masked ? maskKey : undefined, payload });
  }
}
