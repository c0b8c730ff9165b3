import type { Platform, PreparedMessage } from '@ws/conn';
import type { AskListener } from '../everywhere/everywhere.ts';
import type { Position } from '../position.ts';
import type { Presence } from '../presence/presence.ts';
import type { PresenceChange } from '../presence/room-presence.ts';
import type { Backplane } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import type { ChannelSettings } from './channel.ts';
import type { Arrival } from './envelope.ts';
import type { Except } from './publications.ts';
import type { CloseTarget } from './words.ts';

/** A session of this node that `everywhere.close` may close. */
interface LocalSession {
  readonly state: 'open' | 'closed';
  close(code?: number, reason?: string): Promise<unknown>;
}

/**
 * The hub of this node, for the folders `backplane`, `presence` and `everywhere`. These import no session
 * and no room.
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
  /** No message is published any more. */
  readonly ended: boolean;
  readonly link: BackplaneLink | undefined;
  readonly presence: Presence;
  /** By the name of the question. */
  readonly askListeners: Map<string, AskListener>;
  /** Uses the link: at once or, in the order of the calls, when its code is loaded. */
  withLink<T>(use: (link: BackplaneLink) => Promise<T>): Promise<T> | undefined;
  membersOf(room: string): ReadonlySet<LocalSession>;
  /** The sessions of this node with the id, or in the room, or waiting for a decision to join it. */
  targets(target: CloseTarget): Iterable<LocalSession>;
  /**
   * Delivers a message of another node, or of this node with `through`, to the members. Resolves
   * when each of them has it, or has it waiting.
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
  /** Messages of other nodes in a room, or broadcasts, may be missing after `from`. */
  missed(room: string | undefined, from: Position | undefined): void;
  presenceChanged(room: string, change: PresenceChange): void;
  /** Reports an error that belongs to no session. */
  failed(session: undefined, error: unknown): void;
  /**
   * Reports an error together with others of its kind.
   *
   * @param what - The failure of several calls, in words.
   */
  failedOften(what: string, cause: unknown): void;
  /** As {@link failedOften}, for a promise that the application may not await. */
  refused(error: unknown, what?: string): void;
}
