import type { Position } from '@ws/hub';
import { WebSocket } from 'ws';
import { HANDSHAKE } from './client.ts';
import type { ToVisitor } from './visits.ts';

/** The messages of a visitor: on which of its connections, from which node, and when, in s. */
type Event = ToVisitor & { readonly visit: number; readonly node: string; readonly at: string };

/** The messages that a node has dropped. */
interface Dropped {
  readonly run: string;
  readonly count: number;
}

/** A lost message, and the connections from the message before it to the message after it. */
interface Lost {
  readonly text: string;
  readonly first: number;
  readonly last: number;
}

/** A client that comes and goes, and resumes a room with its position. */
export class Visitor {
  readonly room: string;
  readonly events: Event[] = [];
  /** The number of events at the start of each node that has started later than the visitor. */
  readonly startedAt = new Map<string, number>();
  /** The messages that its connections have lost by an overflow: by connection. */
  readonly dropped = new Map<number, Dropped>();
  readonly #number: number;
  readonly #clock: () => string;
  #socket: WebSocket | undefined;
  #since: Position | undefined;
  #visit = 0;
  #paused = false;

  /** @param clock - The time in s. */
  constructor(number: number, room: string, clock: () => string) {
    this.#number = number;
    this.#clock = clock;
    this.room = room;
  }

  get isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** The connection has ended, or was refused. */
  get isAway(): boolean {
    return this.#socket?.readyState === WebSocket.CLOSED;
  }

  /** Ends the connection, and connects to a node. */
  connect({ run, visits: port }: { readonly run: string; readonly visits: number }): void {
    this.#socket?.terminate();
    const visit = ++this.#visit;
    const url = `ws://127.0.0.1:${port}/?${this.#number}.${visit},${this.room}`;
    const socket = new WebSocket(url, HANDSHAKE);
    this.#socket = socket;
    socket.on('open', () => socket.send(JSON.stringify({ since: this.#since })));
    socket.on('message', (data: Buffer) => {
      // Messages after the next connection are not read.
      if (visit === this.#visit) {
        const sent = JSON.parse(data.toString()) as ToVisitor;
        this.#got({ ...sent, visit, node: run, at: this.#clock() });
      }
    });
    socket.on('error', () => {});
  }

  /** Reads nothing for `ms`. */
  async pause(ms: number): Promise<void> {
    if (this.#paused || !this.isConnected) return;
    this.#paused = true;
    const socket = this.#socket!;
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (socket.readyState === WebSocket.OPEN) socket.resume();
    this.#paused = false;
  }

  close(): void {
    this.#socket?.terminate();
  }

  #got(sent: Event): void {
    this.events.push(sent);
    if (!('complete' in sent) || this.#since === undefined)
      this.#since = sent.position ?? this.#since;
  }

  /** The last number that has come of a node. */
  lastOf(run: string): number {
    const last = this.events.findLast((event) => 'run' in event && event.run === run);
    return last !== undefined && 'run' in last ? last.number : 0;
  }

  /**
   * Compares what has come with what the rooms have accepted: by node, the numbers,
   * and the time of each publication.
   *
   * @param killed - The nodes that were killed.
   * @returns The messages that came twice, that are missing, and that are missing without a word.
   */
  judge(
    accepted: ReadonlyMap<string, ReadonlyMap<number, Position | undefined>>,
    published: ReadonlyMap<string, ReadonlyMap<number, number>>,
    killed: ReadonlySet<string>,
  ) {
    const result = { doubles: [] as string[], told: 0, lost: [] as string[] };
    const lost: Lost[] = [];
    const name = `visitor ${this.#number} of ${this.room}`;
    for (const [run, numbers] of accepted) {
      const places = new Map<number, number>();
      const started = this.startedAt.get(run);
      if (started !== undefined) places.set(0, started - 1);
      let seen = new Map<number, number>();
      for (const [place, event] of this.events.entries()) {
        // Then all that is kept comes, also what came before.
        if ('complete' in event && !event.complete) seen = new Map();
        if (!('run' in event) || event.run !== run) continue;
        const before = seen.get(event.number);
        if (before !== undefined) {
          const where = `${this.#around(before, before)} … ${this.#around(place, place)}`;
          result.doubles.push(`${name}: ${run} ${event.number}: ${where}`);
        }
        seen.set(event.number, place);
        if (!places.has(event.number)) places.set(event.number, place);
      }
      const known = [...places.keys()].toSorted((a, b) => a - b);
      for (const [number, position] of numbers) {
        if (known.length === 0 || number < known[0]! || places.has(number)) continue;
        // JetStream may store the first messages of a node in another order.
        if (position !== undefined && isUpTo(position, this.events[0]?.position)) continue;
        const before = known.findLast((other) => other < number)!;
        const after = known.find((other) => other > number);
        const from = places.get(before)!;
        const to = after === undefined ? this.events.length : places.get(after)!;
        const at = published.get(run)!.get(number)!;
        if (this.#isTold(Math.min(from, to), Math.max(from, to), at)) result.told++;
        else {
          const where = `after ${before}, before ${after}: ${this.#around(from, to)}`;
          const text = `${name}: ${run} ${number} @${position?.offset}, ${where}`;
          const first = this.events[from]?.visit ?? 0;
          lost.push({ text, first, last: this.events[to]?.visit ?? this.#visit });
        }
      }
    }
    result.lost.push(...this.#notDropped(lost, killed));
    result.told += lost.length - result.lost.length;
    return result;
  }

  /** Returns those of `lost` that its connections have not lost by an overflow, as the nodes count them. */
  #notDropped(lost: readonly Lost[], killed: ReadonlySet<string>): string[] {
    const visits = [...this.dropped].toSorted(([a], [b]) => a - b);
    // A hub reports at most once a second, so a killed node has not reported all.
    const left = new Map(
      visits.map(([visit, { run, count }]) => [visit, killed.has(run) ? Infinity : count]),
    );
    const sorted = lost.toSorted((a, b) => a.last - b.last);
    return sorted.flatMap(({ text, first, last }) => {
      for (const [visit, count] of left) {
        if (visit < first || visit > last || count === 0) continue;
        left.set(visit, count - 1);
        return [];
      }
      return [text];
    });
  }

  /** The events of a hole, in short. */
  #around(from: number, to: number): string {
    const texts = this.events.slice(Math.max(from - 2, 0), to + 2).map((event) => {
      const { visit, node, at: s, position } = event;
      const at = `(${s} s, ${visit} to ${node}, ${position?.epoch.slice(0, 6)}@${position?.offset})`;
      if ('run' in event) return `${event.run} ${event.number} ${at}`;
      return 'gap' in event ? `gap ${at}` : `${event.complete} ${at}`;
    });
    return texts.slice(0, 12).join(', ');
  }

  /**
   * Whether the visitor itself was told of a loss between two events. `complete: false` tells of all losses
   * before it, also of those between the messages that follow it.
   *
   * @param at - The time of the publication.
   */
  #isTold(from: number, to: number, at: number): boolean {
    const start = this.events.slice(0, to).findLast((event) => 'complete' in event);
    if (start?.complete === false && at <= start.sentAt) return true;
    const between = this.events.slice(from + 1, to);
    return between.some((e) => 'gap' in e || ('complete' in e && !e.complete));
  }
}

/** Whether a message was in the room before a first visit. */
function isUpTo({ epoch, offset }: Position, start: Position | undefined): boolean {
  return start !== undefined && epoch === start.epoch && offset <= start.offset;
}
