import type { Platform, PreparedMessage } from '@ws/conn';
import type { AskListener } from '../everywhere/everywhere.ts';
import type { Position } from '../position.ts';
import type { Presence } from '../presence/presence.ts';
import type { PresenceChange } from '../presence/room-presence.ts';
import type { Backplane } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import type { ChannelSettings } from './channel.ts';
import type { Arrival } from './envelope.ts';
import type { Except } from './origins.ts';
import type { CloseTarget } from './words.ts';

/** The versions of the contracts of `@ws/rpc` that listen to this hub. */
export interface Versions {
  /** The highest one; undefined if no contract has a version. */
  readonly version: number | undefined;
  /** Another node has this version. */
  saw(version: number): void;
}

/** A session of this node that `everywhere.close` may close. */
interface LocalSession {
  readonly state: 'open' | 'closed';
  close(code?: number, reason?: string): Promise<unknown>;
}

/**
 * The hub of this node, as the folders `backplane`, `presence` and `everywhere` see it. They import
 * neither sessions nor rooms.
 */
export interface LocalHub {
  readonly settings: {
    readonly id: string;
    readonly backplane: Backplane | undefined;
    readonly hasPresence: boolean;
    readonly maxPresence: number;
    readonly room: (name: string) => ChannelSettings;
  };
  readonly platform: Platform;
  /** Whether the hub publishes no more messages. */
  readonly ended: boolean;
  readonly link: BackplaneLink | undefined;
  readonly presence: Presence;
  readonly versions: Versions;
  /** By the name of the question. */
  readonly askListeners: Map<string, AskListener>;
  /** Calls `use` with the link: at once, or when its code is loaded, in the order of the calls. */
  withLink<T>(use: (link: BackplaneLink) => Promise<T>): Promise<T> | undefined;
  membersOf(room: string): ReadonlySet<LocalSession>;
  /** The session with the id of `target`; or those in its room, and those that wait to join it. */
  targets(target: CloseTarget): Iterable<LocalSession>;
  /**
   * Delivers a message of another node, or of this node with `through`, to the members. Resolves when
   * each member has the message, or has it waiting.
   *
   * @param room - Undefined for a broadcast.
   */
  arrived(
    room: string | undefined,
    message: PreparedMessage,
    key: string | undefined,
    except: Except,
    arrival: Arrival,
  ): Promise<void>;
  /** Messages of a room, or of broadcasts, may be missing after `from`. */
  missed(room: string | undefined, from: Position | undefined): void;
  presenceChanged(room: string, change: PresenceChange): void;
  /** Reports an error that belongs to no session. */
  failed(session: undefined, error: unknown): void;
  /**
   * Reports an error together with others of its kind.
   *
   * @param what - The kind, as the text after a number of errors: `calls of form failed`.
   */
  reportTogether(what: string, cause: unknown): void;
  /** As {@link reportTogether}, for a promise that the application may ignore. */
  refused(error: unknown, what?: string): void;
}
