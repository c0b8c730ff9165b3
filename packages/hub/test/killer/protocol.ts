import type { HubOptions, Position } from '@ws/hub';

/** The rooms of the killer, with each way of delivery, with and without history. */
export const ROOMS = {
  plain: {},
  through: { delivery: 'through' },
  kept: { history: true },
  ordered: { history: true, delivery: 'through' },
} as const satisfies HubOptions['rooms'];

/** Interval of the publications of a node, in ms. */
export const PUBLISH_MS = 40;

/** What a node reports to the killer. */
export type FromNode =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'state'; readonly state: string }
  | { readonly type: 'gap'; readonly room: string }
  | {
      readonly type: 'accepted';
      readonly room: string;
      readonly number: number;
      readonly position: Position | undefined;
    };

/** A command to a node: starts or stops its publications. */
export type ToNode = 'publish' | 'stop';
