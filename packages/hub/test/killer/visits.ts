// The part of a node for clients that come and go with positions: a hub with an overflow policy.
import type { IncomingMessage } from 'node:http';
import { type Backplane, Hub, isPosition, type Overflow, type Position } from '@ws/hub';
import { serve } from '@ws/node-server';
import { type FromNode, LARGE_BYTES, LARGE_MS, PUBLISH_MS } from './protocol.ts';

/** One thing that a visitor gets. */
export type ToVisitor =
  | {
      readonly complete: boolean;
      readonly position: Position | undefined;
      /** By the clock of the machine, in ms. */
      readonly sentAt: number;
    }
  | { readonly gap: true; readonly position: Position | undefined }
  | { readonly run: string; readonly number: number; readonly position: Position | undefined };

/** The rooms of visitors. Some of their members read the last one too slowly. */
export const VISITED = ['visited/small', 'visited/large'] as const;
export const POLICIES = ['close', 'latest'] as const;

/** The query of a visitor's URL: its name, and the room. */
const queryOf = (request: unknown): string[] =>
  (request as IncomingMessage).url!.split('?')[1]!.split(',');

/** Starts the hub. Returns its port, and the start of its publications, which returns their end. */
export async function startVisits(
  run: string,
  backplane: Backplane,
  policy: Overflow,
  report: (event: FromNode) => void,
): Promise<{ port: number; publish: () => () => Promise<unknown> }> {
  const form = (message: { text(): string }, { position }: { position: Position | undefined }) => {
    const [from, number] = message.text().split(' ');
    if (from === 'gap') return JSON.stringify({ gap: true, position });
    const padding = number!.endsWith('L') ? ' '.repeat(LARGE_BYTES) : '';
    return JSON.stringify({ run: from, number: Number.parseInt(number!, 10), position }) + padding;
  };
  const rooms = {
    'visited/*': {
      history: backplane.history !== undefined && { size: 2_000, bytes: 2 ** 22 },
      delivery: 'through',
      form,
    },
  } as const;
  const hub = new Hub({ id: `${run}v`, backplane, rooms, overflow: policy });
  hub.on('error', (_, error) => report({ type: 'error', text: `visits: ${String(error)}` }));
  hub.on('gap', (room) => {
    if (room !== undefined) void hub.room(room).publish('gap', { local: true });
  });
  hub.on('overflow', (session, { dropped }) => {
    report({ type: 'overflow', visit: queryOf(session.request)[0]!, dropped });
  });
  hub.on('message', (session, message) => {
    const { since } = message.json() as { since: unknown };
    const [, room] = queryOf(session.request);
    void session.join(room!, {
      since: isPosition(since) ? since : undefined,
      first: ({ complete, position }) => JSON.stringify({ complete, position, sentAt: Date.now() }),
    });
  });
  const server = await serve({ host: '127.0.0.1', port: 0 }, hub.handler);
  const pending = new Set<Promise<void>>();
  const numbers = [0, 0];
  const publishTo = (index: 0 | 1, suffix: string): void => {
    const room = VISITED[index];
    const number = ++numbers[index]!;
    const at = Date.now();
    const published = hub
      .room(room)
      .publish(`${run} ${number}${suffix}`, { key: run })
      .then(
        (position) => report({ type: 'accepted', room, number, at, position }),
        () => report({ type: 'refused', room, number, at }),
      )
      .finally(() => pending.delete(published));
    pending.add(published);
  };
  return {
    port: Number(new URL(server.url).port),
    publish() {
      const timers = [
        setInterval(() => publishTo(0, ''), 2 * PUBLISH_MS),
        setInterval(() => publishTo(1, 'L'), LARGE_MS),
      ];
      return () => {
        for (const timer of timers) clearInterval(timer);
        return Promise.all(pending);
      };
    },
  };
}
