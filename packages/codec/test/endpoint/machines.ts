import {
  CLOSE,
  FAILED,
  formatCloseMessage,
  MESSAGE,
  MessageDecoder,
  NEED_MORE,
  PING,
  PONG,
  type ProtocolError,
  parseCloseMessage,
  type Role,
  SKIPPED,
  STEP,
  sharedSlabPool,
} from '@ws/codec';
import {
  END,
  FrameQueue,
  FrameSlab,
  failureBy,
  Machine,
  type MachineOwner,
} from '@ws/codec/internal';
import { naiveDecode, naiveEncode } from '@ws/tests';
import { takeBytes } from '../../src/endpoint/standalone/encoder.ts';
import { writeUtf8 } from '../../src/text/utf8-automaton.ts';

const NAMES = new Map<number, string>([
  [CLOSE, 'CLOSE'],
  [FAILED, 'FAILED'],
  [MESSAGE, 'MESSAGE'],
  [PING, 'PING'],
  [PONG, 'PONG'],
  [SKIPPED, 'SKIPPED'],
  [STEP, 'STEP'],
  [END, 'END'],
]);

/** A machine whose owner writes down the events. */
export class Driven implements MachineOwner {
  readonly machine: Machine<FrameQueue>;
  readonly role: Role;
  readonly decoder: MessageDecoder;
  /** Decoders on loan. */
  lent = 0;
  events: string[] = [];
  readonly #frames: FrameQueue;

  constructor(role: Role, nextKey: () => number = () => 0x01020304) {
    this.role = role;
    this.decoder = new MessageDecoder({ role, readLimit: 1000 });
    const masks = role === 'client';
    const slab = new FrameSlab(sharedSlabPool(), 4096, false);
    this.#frames = new FrameQueue(slab, { masks, nextKey, writeUtf8 });
    this.machine = new Machine(this, this.#frames);
  }

  lendDecoder(): MessageDecoder {
    this.lent++;
    this.decoder.lendTo(this.machine, 1000, undefined);
    return this.decoder;
  }

  takeDecoder(decoder: MessageDecoder): void {
    this.lent--;
    decoder.takeBack();
  }

  readonly readClose: MachineOwner['readClose'] = parseCloseMessage;
  readonly failureBy = (error: Error): ReturnType<typeof failureBy> =>
    failureBy(error as ProtocolError);

  /** A frame of the peer. */
  frame(opcode: number, payload: string | Uint8Array = '', fin = true): Uint8Array {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    return naiveEncode(opcode, bytes, { fin, ...(this.role === 'server' && { mask: 0x0a0b0c0d }) });
  }

  /** Adds a message of ours. Returns the size of its frame, 0 when none may be sent. */
  send(text: string): number {
    const { machine } = this;
    return machine.open ? machine.out.addText(0x81, text) : 0;
  }

  goodbye(code = 3001): Uint8Array {
    return this.frame(8, formatCloseMessage(code));
  }

  /** The peer sends `chunks`. */
  feed(...chunks: Uint8Array[]): void {
    const bytes = Buffer.concat(chunks);
    this.machine.push(bytes, bytes.length);
    this.run();
    this.machine.keep();
  }

  /** Takes events until no more comes. */
  run(): void {
    for (;;) {
      const event = this.machine.next();
      if (event === NEED_MORE) return;
      const { input } = this.machine;
      const data = event === END ? '' : Buffer.from(input!.data()).toString('latin1');
      const hasData = event === MESSAGE || event === PING || event === PONG;
      this.events.push(hasData ? `${NAMES.get(event)} ${data}` : NAMES.get(event)!);
      if (event === CLOSE || event === FAILED || event === END) return;
    }
  }

  /** What the peer gets since the last call: the opcode and the payload of each frame. */
  sent(): string[] {
    const peer = this.role === 'server' ? 'client' : 'server';
    const { frames } = naiveDecode(takeBytes(this.#frames), peer, { allowedRsv: 0x70 });
    return frames.map(({ opcode, payload, fin, rsv }) => {
      if (opcode === 8) return `close ${parseCloseMessage(payload).code}`;
      const marks = `${rsv === 0 ? '' : ' rsv'}${fin ? '' : ' more'}`;
      return `${opcode}${marks} ${Buffer.from(payload).toString('latin1')}`;
    });
  }
}
