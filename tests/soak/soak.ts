import { selfSigned } from '../kit/self-signed.ts';
import { Child } from './child.ts';
import type { ClientPlan, ClientSample, ClientSnapshot } from './clients.ts';
import type { Address, Plan } from './options.ts';
import type { ServerPlan, ServerSample, ServerSnapshot } from './server.ts';

/** Snapshots before the first client, after the first wave and at the end. */
export interface Course<C> {
  readonly fresh: C;
  readonly start: C;
  readonly end: C;
}

/** All observations of a soak. */
export interface Observed {
  readonly plan: Plan;
  readonly server: Course<ServerSnapshot>;
  readonly clients: Course<ClientSnapshot>;
  readonly samples: readonly Moment[];
  readonly totals: ClientSample;
  /** The server after its close. */
  readonly closed: ServerSnapshot;
}

/** Both processes at a moment. */
export interface Moment {
  /** Seconds since the first client. */
  readonly at: number;
  readonly server: ServerSample;
  readonly clients: ClientSample;
}

/** Time between two samples in ms. */
const SAMPLE_EVERY = 5_000;
/** How long the first wave stays connected, in seconds. */
const WAVE = 10;
/** Shortest time with all clients connected, in seconds: enough for some samples. */
const LEAST = 15;

/** Runs a server process and a client process as planned. `log` gets the progress, one line per call. */
export async function soak(plan: Plan, log: (line: string) => void): Promise<Observed> {
  const server = new Child('the server', new URL('./server.ts', import.meta.url));
  const clients = new Child('the clients', new URL('./clients.ts', import.meta.url));
  try {
    return await observe(plan, server, clients, log);
  } finally {
    await Promise.all([server.stop(), clients.stop()]);
  }
}

async function observe(
  plan: Plan,
  server: Child,
  clients: Child,
  log: (line: string) => void,
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
    log(`  ${lineOf(moment)}`);
    return moment;
  };
  const connectAll = async (seen?: Moment[]): Promise<number | undefined> => {
    const came = await watch(clients.ask<number | undefined>('connectAll'), look, seen);
    log(`  ${came === undefined ? 'not all connected' : `all after ${came.toFixed(1)} s`}`);
    return came;
  };
  log('first wave, all connect and leave:');
  await connectAll();
  await clients.ask('stay', Math.min(WAVE, plan.seconds));
  await watch(clients.ask('leave'), look);
  const start = await both(server, clients, fresh);
  log(`  ${memoryOf('server', start.server)}; ${memoryOf('clients', start.clients)}`);

  log(`clients come and leave for ${plan.seconds} s:`);
  const samples: Moment[] = [];
  const stay = durationOf(plan.seconds, await connectAll(samples));
  if (stay.extended) log(`  late: extended by ${stay.seconds} s`);
  await watch(clients.ask('stay', stay.seconds), look, samples);
  samples.push(await look());
  log('all leave:');
  await watch(clients.ask('leave'), look);

  log('after all have left:');
  await clients.ask('greet');
  const end = await both(server, clients, fresh);
  log(`  ${memoryOf('server', end.server)}; ${memoryOf('clients', end.clients)}`);
  const totals = await clients.ask<ClientSample>('sample');
  await server.ask('close');
  const closed = await server.ask<ServerSnapshot>('snapshot');
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
  readonly server: ServerSnapshot;
  readonly clients: ClientSnapshot;
}

async function both(server: Child, clients: Child, before?: Both): Promise<Both> {
  const [atServer, atClients] = await Promise.all([
    server.ask<ServerSnapshot>('snapshot', before?.server),
    clients.ask<ClientSnapshot>('snapshot', before?.clients),
  ]);
  return { server: atServer, clients: atClients };
}

/**
 * Remaining seconds after all clients were connected in `came` seconds: the rest of the `asked` seconds, extended on a slow
 * machine. 0 when they never were.
 */
export function durationOf(
  asked: number,
  came: number | undefined,
): { readonly seconds: number; readonly extended: boolean } {
  if (came === undefined) return { seconds: 0, extended: false };
  const left = asked - came;
  const least = Math.min(asked, LEAST);
  return { seconds: Math.max(left, least), extended: asked > LEAST && left < least };
}

/** Waits for `work` and takes samples meanwhile. */
async function watch<Value>(
  work: Promise<Value>,
  look: () => Promise<Moment>,
  seen: Moment[] = [],
): Promise<Value> {
  const over = work.then(() => true);
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const later = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, SAMPLE_EVERY, false);
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

/** Bytes in MiB as text. */
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
    `${clients.opened} opened, ${clients.ended} ended, ${clients.messages} messages, ${clients.faults} faults`,
    `${memoryOf('server', server)}, delay ${server.delay.toFixed(0)} ms`,
    `${memoryOf('clients', clients)}, delay ${clients.delay.toFixed(0)} ms`,
  ].join('; ');
}
