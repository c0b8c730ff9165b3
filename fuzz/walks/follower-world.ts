import {
  AGAIN,
  ANSWERED,
  ASK,
  ASKING,
  BEYOND,
  DO_ASK,
  DO_BLIND,
  DO_BREAK,
  DO_GAP,
  DO_GIVE,
  DO_KEEP,
  DO_LEAVE,
  DO_LIVE,
  DO_LOSE,
  DO_PART,
  DO_READ,
  DO_READ_LATER,
  DO_REFUSE,
  DO_STATE,
  DRAINED,
  EXCESS,
  FAILED,
  Follower,
  type FollowerAct,
  type FollowerRules,
  FULL,
  GAP,
  GIVING,
  isUpTo,
  LEAVE,
  LIVE,
  LOSE,
  type LogPart,
  MESSAGE,
  ON,
  OPEN,
  OVER,
  PART,
  type Place,
  PROMISED,
  READING,
  REFUSED,
  STATE,
} from '@ws/rpc/internal/following';

/** A message of the application: the `n`th of its log. */
interface Item {
  readonly position: Place | undefined;
  readonly previous: number | undefined;
  readonly isLost: boolean;
  readonly log: Log;
  readonly n: number;
}

interface State {
  readonly position: Place | undefined;
  /** The messages that the state has. */
  readonly log: Log;
  readonly n: number;
}

/** What a server sends to a client. */
type Frame =
  | { readonly kind: 'message'; readonly item: Item }
  | { readonly kind: 'state'; readonly state: State }
  | { readonly kind: 'gap' }
  | { readonly kind: 'left' }
  | { readonly kind: 'answer'; readonly join: number; readonly answer: Answer | undefined };

/** Undefined for a join that may succeed later. */
interface Answer {
  readonly complete: boolean;
  readonly position: Place | undefined;
}

/** A random program: what the world may do. */
export interface FollowerPlan {
  readonly seed: number;
  readonly steps: number;
  /** `state`: a room with a state and a history. `plain`: a room with neither. */
  readonly kind: 'state' | 'history' | 'plain';
  /** Number of messages that the log keeps. */
  readonly kept: number;
  /** Whether offsets have holes, because rooms share them. */
  readonly holes: boolean;
  /** Shares of reads from a late copy, of messages of other programs, of messages that no reader takes. */
  readonly late: number;
  readonly foreign: number;
  readonly lost: number;
  /** Share of the deliveries of the engine that are lost, doubled or late. */
  readonly lossy: number;
}

/** The plan of a seed. */
export function followerPlanOf(seed: number): FollowerPlan {
  const random = new Random(seed);
  return {
    seed,
    steps: 30 + random.below(50),
    kind: random.pick(['state', 'history', 'history', 'plain']),
    kept: random.pick([3, 8, 30]),
    holes: random.chance(0.3),
    late: random.chance(0.3) ? 0.2 : 0,
    foreign: random.chance(0.2) ? 0.1 : 0,
    lost: random.chance(0.5) ? 0.03 : 0,
    lossy: random.chance(0.7) ? 0.04 : 0,
  };
}

/** Bounds of what a member and a loop hold, of an unread queue, and of a part. */
const HELD = 6;
const QUEUE = 4;
const PART_SIZE = 4;
const NODES = 2;
const CLIENTS = 4;
/** Virtual ms: the wait before a read is repeated, and the rest at the end of a program. */
const LATER_MS = 30;
const REST_MS = 3_000;

class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** The messages of one epoch. */
class Log {
  readonly epoch: string;
  /** Offset of the last message, also of other programs. */
  end = 0;
  /** The messages of the application, with the time of each. */
  readonly all: { readonly item: Item; readonly at: number }[] = [];

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  /** The position of the last message before a time. */
  positionAt(before: number): Place {
    const offset = this.all.findLast(({ at }) => at < before)?.item.position!.offset ?? 0;
    return { epoch: this.epoch, offset };
  }

  /** Number of the messages up to a position. */
  countUpTo(position: Place): number {
    return this.all.filter(({ item }) => isUpTo(item.position, position)).length;
  }
}

/**
 * A world of followers, in virtual time: an engine that loses, doubles and reorders messages, nodes with a
 * channel, members of a room, and clients with a loop. All three follow by the product's own table.
 * {@link run} returns what a loop got wrong.
 */
export class FollowerWorld {
  readonly plan: FollowerPlan;
  readonly random: Random;
  readonly wrongs: string[] = [];
  readonly trace: string[] = [];
  readonly nodes: Node[] = [];
  readonly clients: Client[] = [];
  now = 0;
  log = new Log('e0');
  isAway = false;
  /** Whether nothing fails any more. */
  isCalm = false;
  readonly #timers: { readonly at: number; readonly run: () => void }[] = [];
  #epochs = 0;

  constructor(plan: FollowerPlan) {
    this.plan = plan;
    this.random = new Random(plan.seed ^ 0x5bd1e995);
    for (let i = 0; i < NODES; i++) this.nodes.push(new Node(this, i));
    for (let i = 0; i < CLIENTS; i++) this.clients.push(new Client(this, i));
  }

  get hasLog(): boolean {
    return this.plan.kind !== 'plain';
  }

  chance(share: number): boolean {
    return !this.isCalm && this.random.chance(share);
  }

  after(ms: number, run: () => void): void {
    const at = this.now + ms;
    let i = this.#timers.length;
    while (i > 0 && this.#timers[i - 1]!.at > at) i--;
    this.#timers.splice(i, 0, { at, run });
  }

  advance(ms: number): void {
    const end = this.now + ms;
    while (this.#timers.length > 0 && this.#timers[0]!.at <= end) {
      const { at, run } = this.#timers.shift()!;
      this.now = at;
      run();
    }
    this.now = end;
  }

  wrong(text: string): void {
    if (this.wrongs.length < 3) this.wrongs.push(`${this.now}: ${text}`);
  }

  publish(): void {
    const { plan, random } = this;
    if (this.isAway) return this.after(5 + random.below(10), () => this.publish());
    if (this.hasLog && this.chance(plan.foreign)) this.#append(true);
    this.#append(false);
  }

  /** @param isForeign - Whether another program sends the message. No read finds it. */
  #append(isForeign: boolean): void {
    const { log, plan, random } = this;
    const { epoch, all } = log;
    const previous = plan.holes ? log.end : undefined;
    log.end += plan.holes ? 1 + random.below(3) : 1;
    const position = { epoch, offset: log.end };
    const n = all.length + (isForeign ? 0 : 1);
    const item = { position, previous, isLost: isForeign || this.chance(plan.lost), log, n };
    if (!isForeign) all.push({ item, at: this.now });
    for (const node of this.nodes) node.send(item);
  }

  /** Reads a part, perhaps of a copy that is late. */
  read(since: Place | undefined, count: number): LogPart<Item> {
    const { log, plan } = this;
    const before = this.chance(plan.late) ? this.now - 20 : Infinity;
    const end = log.positionAt(before);
    const items = log.all.filter(({ at }) => at < before).map(({ item }) => item);
    const kept = items.slice(Math.max(0, log.all.length - plan.kept));
    if (since === undefined) {
      const messages = count === 0 ? [] : kept.slice(-count);
      return { messages, position: end, end, isWhole: true, mayBeLate: true };
    }
    const isKnown = since.epoch === log.epoch && since.offset <= log.end;
    const after = kept.filter(({ position }) => !isKnown || !isUpTo(position, since));
    const last = items[items.length - after.length - 1];
    const isWhole = isKnown && (last === undefined || isUpTo(last.position, since));
    let previous = isWhole ? since.offset : undefined;
    const messages = after.slice(0, PART_SIZE).map((item) => {
      const entry = { ...item, previous: previous ?? item.previous };
      previous = item.position!.offset;
      return entry;
    });
    const nothing = isWhole && before === Infinity ? since : end;
    const position = messages.at(-1)?.position ?? nothing;
    const more = messages.length < after.length ? BEYOND : position;
    return { messages, position, end: more, isWhole, mayBeLate: true };
  }

  /** The log is lost. */
  lose(): void {
    this.log = new Log(`e${++this.#epochs}`);
  }

  /** Runs the program. Returns what went wrong. */
  run(): string[] {
    const { random, plan } = this;
    for (let i = random.below(6); i > 0; i--) this.publish();
    for (const client of this.clients) this.after(random.below(60), () => client.connect());
    const beat = (): void => {
      for (const node of this.nodes) node.beat();
      this.after(25, beat);
    };
    beat();
    const pace = random.pick([2, 6, 12]);
    for (let i = 0; i < plan.steps; i++) {
      this.advance(1 + random.below(pace));
      this.#step(random.below(100));
    }
    this.isCalm = true;
    this.isAway = false;
    for (const node of this.nodes) node.setUp(true);
    for (const client of this.clients) client.isSlow = false;
    this.advance(REST_MS);
    this.publish();
    this.advance(REST_MS);
    for (const client of this.clients) client.check();
    return this.wrongs;
  }

  #step(action: number): void {
    const { random } = this;
    const node = random.pick(this.nodes);
    const client = random.pick(this.clients);
    if (action < 62) this.publish();
    else if (action < 70) client.conn?.close();
    else if (action < 76) client.isSlow = !client.isSlow;
    else if (action < 82) {
      node.setUp(false);
      this.after(10 + random.below(60), () => node.setUp(true));
    } else if (action < 86) {
      this.isAway = true;
      for (const each of this.nodes) each.setUp(false);
      this.after(10 + random.below(50), () => {
        this.isAway = false;
        for (const each of this.nodes) each.setUp(true);
      });
    } else if (action < 88 && this.hasLog) this.lose();
    else if (action < 92) client.conn?.member?.leave();
    else if (action < 96) client.loop.rejoin();
    else client.restart();
  }
}

/** A user of a follower: gives it events in turn, and does its acts. */
abstract class User {
  readonly world: FollowerWorld;
  readonly follower: Follower<Item>;
  readonly name: string;
  #events: [number, unknown][] | undefined;

  constructor(world: FollowerWorld, name: string, rules: FollowerRules, begin: Begin) {
    this.world = world;
    this.name = name;
    this.follower = new Follower(rules, begin.state, begin.last);
  }

  begin(): void {
    this.#run(this.follower.begin());
  }

  feed(event: number, value?: unknown): void {
    if (this.#events === undefined) this.#run(this.#step(event, value));
    else this.#events.push([event, value]);
  }

  /** @param room - Number of the messages that may be held. */
  message(item: Item, room: number): void {
    const { holds, held } = this.follower;
    this.feed(holds && held.length >= room ? EXCESS : MESSAGE, item);
  }

  #step(event: number, value: unknown): FollowerAct[] {
    const { state } = this.follower;
    const column = this.follower.columnOf(event, value);
    const acts = this.follower.step(event, value);
    const { last, held } = this.follower;
    this.world.trace.push(
      `${this.world.now} ${this.name}: ${state} × ${column} ${show(value)} -> ${this.follower.state} last ${show(last)} held ${held.length} acts ${acts.map(([act, given]) => `${act} ${show(given)}`).join(', ')}`,
    );
    return acts;
  }

  #run(acts: readonly FollowerAct[]): void {
    this.#events = [];
    let due = acts;
    for (;;) {
      for (const [act, value] of due) {
        if (act === DO_BREAK) this.world.wrong(`${this.name}: cannot be: ${String(value)}`);
        else this.do(act, value);
      }
      const next = this.#events.shift();
      if (next === undefined) break;
      due = this.#step(...next);
    }
    this.#events = undefined;
    this.settled();
  }

  protected abstract do(act: number, value: unknown): void;
  protected abstract settled(): void;
}

interface Begin {
  readonly state: 0 | 1 | 4;
  readonly last: Place | undefined;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`;
  const { position, offset, epoch, messages } = Object(value) as Partial<
    Place & Item & LogPart<Item>
  >;
  if (messages !== undefined) return `${show(messages)} to ${show(position)}`;
  if (epoch !== undefined) return `${epoch}/${offset}`;
  return position === undefined ? '' : show(position);
}

const CHANNEL: FollowerRules = {
  asks: false,
  passes: true,
  holdsNext: false,
  tries: Infinity,
  loss: [ON, ON, ON],
};

/** The messages of the room on one node, in order. */
class Channel extends User {
  readonly #node: Node;

  constructor(world: FollowerWorld, node: Node) {
    super(world, `channel ${node.id}`, CHANNEL, { state: OPEN, last: undefined });
    this.#node = node;
  }

  take(item: Item): void {
    this.message(this.world.hasLog ? item : { ...item, position: undefined }, 12);
  }

  protected override settled(): void {
    if (this.follower.state === GIVING) this.feed(DRAINED);
  }

  protected override do(act: number, value: unknown): void {
    const members = [...this.#node.members];
    if (act === DO_GIVE || act === DO_PART) {
      for (const item of value as Item[]) for (const member of members) member.take(item);
    } else if (act === DO_GAP) for (const member of members) member.feed(GAP);
    else if (act === DO_READ) this.#read();
    else if (act === DO_READ_LATER) this.world.after(LATER_MS, () => this.#read());
  }

  #read(): void {
    const link = this.#node.link;
    this.#node.read(this.follower.last, 0, (part) => {
      if (this.follower.state !== READING) return;
      if (part === undefined || link !== this.#node.link) this.feed(FAILED);
      else this.feed(PART, part);
    });
  }
}

class Node {
  readonly world: FollowerWorld;
  readonly id: number;
  readonly members = new Set<Member>();
  readonly channel: Channel;
  isUp = true;
  isSubscribed = false;
  /** Counts the connections to the engine. */
  link = 0;
  #arriveAt = 0;
  #wasLost = false;

  constructor(world: FollowerWorld, id: number) {
    this.world = world;
    this.id = id;
    this.channel = new Channel(world, this);
  }

  get isReachable(): boolean {
    return this.isUp && !this.world.isAway;
  }

  setUp(isUp: boolean): void {
    if (this.isUp === isUp) return;
    this.isUp = isUp;
    this.link++;
    this.#wasLost ||= this.isSubscribed;
    this.isSubscribed = false;
    this.beat();
  }

  /** The engine sends a message to the node. */
  send(item: Item): void {
    const { world, link } = this;
    const { random, plan } = world;
    if (!this.isReachable || !this.isSubscribed) return;
    const lossy = world.hasLog ? plan.lossy : 0;
    if (world.chance(lossy)) return;
    for (let copies = world.chance(lossy) ? 2 : 1; copies > 0; copies--) {
      const isLate = world.chance(lossy);
      if (!isLate) this.#arriveAt = Math.max(this.#arriveAt, world.now + random.below(8));
      const ms = isLate ? random.below(20) : this.#arriveAt - world.now;
      world.after(ms, () => {
        if (this.link === link) this.channel.take(item);
      });
    }
  }

  /** Now and then: subscribes, and reads on where the log has more. */
  beat(): void {
    const { world } = this;
    if (!this.isReachable) return;
    if (!this.isSubscribed) {
      const { link } = this;
      world.after(world.random.below(6), () => {
        if (this.link !== link || this.isSubscribed) return;
        this.isSubscribed = true;
        if (this.channel.follower.last !== undefined || this.#wasLost) this.channel.feed(GAP);
        this.#wasLost = false;
        for (const member of Array.from(this.members)) member.subscribed();
      });
      return;
    }
    const isQuiet = world.now > this.#arriveAt + 20;
    const end = world.log.positionAt(Infinity);
    for (const { follower, feed } of [this.channel, ...this.members].map(bound)) {
      const isBehind = world.hasLog && isQuiet && !isUpTo(end, follower.last);
      if (follower.state === LIVE ? isBehind : follower.state > LIVE && follower.state < OVER) {
        feed(GAP);
      }
    }
  }

  /** Reads from the engine. The result is undefined for a read that has failed. */
  read(since: Place | undefined, count: number, done: (part?: LogPart<Item>) => void): void {
    const { world } = this;
    const { random } = world;
    if (!world.hasLog) {
      const isWhole = since === undefined;
      return done({ messages: [], position: undefined, end: undefined, isWhole });
    }
    world.after(random.below(6), () => {
      if (!this.isReachable || world.chance(0.02)) return world.after(30, () => done());
      const part = world.read(since, count);
      world.after(random.below(6), () => done(part));
    });
  }

  join(conn: Link, since: Place | undefined, count: number, join: number): void {
    const earlier = conn.member;
    const { knows, state } = earlier?.follower ?? {};
    if (knows === ANSWERED && state !== OVER && count === 0) return earlier!.again(since, join);
    earlier?.feed(LEAVE);
    conn.member = new Member(this.world, this, conn, { since, count, join });
    this.members.add(conn.member);
    conn.member.begin();
  }
}

function bound(user: User): { follower: Follower<Item>; feed: (event: number) => void } {
  return { follower: user.follower, feed: (event) => user.feed(event) };
}

/** A connection: frames arrive in order, later. */
class Link {
  readonly #world: FollowerWorld;
  readonly client: Client;
  readonly node: Node;
  member: Member | undefined;
  isOver = false;
  #frames: Frame[] = [];
  #isMoving = false;
  /** Called when the client has taken a frame. */
  taken: (() => void) | undefined;

  constructor(world: FollowerWorld, client: Client, node: Node) {
    this.#world = world;
    this.client = client;
    this.node = node;
  }

  /** Whether a frame at the pace of the client may be sent. */
  get isWritable(): boolean {
    return this.#frames.length < 2;
  }

  /** Whether no live message fits any more. */
  get isFull(): boolean {
    return this.#frames.length >= 4;
  }

  send(frame: Frame): void {
    if (this.isOver) return;
    this.#frames.push(frame);
    this.#move();
  }

  #move(): void {
    if (this.#isMoving || this.#frames.length === 0) return;
    this.#isMoving = true;
    this.#world.after(this.#world.random.below(this.client.isSlow ? 6 : 2), () => {
      this.#isMoving = false;
      if (this.isOver) return;
      this.client.got(this, this.#frames.shift()!);
      const { taken } = this;
      this.taken = undefined;
      taken?.();
      this.#move();
    });
  }

  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.member?.feed(LEAVE);
    this.#world.after(this.#world.random.below(10), () => this.client.lost(this));
  }
}

interface Join {
  readonly since: Place | undefined;
  readonly count: number;
  readonly join: number;
}

/** A membership on a node. */
class Member extends User {
  readonly #node: Node;
  readonly #conn: Link;
  #join: Join;
  #out: Frame[] = [];
  #isSending = false;
  /** Whether a missed message was lost. */
  #lacks = false;
  /** Number of the reads and states that were begun. */
  #asked = 0;

  constructor(world: FollowerWorld, node: Node, conn: Link, join: Join) {
    const asks = world.plan.kind === 'state';
    const rules: FollowerRules = {
      asks,
      passes: true,
      holdsNext: true,
      tries: 3,
      loss: asks ? [ASK, ASK, ASK] : [ON, LOSE, ON],
    };
    const last = world.hasLog ? join.since : undefined;
    const state = asks && last === undefined ? ASKING : READING;
    super(world, `member of ${conn.client.id}`, rules, { state, last });
    this.#node = node;
    this.#conn = conn;
    this.#join = join;
  }

  take(item: Item): void {
    if (this.world.hasLog && this.follower.state === LIVE && this.#conn.isFull) this.feed(FULL);
    this.message(this.world.hasLog ? item : { ...item, position: undefined }, HELD);
  }

  again(since: Place | undefined, join: number): void {
    this.#join = { since, count: 0, join };
    this.#lacks = false;
    this.feed(AGAIN, since);
  }

  /** The application ends the membership. */
  leave(): void {
    if (this.follower.state === OVER) return;
    this.#conn.send({ kind: 'left' });
    this.feed(LEAVE);
  }

  /** The node gets the messages of the room from now on. */
  subscribed(): void {
    const { state, knows } = this.follower;
    const isEarly = !this.world.hasLog && knows === ANSWERED;
    if (isEarly || state >= OPEN) this.feed(GAP);
  }

  protected override settled(): void {
    if (this.follower.state === GIVING && !this.#isSending) this.#send();
  }

  #send(): void {
    this.#isSending = true;
    this.feed(PROMISED);
    const next = (): void => {
      if (this.follower.state !== GIVING) this.#out = [];
      if (!this.#conn.isWritable && this.follower.state === GIVING) {
        this.#conn.taken = next;
        return;
      }
      const frame = this.#out.shift();
      if (frame !== undefined) {
        this.#conn.send(frame);
        return next();
      }
      this.#isSending = false;
      if (this.follower.state === GIVING) this.feed(DRAINED);
    };
    next();
  }

  protected override do(act: number, value: unknown): void {
    const { world } = this;
    switch (act) {
      case DO_GIVE:
        for (const item of value as Item[]) {
          if (item.isLost) this.#gap();
          else this.#conn.send({ kind: 'message', item });
        }
        return;
      case DO_PART:
        for (const item of value as Item[]) {
          if (item.isLost) this.#gap();
          else this.#out.push({ kind: 'message', item });
        }
        return;
      case DO_STATE:
        return void this.#out.push({ kind: 'state', state: value as State });
      case DO_READ:
        return this.#read();
      case DO_READ_LATER:
        return world.after(LATER_MS, () => this.#read());
      case DO_ASK:
        this.#out = [];
        return this.#ask();
      case DO_GAP:
        return this.#gap();
      case DO_LIVE:
      case DO_BLIND: {
        const complete = act === DO_LIVE && value === true && !this.#lacks;
        const position = this.follower.state === LIVE ? this.follower.last : undefined;
        return this.#answer({ complete, position });
      }
      case DO_LOSE:
        this.#node.members.delete(this);
        return this.#conn.close();
      case DO_REFUSE:
        this.#node.members.delete(this);
        return this.#join.join === 0 ? this.#conn.close() : this.#answer(undefined);
      case DO_LEAVE:
        this.#node.members.delete(this);
        return this.#answer(undefined);
      case DO_KEEP:
        return world.wrong('a member is kept');
    }
  }

  #answer(answer: Answer | undefined): void {
    this.#conn.send({ kind: 'answer', join: this.#join.join, answer });
    this.#join = { ...this.#join, join: 0 };
  }

  #gap(): void {
    const isJoining = this.#join.join !== 0;
    if (isJoining) this.#lacks = true;
    // Without positions, the answer does not show the place.
    if (isJoining && this.world.hasLog) return;
    if (this.follower.state === GIVING) this.#out.push({ kind: 'gap' });
    else this.#conn.send({ kind: 'gap' });
  }

  #read(waits = 8): void {
    const { follower, world } = this;
    if (follower.state !== READING) return;
    const id = ++this.#asked;
    // From the answer on, the member gets what other nodes publish.
    if (!world.hasLog && !this.#node.isSubscribed && waits > 0) {
      return world.after(5, () => this.#asked === id && this.#read(waits - 1));
    }
    const since = follower.last;
    this.#node.read(since, this.#join.count, (part) => {
      if (this.#asked !== id || follower.state !== READING) return;
      const at = part?.position;
      const isBefore = isUpTo(at, since) && at!.offset < since!.offset;
      if (part === undefined) this.feed(FAILED);
      else if (isBefore && follower.isBehind) {
        const all = world.read({ epoch: 'none', offset: 0 }, 0);
        this.feed(PART, { ...all, isWhole: false });
      } else this.feed(PART, part);
    });
  }

  /** A state: first its position, then the messages that it has. */
  #ask(): void {
    const { follower, world } = this;
    const id = ++this.#asked;
    const isDue = (): boolean => this.#asked === id && follower.state === ASKING;
    this.#node.read(undefined, 0, (part) => {
      world.after(world.random.below(10), () => {
        if (!isDue()) return;
        if (world.chance(0.08)) return this.feed(REFUSED);
        const { log } = world;
        const state: State = { position: part?.position, log, n: log.all.length };
        world.after(world.random.below(10), () => isDue() && this.feed(STATE, state));
      });
    });
  }
}

/** A client with one loop over the room. */
class Client {
  readonly #world: FollowerWorld;
  readonly id: number;
  loop: Loop;
  conn: Link | undefined;
  isSlow = false;
  /** The number of the join without an answer. */
  pending: number | undefined;
  /** The join that has brought a state, and brings what follows it. */
  covered: number | undefined;
  #isDue = false;
  static #joins = 0;

  constructor(world: FollowerWorld, id: number) {
    this.#world = world;
    this.id = id;
    this.loop = new Loop(world, this);
  }

  connect(): void {
    const { loop } = this;
    this.conn = new Link(this.#world, this, this.#world.random.pick(this.#world.nodes));
    this.pending = this.covered = undefined;
    this.#isDue = false;
    if (!loop.isBegun) return loop.start();
    const { holds, state, held } = loop.follower;
    const isWaiting = holds && state !== GIVING;
    if (!isWaiting || held.length > 0) loop.feed(GAP);
    // A loop whose reader is slow is no member either.
    if (this.pending === undefined) this.join();
  }

  lost(conn: Link): void {
    if (conn === this.conn) this.connect();
  }

  /** The application begins another loop. */
  restart(): void {
    this.loop.isOver = true;
    this.loop = new Loop(this.#world, this);
    this.conn?.close();
  }

  join(): void {
    const { conn, loop } = this;
    if (conn === undefined || conn.isOver) return;
    if (this.pending !== undefined) {
      this.#isDue = true;
      return;
    }
    const join = ++Client.#joins;
    this.pending = join;
    const { last, state } = loop.follower;
    const since = state === ASKING ? undefined : last;
    const count = since === undefined ? loop.count : 0;
    loop.askedFrom = since;
    this.#world.after(this.#world.random.below(4), () => {
      if (!conn.isOver) conn.node.join(conn, since, count, join);
    });
  }

  got(conn: Link, frame: Frame): void {
    if (conn !== this.conn) return;
    const { loop } = this;
    switch (frame.kind) {
      case 'message':
        return loop.take(frame.item);
      case 'state':
        this.covered = this.pending;
        return loop.feed(STATE, frame.state);
      case 'gap':
        return loop.feed(GAP);
      case 'left':
        this.pending = undefined;
        loop.feed(GAP);
        if (this.pending === undefined) this.join();
        return;
      case 'answer':
        return this.#answered(frame.join, frame.answer);
    }
  }

  #answered(join: number, answer: Answer | undefined): void {
    if (join !== this.pending) return;
    const { loop } = this;
    this.pending = undefined;
    const isDue = this.#isDue;
    this.#isDue = false;
    if (answer === undefined) {
      const { state } = loop.follower;
      if (state !== READING && state !== ASKING) loop.feed(GAP);
      this.#world.after(10 + this.#world.random.below(20), () => this.join());
    } else if (isDue) this.join();
    else if (loop.follower.state === READING) {
      if (!answer.complete && answer.position === undefined && this.#world.hasLog) {
        loop.feed(FAILED);
      } else loop.feed(PART, loop.partOf(answer));
    } else if (loop.follower.state === ASKING) this.join();
    // Another membership has taken the place of the one that would report what is missing.
    else if (loop.follower.state > LIVE) loop.feed(GAP);
  }

  check(): void {
    this.loop.check();
  }
}

/** One loop: a queue, a pace, and what its application has seen. */
class Loop extends User {
  readonly #client: Client;
  readonly count: number;
  /** The position that the last join was sent with. */
  askedFrom: Place | undefined;
  isBegun = false;
  isOver = false;
  #queue: (Frame | { readonly kind: 'live' })[] = [];
  #isReading = false;
  #isBehind = false;
  /** The last message that the application has, by its log; undefined before. */
  #saw: { readonly log: Log; readonly n: number } | undefined;
  /** Whether messages may be missing after it. */
  #sawGap = true;
  /** Whether the last state had no position, so that messages may be missing after it. */
  #isBlind = false;

  constructor(world: FollowerWorld, client: Client) {
    const { random, log, plan } = world;
    const asks = plan.kind === 'state';
    const how = plan.kind === 'plain' ? 0 : random.below(5);
    const back = { epoch: log.epoch, offset: Math.max(0, log.end - random.below(8)) };
    const ahead = { epoch: log.epoch, offset: log.end + 1 + random.below(4) };
    const last =
      how === 2 ? { epoch: 'none', offset: 0 } : how === 3 ? back : how === 4 ? ahead : undefined;
    const rules: FollowerRules = {
      asks,
      passes: false,
      holdsNext: false,
      tries: Infinity,
      loss: asks ? [ASK, ASK, ASK] : [ON, ON, ON],
    };
    super(world, `loop ${client.id}`, rules, {
      state: asks && last === undefined ? ASKING : READING,
      last,
    });
    this.#client = client;
    this.count = how === 1 && !asks ? 1 + random.below(5) : 0;
    if (how === 3) {
      this.#saw = { log, n: log.countUpTo(back) };
      this.#sawGap = false;
    }
  }

  start(): void {
    this.isBegun = true;
    this.begin();
  }

  rejoin(): void {
    if (this.isBegun) this.feed(GAP);
  }

  take(item: Item): void {
    const { state } = this.follower;
    if (this.#queue.length >= QUEUE && state !== ASKING && state !== GIVING) {
      this.#isBehind = true;
      this.feed(FULL);
    }
    const given = this.world.hasLog ? item : { ...item, position: undefined };
    this.message(given, this.follower.state === GIVING ? 0 : HELD);
  }

  /** What a join has brought is held, or was given. */
  partOf({ position, complete }: Answer): LogPart<Item> {
    const { held, last } = this.follower;
    const got = held.map((each) => each.position).filter((at) => at?.epoch === position?.epoch);
    // Else the log has not reached the position of the loop.
    const isOfLog = last !== this.askedFrom || isUpTo(last, position);
    if (last?.epoch === position?.epoch && isOfLog) got.push(last);
    const latest = got.reduce((a, b) => (isUpTo(a, b) ? b : a), got[0]);
    const isAll = latest === undefined || (complete && held.length < HELD);
    const upTo = isAll || (complete && isUpTo(position, latest)) ? position : latest;
    return { messages: [], position: upTo, end: position, isWhole: complete };
  }

  protected override settled(): void {
    if (this.isOver) return;
    const isEmpty = this.#queue.length === 0;
    const isDrained = isEmpty || (!this.#isBehind && this.#queue.length < QUEUE);
    if (this.follower.state === GIVING && isDrained) this.feed(DRAINED);
    else this.#readNext();
  }

  protected override do(act: number, value: unknown): void {
    const client = this.#client;
    switch (act) {
      case DO_GIVE:
      case DO_PART:
        for (const item of value as Item[]) this.#queue.push({ kind: 'message', item });
        return;
      case DO_STATE:
        this.#isBehind = false;
        this.#queue = [{ kind: 'state', state: value as State }];
        return;
      case DO_GAP:
        return void this.#queue.push({ kind: 'gap' });
      case DO_LIVE:
        return void this.#queue.push({ kind: 'live' });
      case DO_READ:
      case DO_ASK: {
        this.#isBehind = false;
        const isCovered = act === DO_READ && client.covered === client.pending;
        // The join that has brought the state brings what follows it.
        if (!isCovered || client.pending === undefined) client.join();
        client.covered = undefined;
        return;
      }
      case DO_BLIND:
        return;
      default:
        this.world.wrong(`${this.name}: act ${act}`);
    }
  }

  #readNext(): void {
    const next = this.#isReading ? undefined : this.#queue.shift();
    if (next === undefined) return;
    this.#isReading = true;
    this.#see(next);
    this.world.after(this.world.random.below(this.#client.isSlow ? 12 : 3), () => {
      this.#isReading = false;
      this.settled();
    });
  }

  /** What the application gets is in order, once, and without a hole but after a gap. */
  #see(entry: Frame | { readonly kind: 'live' }): void {
    const { world, name } = this;
    if (entry.kind === 'gap') {
      if (world.plan.kind === 'state') world.wrong(`${name}: a gap in a room with a state`);
      this.#sawGap = true;
    } else if (entry.kind === 'state') {
      const { position, log } = entry.state;
      const isHere = position?.epoch === log.epoch;
      this.#saw = isHere ? { log, n: log.countUpTo(position) } : undefined;
      this.#sawGap = !isHere;
      this.#isBlind = position === undefined;
    } else if (entry.kind === 'message') this.#seeMessage(entry.item);
  }

  #seeMessage({ log, n, isLost }: Item): void {
    const { world, name } = this;
    const saw = this.#saw;
    const what = `${n} of ${log.epoch} after ${saw?.n} of ${saw?.log.epoch}`;
    if (isLost) world.wrong(`${name}: a message that it cannot take`);
    if (this.#isBlind) return;
    // Without positions, another node may send a message again after a gap.
    const isNew = saw?.log !== log || n > saw.n || (this.#sawGap && !world.hasLog);
    if (!isNew) world.wrong(`${name}: twice: ${what}`);
    else if (saw !== undefined && !this.#sawGap && (saw.log !== log || n > saw.n + 1)) {
      world.wrong(`${name}: a hole: ${what}`);
    }
    this.#saw = { log, n };
    this.#sawGap = false;
  }

  check(): void {
    const { world, name } = this;
    const { log } = world;
    const { state } = this.follower;
    if (state !== LIVE) world.wrong(`${name}: state ${state} at rest`);
    if (this.#queue.length > 0) world.wrong(`${name}: its queue is not read`);
    const saw = this.#saw;
    if (saw?.log !== log || saw.n !== log.all.length) {
      world.wrong(
        `${name}: saw ${saw?.n} of ${saw?.log.epoch}, not ${log.all.length} of ${log.epoch}`,
      );
    }
  }
}
