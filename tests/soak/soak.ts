import { selfSigned } from '../self-signed.ts';
import { Child } from './child.ts';
import type { ClientCensus, ClientPlan, ClientSample } from './clients.ts';
import type { Address, Plan } from './plan.ts';
import type { ServerCensus, ServerPlan, ServerSample } from './server.ts';

/** A process when nobody has come yet, when all have come and gone once, and at the end. */
export interface Course<C> {
  readonly fresh: C;
  readonly start: C;
  readonly end: C;
}

/** All that a soak has seen. */
export interface Observed {
  readonly plan: Plan;
  readonly server: Course<ServerCensus>;
  readonly clients: Course<ClientCensus>;
  readonly samples: readonly Moment[];
  /** What was opened, ended and answered in all. */
  readonly totals: ClientSample;
  /** The server when it has closed. */
  readonly closed: ServerCensus;
}

/** Both processes at a moment. */
export interface Moment {
  /** Seconds since the clients first began to come. */
  readonly at: number;
  readonly server: ServerSample;
  readonly clients: ClientSample;
}

/** Between two moments, in ms. */
const EVERY = 5_000;
/** How long the first wave stays once all are there, in seconds. */
const WAVE = 10;
/** How long they come and go at least once all are there, in seconds: for some moments. */
const LEAST = 15;

/**
 * Lets clients come and go for as long as the plan says, and sees what they leave behind: a server and its clients, a
 * process each.
 *
 * @param tell - Is told what happens, a line at a time.
 */
export async function soak(plan: Plan, tell: (line: string) => void): Promise<Observed> {
  const server = new Child('the server', new URL('./server.ts', import.meta.url));
  const clients = new Child('the clients', new URL('./clients.ts', import.meta.url));
  try {
    return await observe(plan, server, clients, tell);
  } finally {
    await Promise.all([server.stop(), clients.stop()]);
  }
}

async function observe(
  plan: Plan,
  server: Child,
  clients: Child,
  tell: (line: string) => void,
): Promise<Observed> {
  const tls = plan.secure ? await selfSigned() : undefined;
  const addresses = await server.ask<Address[]>('start', { plan, tls } satisfies ServerPlan);
  await clients.ask('start', { ...plan, addresses, ca: tls?.cert } satisfies ClientPlan);
  await clients.ask('greet');
  const fresh = await both(server, clients);

  const began = performance.now();
  const look = async (): Promise<Moment> => {
    const at = (performance.now() - began) / 1_000;
    const moment = { at, ...(await sample(server, clients)) };
    tell(`  ${lineOf(moment)}`);
    return moment;
  };
  const come = async (seen?: Moment[]): Promise<number | undefined> => {
    const came = await watch(clients.ask<number | undefined>('come'), look, seen);
    tell(`  ${came === undefined ? 'never all' : `all after ${came.toFixed(1)} s`}`);
    return came;
  };
  tell('all come, and leave again:');
  await come();
  await clients.ask('stay', Math.min(WAVE, plan.seconds));
  await watch(clients.ask('leave'), look);
  const start = await both(server, clients, fresh);
  tell(`  ${memoryOf('server', start.server)}; ${memoryOf('clients', start.clients)}`);

  tell(`they come and go, for ${plan.seconds} s:`);
  const samples: Moment[] = [];
  const stay = staying(plan.seconds, await come(samples));
  if (stay.extended) tell(`  too late: they stay for ${stay.seconds} s from now on`);
  await watch(clients.ask('stay', stay.seconds), look, samples);
  samples.push(await look());
  tell('they leave:');
  await watch(clients.ask('leave'), look);

  tell('all have left:');
  await clients.ask('greet');
  const end = await both(server, clients, fresh);
  tell(`  ${memoryOf('server', end.server)}; ${memoryOf('clients', end.clients)}`);
  const totals = await clients.ask<ClientSample>('sample');
  await server.ask('close');
  const closed = await server.ask<ServerCensus>('census');
  return {
    plan,
    server: { fresh: fresh.server, start: start.server, end: end.server },
    clients: { fresh: fresh.clients, start: start.clients, end: end.clients },
    samples,
    totals,
    closed,
  };
}

interface Both {
  readonly server: ServerCensus;
  readonly clients: ClientCensus;
}

async function both(server: Child, clients: Child, before?: Both): Promise<Both> {
  const [atServer, atClients] = await Promise.all([
    server.ask<ServerCensus>('census', before?.server),
    clients.ask<ClientCensus>('census', before?.clients),
  ]);
  return { server: atServer, clients: atClients };
}

/** The names of what an object has. */
export function keysOf<T extends object>(object: T): (keyof T)[] {
  return Object.keys(object) as (keyof T)[];
}

/**
 * How long they come and go once all are there, of which `came` tells after how many seconds that was: what is left of what
 * was asked for, and more on a machine so slow that nothing would be left of it. Nothing when they were never all there.
 */
export function staying(
  asked: number,
  came: number | undefined,
): { readonly seconds: number; readonly extended: boolean } {
  if (came === undefined) return { seconds: 0, extended: false };
  const left = asked - came;
  const least = Math.min(asked, LEAST);
  return { seconds: Math.max(left, least), extended: asked > LEAST && left < least };
}

/** Waits for `work`, and looks again and again meanwhile, at what is kept in `seen`. */
async function watch<Value>(
  work: Promise<Value>,
  look: () => Promise<Moment>,
  seen: Moment[] = [],
): Promise<Value> {
  const over = work.then(() => true);
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const later = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, EVERY, false);
    });
    const isOver = await Promise.race([over, later]);
    clearTimeout(timer);
    if (isOver) return work;
    seen.push(await look());
  }
}

async function sample(
  server: Child,
  clients: Child,
): Promise<{ server: ServerSample; clients: ClientSample }> {
  const [atServer, atClients] = await Promise.all([
    server.ask<ServerSample>('sample'),
    clients.ask<ClientSample>('sample'),
  ]);
  return { server: atServer, clients: atClients };
}

/** Bytes as people read them. */
export function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function memoryOf(name: string, { memory }: Pick<ServerSample, 'memory'>): string {
  const { rss, heap, external, arrayBuffers } = memory;
  const figures = [`rss ${mib(rss)}`, `heap ${mib(heap)}`, `external ${mib(external)}`];
  return `${name} ${figures.join(', ')} (buffers ${mib(arrayBuffers)}) MiB`;
}

function lineOf({ at, server, clients }: Moment): string {
  return [
    `${at.toFixed(0).padStart(4)} s: ${clients.open} open (${server.open} at the server)`,
    `${clients.opened} opened, ${clients.ended} ended`,
    `${clients.messages} messages`,
    `${clients.faults} faults`,
    `${memoryOf('server', server)}, delay ${server.delay.toFixed(0)} ms`,
    `${memoryOf('clients', clients)}, delay ${clients.delay.toFixed(0)} ms`,
  ].join('; ');
}
