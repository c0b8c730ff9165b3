import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import { channelOf } from '../backplane/channel.ts';
import { inParts, MAX_ROOMS, type Word } from '../backplane/words.ts';
import type { LiveNode, Nodes } from '../everywhere/nodes.ts';
import { NodeMembers } from './node-members.ts';
import { OwnMembers } from './own-members.ts';
import type { Presence } from './presence.ts';

/**
 * Bound of the names of rooms in one word, in UTF-16 units. JSON may escape a unit with 6 bytes, and
 * the answer also has the versions.
 */
const MAX_NAMES = 32_768;
/** Number of beats between two audits, which find out whether an engine has lost the last words. */
const AUDIT_BEATS = 12;

/** A room with a member of this node. */
interface OpenRoom {
  /** This node has received all words of the room since this event, see `Nodes.nextEvent`. */
  completeSince: number;
  /** The members of each other node, by the name of the node. */
  readonly nodes: Map<string, NodeMembers>;
}

/** The rooms about which this node asks another node, or all nodes. */
interface Need {
  /** The name of the other node; undefined for all nodes. */
  readonly of: string | undefined;
  /** Whether this node asks for the members, and not only for the versions. */
  readonly full: boolean;
  readonly rooms: Set<string>;
}

/**
 * Learns the members of other nodes. Each node sends the changes of its own members in words with
 * increasing versions. A node that lacks a version asks for all members.
 */
export class PresenceLink {
  readonly #link: BackplaneLink;
  readonly #nodes: Nodes;
  readonly #presence: Presence;
  readonly #own: OwnMembers;
  readonly #rooms = new Map<string, OpenRoom>();
  /** The questions that are sent at the end of the turn, by `full` and the name of the node. */
  readonly #needs = new Map<string, Need>();
  /** The rooms in which this node may not know all members. */
  readonly #doubtful = new Set<string>();
  /** The rooms for the next audits. */
  #toAudit: Iterator<string> = this.#rooms.keys();
  #beats = 0;
  readonly #turn = new TurnCallback(() => this.#sendNeeds());

  constructor(link: BackplaneLink, nodes: Nodes, presence: Presence) {
    this.#link = link;
    this.#nodes = nodes;
    this.#presence = presence;
    this.#own = new OwnMembers(link, presence);
    // Members may have joined before this code was loaded.
    for (const [room, { sessions }] of presence.rooms) {
      if (sessions === 0) continue;
      this.opened(room);
      this.#own.addAll(room);
    }
  }

  // Called by the presence of this node

  /** Called when the first session of this node has become a member. */
  opened(room: string): void {
    const open: OpenRoom = { completeSince: this.#nodes.nextEvent(), nodes: new Map() };
    this.#rooms.set(room, open);
    this.#link.whenSubscribed(channelOf(room), () => {
      if (this.#rooms.get(room) !== open) return;
      open.completeSince = this.#nodes.nextEvent();
      this.#need(undefined, true, room);
    });
  }

  /** A member of this node has come, has changed or has left. */
  changed(room: string, session: string): void {
    this.#own.changed(room, session);
  }

  /** The last member of this node has left. */
  closed(room: string): void {
    this.#rooms.delete(room);
  }

  /** Whether this node knows the members of all other nodes. */
  isComplete(room: string): boolean {
    const open = this.#rooms.get(room);
    const { haveAllAppeared, lacksSome } = this.#nodes;
    if (open === undefined || !haveAllAppeared || lacksSome) return false;
    if (!this.#link.isSubscribedTo(channelOf(room))) return false;
    if (!this.#link.isSubscribedTo(channelOf(undefined))) return false;
    for (const node of this.#nodes.live.values()) {
      const members = open.nodes.get(node.name);
      if (members === undefined ? !startedAfter(node, open) : !members.isWhole) return false;
    }
    return true;
  }

  // Called for events of nodes and of the engine

  /** The first word of a node has arrived. */
  appeared(node: LiveNode): void {
    for (const [room, open] of this.#rooms) {
      if (!startedAfter(node, open)) this.#need(node.name, true, room);
    }
  }

  /** A node has ended, or no longer counts. Its members leave their rooms. */
  gone({ name }: LiveNode): void {
    for (const [room, { nodes }] of this.#rooms) {
      if (nodes.delete(name)) this.#presence.rooms.get(room)?.deleteOwner(name);
    }
  }

  /** Words of a room, or of all rooms, may be missing. */
  interrupted(room: string | undefined): void {
    if (room === undefined) for (const each of this.#rooms.keys()) this.#doubt(each);
    else if (this.#rooms.has(room)) this.#doubt(room);
  }

  #doubt(room: string): void {
    const open = this.#rooms.get(room)!;
    for (const members of open.nodes.values()) members.isKnown = false;
    // This node may have missed the words of a node that has started meanwhile.
    open.completeSince = this.#nodes.nextEvent();
    this.#need(undefined, false, room);
  }

  /** The engine has returned. */
  up(): void {
    void this.#own.sendVersions();
  }

  /** Called every 5 s. */
  beat(): void {
    void this.#own.sendVersions();
    const rooms = [...this.#doubtful];
    this.#doubtful.clear();
    for (const room of rooms) {
      const open = this.#rooms.get(room);
      if (open !== undefined) this.#askAgain(room, open);
    }
    if (++this.#beats % AUDIT_BEATS === 0) this.#audit();
  }

  /** Asks all nodes for the versions of the next {@link MAX_ROOMS} rooms. */
  #audit(): void {
    for (let i = 0; i < MAX_ROOMS; i++) {
      const { done, value } = this.#toAudit.next();
      if (done === true) {
        this.#toAudit = this.#rooms.keys();
        return;
      }
      this.#need(undefined, false, value);
    }
  }

  /** Asks each node again whose members are unknown, or were cut and may fit now. */
  #askAgain(room: string, open: OpenRoom): void {
    const isFull = this.#presence.rooms.get(room)?.isFull === true;
    for (const node of this.#nodes.live.values()) {
      const members = open.nodes.get(node.name);
      if (members !== undefined) members.isAsked = false;
      const isKnown = members === undefined ? startedAfter(node, open) : members.isKnown;
      const isCut = members?.isCut === true;
      if (!isKnown || (isCut && !isFull)) this.#need(node.name, true, room);
      else if (isCut) this.#doubtful.add(room);
    }
  }

  stop(): void {
    this.#own.stop();
    this.#needs.clear();
  }

  // Called for words of another node

  /** A word of the node on the channel of a room has arrived. */
  receiveWord({ name }: LiveNode, room: string, word: Word): void {
    if (word.word !== 'change' && word.word !== 'state' && word.word !== 'version') return;
    const members = this.#membersOf(name, room);
    if (members === undefined) return;
    if (!members.applyWord(word)) this.#askFor(name, room, members);
    if (members.isCut) this.#doubtful.add(room);
  }

  /** A node has answered with its versions of rooms. */
  have(node: LiveNode, { to, at, full, rooms }: Word<'have'>): void {
    if (to !== this.#link.node) return;
    for (const [room, version] of rooms) {
      const members = this.#membersOf(node.name, room);
      if (members === undefined) continue;
      if (members.applyVersion(version, at)) continue;
      // With `full`, the node sends its members too.
      if (full) members.isAsked = true;
      else this.#askFor(node.name, room, members);
    }
  }

  /** A node asks for versions or members. */
  need(node: LiveNode, { of, full, rooms }: Word<'need'>): void {
    if (of === undefined || of === this.#link.node) this.#own.answer(node, full, rooms);
  }

  /** The members of a node in a room; undefined if this node has no member there. */
  #membersOf(name: string, room: string): NodeMembers | undefined {
    const open = this.#rooms.get(room);
    const presence = this.#presence.rooms.get(room);
    if (open === undefined || presence === undefined) return undefined;
    let members = open.nodes.get(name);
    if (members === undefined) {
      members = new NodeMembers(name, presence);
      open.nodes.set(name, members);
    }
    return members;
  }

  #askFor(name: string, room: string, members: NodeMembers): void {
    if (members.isAsked) return;
    members.isAsked = true;
    this.#need(name, true, room);
  }

  #need(of: string | undefined, full: boolean, room: string): void {
    const key = `${full} ${of ?? ''}`;
    let need = this.#needs.get(key);
    if (need === undefined) this.#needs.set(key, (need = { of, full, rooms: new Set() }));
    need.rooms.add(room);
    this.#doubtful.add(room);
    schedulerOf(this.#link.platform).endOfTurn.add(this.#turn);
  }

  #sendNeeds(): void {
    const needs = [...this.#needs.values()];
    this.#needs.clear();
    for (const { of, full, rooms } of needs) {
      for (const part of inParts(rooms, ({ length }) => length, MAX_NAMES, MAX_ROOMS)) {
        void this.#link.say(undefined, { word: 'need', of, full, rooms: part });
      }
    }
  }
}

/** Whether the other node started after `completeSince`, so that none of its words was missed. */
function startedAfter({ started = 0 }: LiveNode, { completeSince }: OpenRoom): boolean {
  return started > completeSince;
}
