import { ACCEPTED, DeliveryLog } from './delivery-log.ts';
import { findViolations, type Outcome } from './delivery-rules.ts';
import type { Tamper } from './direction.ts';
import { type Endpoint, makeEndpoint } from './endpoint.ts';
import { ChaosProxy } from './proxy.ts';
import { drawScript, type Over, type Script, scriptText } from './script.ts';
import { runClient, Servers } from './servers.ts';

/** Results of a run. */
export interface RunResult {
  /** Received and checked messages. */
  received: number;
  sent: number;
  connections: number;
  /** Connections without a clean end: cut, left early, or a failed handshake. */
  cut: number;
  /** Messages that did not arrive: `refused` by a promise, `lost` at the end of the connection. */
  refused: number;
  lost: number;
  /** Received messages per pairing. */
  readonly pairings: Map<string, number>;
  /** Violations, each with the script of its connection. */
  readonly findings: string[];
}

export interface ChaosOptions {
  readonly seed: number;
  /** What carries the connections; default: `tcp`. */
  readonly over?: Over;
  /** Stops after this many received messages. */
  readonly messages?: number;
  /** Stops when this returns true. */
  readonly until?: () => boolean;
  /** Plays exactly these connections. */
  readonly scripts?: readonly Script[];
  /** Connections of a round; default: 256. After each round everything must close. */
  readonly round?: number;
  /** Called after every round. */
  readonly onRound?: (result: RunResult) => void;
  /** Changes bytes on the way, for tests of the delivery rules. */
  readonly tamper?: { readonly toServer?: () => Tamper; readonly toClient?: () => Tamper };
  /** Reports a hang when no connection ends for this long, in ms. */
  readonly hangTimeout?: number;
}

const AT_ONCE = 48;

/** A connection from its script to its end. */
class Connection implements Outcome {
  readonly script: Script;
  readonly client: Endpoint;
  readonly server: Endpoint;
  link: Outcome['link'];
  /** The work of the server endpoint. */
  served: Promise<void> = Promise.resolve();

  constructor(script: Script) {
    this.script = script;
    const up = new DeliveryLog();
    const down = new DeliveryLog();
    const { connection, pairing, client, server } = script;
    const onProgress = (): void => this.#onProgress();
    const tag = connection * 2;
    const make = pairing.server === 'ws' ? 'ws' : 'own';
    const atClient = { out: up, in: down, tag, onProgress };
    const atServer = { out: down, in: up, tag: tag + 1, onProgress };
    this.client = makeEndpoint({ ...atClient, role: 'client', make: pairing.client, part: client });
    this.server = makeEndpoint({ ...atServer, role: 'server', make, part: server });
  }

  /** An endpoint that closes does so after all messages were sent and received. */
  #onProgress(): void {
    const { closer } = this.script;
    for (const endpoint of [this.client, this.server]) {
      const closes = closer === endpoint.role || closer === 'both';
      const finished = endpoint.out.done && endpoint.streams.size === 0;
      if (closes && endpoint.closed === undefined && finished && endpoint.in.complete)
        endpoint.close?.(1000);
    }
  }
}

/** Plays connections until enough messages have arrived, and checks each. */
export async function chaos(options: ChaosOptions): Promise<RunResult> {
  const { seed, over, scripts, messages = Infinity, until = () => false } = options;
  const { round: size = 256 } = options;
  const result: RunResult = {
    received: 0,
    sent: 0,
    connections: 0,
    cut: 0,
    refused: 0,
    lost: 0,
    pairings: new Map(),
    findings: [],
  };
  const uncaught = (error: unknown): void => void result.findings.push(`uncaught: ${text(error)}`);
  process.on('uncaughtException', uncaught).on('unhandledRejection', uncaught);
  try {
    for (let first = 0; ; first += size) {
      const round =
        scripts ?? Array.from({ length: size }, (_, i) => drawScript(seed, first + i, over));
      await playRound(round, options, result);
      options.onRound?.(result);
      const enough = scripts !== undefined || result.received >= messages || until();
      if (enough || result.findings.length > 0) return result;
    }
  } finally {
    process.off('uncaughtException', uncaught).off('unhandledRejection', uncaught);
  }
}

function text(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function playRound(
  scripts: readonly Script[],
  { over = 'tcp', tamper, hangTimeout = 120_000 }: ChaosOptions,
  result: RunResult,
): Promise<void> {
  const connections = new Map(scripts.map((script) => [script.connection, new Connection(script)]));
  const servers = await Servers.start((connection, play) => {
    const current = connections.get(connection)!;
    current.served = play(current.server);
  }, over);
  const proxy = await ChaosProxy.start(over, (connection) => {
    const { pairing, plan } = connections.get(connection)!.script;
    const { toServer, toClient } = tamper ?? {};
    return {
      port: servers.portOf(pairing),
      plan,
      tamper: { toServer: toServer?.(), toClient: toClient?.() },
    };
  });

  const started = new Set<Connection>();
  const waiting = [...connections.values()];
  let hang!: (hung: boolean) => void;
  const hangs = new Promise<boolean>((resolve) => {
    hang = resolve;
  });
  const watchdog = setTimeout(() => hang(true), hangTimeout);
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      started.add(next);
      await play(next, proxy, over);
      started.delete(next);
      watchdog.refresh();
    }
  };
  const playing = (async () => {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    await proxy.close();
    await servers.close();
    // A server endpoint may start after its client has ended.
    await Promise.all([...connections.values()].map(({ served }) => served));
    return false;
  })();
  const hung = await Promise.race([playing, hangs]);
  clearTimeout(watchdog);
  if (!hung) for (const current of connections.values()) count(current, result);
  else if (started.size === 0) result.findings.push('a server or the proxy does not close');
  for (const { script, client, server } of started) {
    const states = `client ${stateOf(client)}; server ${stateOf(server)}`;
    result.findings.push(`hangs: ${states}\n${scriptText(script)}`);
  }
}

/** Plays a connection until its client, its server and the proxy are done. */
async function play(current: Connection, proxy: ChaosProxy, over: Over): Promise<void> {
  const { connection, pairing } = current.script;
  await runClient(current.client, `${proxy.url}/${connection}`, pairing, over);
  current.link = proxy.linkOf(connection);
  await current.link?.over;
  await current.served;
}

function stateOf({ out, in: into, end, closed, reading }: Endpoint): string {
  const received = `sent ${out.sent.length}, received ${into.received}, reading ${reading}`;
  return `${received}, closed ${JSON.stringify(closed)}, end ${JSON.stringify(end)}`;
}

function count(current: Connection, result: RunResult): void {
  const { script, client, server } = current;
  result.connections++;
  for (const endpoint of [client, server]) {
    const { sent, received } = endpoint.out;
    result.sent += sent.length;
    result.received += received;
    result.lost += endpoint.out.missing();
    result.refused += sent.filter(({ state }) => state !== ACCEPTED).length;
  }
  const clean = client.end?.code === 1000 && server.end?.code === 1000;
  if (!clean) result.cut++;
  const { pairing } = script;
  const name = `${pairing.client} to ${pairing.server}, ${String(pairing.compression)}`;
  result.pairings.set(
    name,
    (result.pairings.get(name) ?? 0) + client.out.received + server.out.received,
  );
  const faults = findViolations(current);
  if (faults.length > 0) result.findings.push(`${faults.join('\n')}\n${scriptText(script)}`);
}
