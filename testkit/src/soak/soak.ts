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
  /** Seconds since the clients began to come and go. */
  readonly at: number;
  readonly server: ServerSample;
  readonly clients: ClientSample;
}

/** Between two moments, in ms. */
const EVERY = 5_000;

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
  const watched = (work: Promise<unknown>, seen: (moment: Moment) => void): Promise<void> =>
    watch(work, async () => {
      const at = (performance.now() - began) / 1_000;
      const moment = { at, ...(await sample(server, clients)) };
      seen(moment);
      tell(`  ${lineOf(moment)}`);
    });
  tell('all come, and leave again:');
  await watched(clients.ask('wave'), () => {});
  const start = await both(server, clients, fresh);
  tell(`  ${memoryOf('server', start.server)}; ${memoryOf('clients', start.clients)}`);

  tell(`they come and go, for ${plan.seconds} s:`);
  const samples: Moment[] = [];
  await watched(clients.ask('churn'), (moment) => samples.push(moment));
  await watched(clients.ask('leave'), () => {});

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

/** Waits for `work`, and looks at it again and again meanwhile. */
async function watch(work: Promise<unknown>, look: () => Promise<void>): Promise<void> {
  const over = work.then(() => true);
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const later = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, EVERY, false);
    });
    const isOver = await Promise.race([over, later]);
    clearTimeout(timer);
    if (isOver) return;
    await look();
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
    `${memoryOf('server', server)}, delay ${server.delay.toFixed(0)} ms`,
    `${memoryOf('clients', clients)}, delay ${clients.delay.toFixed(0)} ms`,
  ].join('; ');
}
