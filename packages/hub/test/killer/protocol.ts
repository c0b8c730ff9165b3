import type { Backplane, HubOptions, Position } from '@ws/hub';
import type { Seen } from './presence-checker.ts';

/** The kinds of rooms, with each way of delivery. */
const KINDS = {
  plain: {},
  through: { delivery: 'through' },
  ordered: { history: true },
} as const satisfies HubOptions['rooms'];

export type Kind = keyof typeof KINDS;

/** Number of rooms of each kind. */
const COPIES = 4;

/** Bytes of a large message. */
export const LARGE_BYTES = 100_000;
/** Interval of the large messages of a node, in ms. Each is for the next room of large messages. */
export const LARGE_MS = 200;
/** The history of large messages has all that a node misses in an outage: a repair has many parts. */
const LARGE_HISTORY = { bytes: 2 ** 26 };

/** The rooms of large messages. A member that does not read them exceeds the bounds of the hub. */
export const LARGE: readonly string[] = Object.keys(KINDS).map((kind) => `${kind}/large`);

/** The options of the rooms: `ordered` is as `through` on an engine without history. */
export const roomsOn = (backplane: Backplane): HubOptions['rooms'] =>
  Object.fromEntries(
    Object.entries(KINDS).flatMap(([kind, options]) => {
      const keeps = 'history' in options && backplane.history !== undefined;
      const small = keeps || kind !== 'ordered' ? options : KINDS.through;
      return [
        [`${kind}/*`, { ...small, presence: ({ id }: { readonly id: string }) => id }],
        [`${kind}/large`, keeps ? { history: LARGE_HISTORY } : small],
      ];
    }),
  );

/** The names of the rooms. */
export const NAMES: readonly string[] = Object.keys(KINDS).flatMap((kind) =>
  Array.from({ length: COPIES }, (_, i) => `${kind}/${i}`),
);

/** Interval of the publications of a node, in ms. Each is for the next room. */
export const PUBLISH_MS = 20;

/** A report of a node to the killer, in its file. */
export type FromNode =
  | { readonly type: 'listening'; readonly port: number; readonly visits: number }
  | { readonly type: 'state'; readonly state: string }
  | { readonly type: 'gap'; readonly room: string; readonly number: number; readonly at: number }
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'stopped' }
  | { readonly type: 'presence'; readonly seen: Seen }
  /** Of a connection of a visitor: `number.connection`. */
  | { readonly type: 'overflow'; readonly visit: string; readonly dropped: number }
  | {
      readonly type: 'accepted';
      readonly room: string;
      readonly number: number;
      /** Time of the publication by the clock of the machine, in ms. */
      readonly at: number;
      readonly position: Position | undefined;
    }
  | {
      readonly type: 'refused';
      readonly room: string;
      readonly number: number;
      readonly at: number;
    };

/** A command to a node: starts or stops its publications, or asks who is there. */
export type ToNode = 'publish' | 'stop' | 'presence';
