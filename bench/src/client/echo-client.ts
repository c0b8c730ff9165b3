import type { DataType, MessageData } from '@ws/node-client';
import { BinaryMessage, TextMessage } from '@ws/node-client';
import { Ledger } from './ledger.ts';
import type { Messages } from './messages.ts';
import type { Tally } from './tally.ts';

/** So many numbers lie between the first messages of two connections. */
const APART = 40_503;
const EXCERPT = 40;

/** The part of a Conn that a client writes to. */
export interface Line {
  writeMessage(type: DataType, data: MessageData): Promise<void>;
}

/** What the clients of a process share. */
export interface Common {
  readonly messages: Messages;
  readonly tally: Tally;
  /** The most messages in flight on a connection. */
  readonly depth: number;
  /** Milliseconds since the load began. */
  readonly now: () => number;
}

/**
 * One connection's part of a load: sends, and judges what comes back. In a closed loop each echo sends the next message;
 * at a fixed rate messages become due, and their latency counts from that moment, however long they had to wait for a
 * place in flight: a server that stalls is not spared the messages that it kept from being sent.
 */
export class EchoClient {
  readonly #line: Line;
  readonly #common: Common;
  readonly #ledger: Ledger;
  readonly #type: DataType;
  /** When messages were due that wait for a place; those before `#served` do not any more. */
  #due: number[] = [];
  #served = 0;
  #looping = false;
  #ended = false;

  /** @param index - Which connection of the load it is. */
  constructor(line: Line, index: number, common: Common) {
    this.#line = line;
    this.#common = common;
    this.#ledger = new Ledger(common.messages, index * APART);
    this.#type = common.messages.text ? TextMessage : BinaryMessage;
  }

  /** Whether nothing is under way any more, and nothing due. */
  get idle(): boolean {
    return this.#ended || (this.#ledger.inFlight === 0 && this.#waiting === 0);
  }

  /** Keeps as many in flight as may be, until {@link stop}. */
  loop(): void {
    this.#looping = true;
    this.#refill();
  }

  /** A message is due, since `moment`; nobody sends it when the connection has ended. */
  plan(moment: number): void {
    const { now, depth, tally } = this.#common;
    if (this.#ended) {
      tally.unmanned++;
      return;
    }
    tally.due++;
    if (this.#ledger.inFlight < depth && this.#waiting === 0) {
      tally.left(now() - moment);
      this.#send(moment);
    } else {
      this.#due.push(moment);
    }
  }

  /** Sends nothing of its own accord any more; what is due still leaves. */
  stop(): void {
    this.#looping = false;
  }

  /** An echo has come. */
  echo(bytes: Uint8Array, text: boolean): void {
    const { tally, now, messages } = this.#common;
    const { since, fault } = this.#ledger.judge(bytes, text);
    const at = now();
    if (since !== undefined) tally.echo(at, at - since);
    if (fault !== undefined) {
      tally.fail(
        fault,
        `got ${bytes.length} bytes of ${text ? 'text' : 'binary'} '${excerpt(bytes)}', sent ${messages.size}`,
      );
    }
    this.#refill();
  }

  /** Gives up what was due before `moment` and has not come: it has taken as long as it was waited for, at least. */
  giveUp(moment: number): void {
    const { tally, now } = this.#common;
    const { missing, timeout } = this.#ledger.giveUp(moment);
    const waited: number[] = [];
    while (this.#waiting > 0 && this.#due[this.#served]! < moment) waited.push(this.#nextDue()!);
    tally.fail('missing', 'later messages were echoed', missing.length);
    tally.fail('timeout', 'no echo in time', timeout.length + waited.length);
    const at = now();
    for (const since of [missing, timeout, waited].flat()) tally.giveUp(at - since);
    if (missing.length + timeout.length > 0) this.#refill();
  }

  /** The connection is gone, and what was under way with it. */
  end(): void {
    const lost = this.abandon();
    this.#common.tally.fail('missing', 'the connection ended before the echo', lost);
  }

  /** Nobody waits any more. Gives how many messages were under way or due. */
  abandon(): number {
    if (this.#ended) return 0;
    this.#ended = true;
    this.#looping = false;
    const { missing, timeout } = this.#ledger.giveUp(Number.POSITIVE_INFINITY);
    const lost = missing.length + timeout.length + this.#waiting;
    this.#due = [];
    this.#served = 0;
    return lost;
  }

  get #waiting(): number {
    return this.#due.length - this.#served;
  }

  #nextDue(): number | undefined {
    if (this.#waiting === 0) return undefined;
    const moment = this.#due[this.#served++];
    if (this.#served === 4096) {
      this.#due = this.#due.slice(this.#served);
      this.#served = 0;
    }
    return moment;
  }

  #refill(): void {
    const { depth, now } = this.#common;
    while (this.#ledger.inFlight < depth && !this.#ended) {
      const moment = this.#nextDue() ?? (this.#looping ? now() : undefined);
      if (moment === undefined) return;
      this.#send(moment);
    }
  }

  #send(since: number): void {
    this.#common.tally.sent++;
    // What a client writes is copied during the call; where that fails, the connection ends and says why.
    void this.#line.writeMessage(this.#type, this.#ledger.send(since));
  }
}

/** The peer's first bytes, with nothing in them that a terminal obeys. */
function excerpt(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, EXCERPT)).toString('latin1');
  return text.replace(/[^ -~]/g, '.') + (bytes.length > EXCERPT ? '...' : '');
}
