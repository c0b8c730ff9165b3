// A node of the killer: a process with a server, a hub and a publisher. It appends its reports to a file.
import { openSync, writeSync } from 'node:fs';
import process from 'node:process';
import { Hub } from '@ws/hub';
import { serve } from '@ws/node-server';
import { backplaneOf } from './backplane-of.ts';
import { watchPresence } from './presence-node.ts';
import {
  type FromNode,
  LARGE,
  LARGE_BYTES,
  LARGE_MS,
  NAMES,
  PUBLISH_MS,
  roomsOn,
  type ToNode,
} from './protocol.ts';
import { type POLICIES, startVisits } from './visits.ts';

const [engine, port, run, policy, path] = process.argv.slice(2) as [
  string,
  string,
  string,
  (typeof POLICIES)[number],
  string,
];

const target = { engine, port: Number(port), number: Number(run.at(-1)) };

const reports = openSync(path, 'a');

function report(event: FromNode): void {
  writeSync(reports, `${JSON.stringify(event)}\n`);
}

const backplane = await backplaneOf(target, 'ws');
const hub = new Hub({
  id: run,
  backplane,
  rooms: roomsOn(backplane),
  maxQueuedMessages: 10_000,
});
const seen = watchPresence(hub, run);
let state = 'down';
/** Reports the state when it has changed: before the errors and gaps that follow. */
function look(): void {
  if (hub.stats.backplane === state) return;
  state = hub.stats.backplane;
  report({ type: 'state', state });
}
setInterval(look, 10);

let gaps = 0;
hub.on('error', (_, error) => {
  look();
  const { message, cause } = error as Error;
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  report({ type: 'error', text: message + why });
});
hub.on('gap', (room) => {
  if (room === undefined) return;
  look();
  const number = ++gaps;
  report({ type: 'gap', room, number, at: Date.now() });
  // The members get it in the order of the room: it says where the hole may be.
  void hub.room(room).publish(`${room} gap ${number}`, { local: true });
});
hub.on('connect', (session) => {
  const [, query] = (session.request as { url: string }).url.split('?');
  for (const room of query!.split(',')) void session.join(room);
});
hub.on('message', (session, message) => {
  const [action, room] = [message.text()[0], message.text().slice(1)];
  if (action === '-') {
    session.leave(room);
    session.send(`${room} left`);
  } else {
    session.send(`${room} joined`);
    void session.join(room);
  }
});
// Not the port of the other workers of `node:cluster`: the killer knows the node of each client.
const server = await serve({ host: '127.0.0.1', listen: { exclusive: true } }, hub.handler);
const visits = await startVisits(run, await backplaneOf(target, 'visits'), policy, report);
let stopVisits: () => Promise<unknown> = async () => undefined;

let publishers: NodeJS.Timeout[] = [];
const numbers = new Map<string, number>();
const pending = new Set<Promise<void>>();

/** Publishes the next number of a room. */
function publish(room: string, padding: string): void {
  const number = (numbers.get(room) ?? 0) + 1;
  numbers.set(room, number);
  const at = Date.now();
  const published = hub
    .room(room)
    .publish(`${room} ${run} ${number}${padding}`)
    .then(
      (position) => report({ type: 'accepted', room, number, at, position }),
      () => report({ type: 'refused', room, number, at }),
    )
    .finally(() => pending.delete(published));
  pending.add(published);
}

/** Publishes in each room in turn. */
function publishAll(): void {
  stopVisits = visits.publish();
  let [turn, largeTurn] = [0, 0];
  const padding = '\0'.repeat(LARGE_BYTES);
  publishers = [
    setInterval(() => publish(NAMES[turn++ % NAMES.length]!, ''), PUBLISH_MS),
    setInterval(() => publish(LARGE[largeTurn++ % LARGE.length]!, padding), LARGE_MS),
  ];
}

async function stop(): Promise<void> {
  for (const publisher of publishers) clearInterval(publisher);
  await Promise.all([...pending, stopVisits()]);
  report({ type: 'stopped' });
}

process.on('message', (command: ToNode) => {
  if (command === 'publish') publishAll();
  else if (command === 'presence') report({ type: 'presence', seen: seen() });
  else if (command === 'stop') void stop();
});
process.on('disconnect', () => process.exit());
report({ type: 'listening', port: Number(new URL(server.url).port), visits: visits.port });
