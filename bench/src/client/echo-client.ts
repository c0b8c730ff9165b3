import type { DataType, MessageData } from '@ws/node-client';
import { BinaryMessage, TextMessage } from '@ws/node-client';
import { Ledger } from './ledger.ts';
import type { Messages } from './messages.ts';
import type { Tally } from './tally.ts';

/** Distance between the first message numbers of two connections. */
const FIRST_NUMBER_STEP = 40_503;
const EXCERPT_BYTES = 40;

/** The part of a Conn that a client writes to. */
export interface WritableConn {
  writeMessage(type: DataType, data: MessageData): Promise<void>;
}

/** State that the clients of a process share. */
export interface SharedState {
  readonly messages: Messages;
  readonly tally: Tally;
  /** Maximum number of messages in flight on a connection. */
  readonly depth: number;
  /** Milliseconds since the load started. */
  readonly now: () => number;
}

/**
 * One connection of a load: sends messages and judges their echoes.
 *
 * In a closed loop each echo sends the next message. At a fixed rate, messages become due and their
 * latency counts from that moment, however long they wait for a free place in flight. So the
 * latency includes the messages that a stalled server kept from being sent.
 */
export class EchoClient {
  readonly #conn: WritableConn;
  readonly #shared: SharedState;
  readonly #ledger: Ledger;
  readonly #type: DataType;
  /** Due moments of the waiting messages. Entries before `#served` no longer wait. */
  #due: number[] = [];
  #served = 0;
  #looping = false;
  #ended = false;

  /** @param index - Number of the connection in the load. */
  constructor(conn: WritableConn, index: number, shared: SharedState) {
    this.#conn = conn;
    this.#shared = shared;
    this.#ledger = new Ledger(shared.messages, index * FIRST_NUMBER_STEP);
    this.#type = shared.messages.text ? TextMessage : BinaryMessage;
  }

  /** Whether no message is in flight or due. */
  get idle(): boolean {
    return this.#ended || (this.#ledger.inFlight === 0 && this.#waiting === 0);
  }

  /** Keeps `depth` messages in flight until {@link stop}. */
  loop(): void {
    this.#looping = true;
    this.#refill();
  }

  /**
   * Makes a message due at `moment`. After the end of the connection the message counts as skipped.
   */
  plan(moment: number): void {
    const { now, depth, tally } = this.#shared;
    if (this.#ended) {
      tally.skipped++;
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

  /** Ends the closed loop. Due messages are still sent. */
  stop(): void {
    this.#looping = false;
  }

  /** Judges an echo. */
  echo(bytes: Uint8Array, text: boolean): void {
    const { tally, now, messages } = this.#shared;
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

  /**
   * Gives up messages that were due before `moment` and have no echo. Their latency is at least the
   * time waited.
   */
  giveUp(moment: number): void {
    const { tally, now } = this.#shared;
    const { missing, timeout } = this.#ledger.giveUp(moment);
    const waited: number[] = [];
    while (this.#waiting > 0 && this.#due[this.#served]! < moment) waited.push(this.#nextDue()!);
    tally.fail('missing', 'later messages were echoed', missing.length);
    tally.fail('timeout', 'no echo in time', timeout.length + waited.length);
    const at = now();
    for (const since of [missing, timeout, waited].flat()) tally.giveUp(at - since);
    if (missing.length + timeout.length > 0) this.#refill();
  }

  /** Counts the messages in flight as missing, because the connection ended. */
  end(): void {
    const lost = this.abandon();
    this.#shared.tally.fail('missing', 'the connection ended before the echo', lost);
  }

  /**
   * Ends the client without errors.
   *
   * @returns Number of messages in flight or due.
   */
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
    const { depth, now } = this.#shared;
    while (this.#ledger.inFlight < depth && !this.#ended) {
      const moment = this.#nextDue() ?? (this.#looping ? now() : undefined);
      if (moment === undefined) return;
      this.#send(moment);
    }
  }

  #send(since: number): void {
    this.#shared.tally.sent++;
    // The call copies the bytes. A failed write ends the connection, which reports the reason.
    void this.#conn.writeMessage(this.#type, this.#ledger.send(since));
  }
}

/** The peer's first bytes, without terminal control characters. */
function excerpt(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, EXCERPT_BYTES)).toString('latin1');
  return text.replace(/[^ -~]/g, '.') + (bytes.length > EXCERPT_BYTES ? '...' : '');
}
