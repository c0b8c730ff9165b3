import { judge, type Outcome } from './judge.ts';
import type { Meddle } from './lane.ts';
import { ACCEPTED, Ledger } from './ledger.ts';
import { ChaosProxy } from './proxy.ts';
import { drawScript, type Part, type Script, scriptText } from './script.ts';
import type { Side } from './side.ts';
import { playClient, Servers } from './stage.ts';

/** What a run has seen. */
export interface Tally {
  /** Messages that have arrived, each of them checked. */
  heard: number;
  said: number;
  connections: number;
  /** Connections that the proxy, a side, or a handshake that failed has cut. */
  cut: number;
  /** Messages that have not arrived, and whose sender was told by a promise; by the end of the connection. */
  refused: number;
  lost: number;
  /** By what the connection was between. */
  readonly pairings: Map<string, number>;
  /** Breaches of the law, each with the plan of its connection. */
  readonly findings: string[];
}

/** What a run is asked for. */
export interface ChaosOptions {
  readonly seed: number;
  /** Goes on until so many messages have arrived. */
  readonly messages?: number;
  /** Goes on until this is true. */
  readonly until?: () => boolean;
  /** These connections and no others, in place of those that the seed gives one after the other. */
  readonly scripts?: readonly Script[];
  /** Called after every round. */
  readonly onRound?: (tally: Tally) => void;
  /** Changes what passes, for tests of the judge. */
  readonly meddle?: { readonly toServer?: () => Meddle; readonly toClient?: () => Meddle };
  /** When no connection has ended for this long, in ms, those that have not hang: a finding. */
  readonly patience?: number;
}

/** Connections of a round: between two of them everything is closed, and must be. */
const ROUND = 256;
const AT_ONCE = 48;

/** A connection from its script to its end. */
class Exchange implements Outcome {
  readonly script: Script;
  readonly client: Side;
  readonly server: Side;
  link: Outcome['link'];
  /** What the server's side does, once it has come up. */
  served: Promise<void> = Promise.resolve();

  constructor(script: Script) {
    this.script = script;
    const up = new Ledger();
    const down = new Ledger();
    const { connection, pairing, client, server } = script;
    const news = (): void => this.#news();
    const tag = connection * 2;
    const makeOfServer = pairing.server === 'ws' ? 'ws' : 'ours';
    this.client = makeSide('client', pairing.client, client, up, down, tag, news);
    this.server = makeSide('server', makeOfServer, server, down, up, tag + 1, news);
  }

  /** Who is to close does so when it has said all, and heard all that it will hear. */
  #news(): void {
    const { closer } = this.script;
    for (const side of [this.client, this.server]) {
      const closes = closer === side.role || closer === 'both';
      const finished = side.out.done && side.stream === undefined;
      if (closes && side.closed === undefined && finished && side.in.complete) side.close?.(1000);
    }
  }
}

function makeSide(
  role: Side['role'],
  make: Side['make'],
  part: Part,
  out: Ledger,
  into: Ledger,
  tag: number,
  news: () => void,
): Side {
  return {
    role,
    make,
    part,
    out,
    in: into,
    tag,
    news,
    end: undefined,
    closed: undefined,
    terminated: false,
    close: undefined,
    stream: undefined,
    reading: 'pending',
    faults: [],
  };
}

/** Plays connections until enough messages have arrived, and judges each. */
export async function chaos(options: ChaosOptions): Promise<Tally> {
  const { seed, scripts, messages = Infinity, until = () => false } = options;
  const tally: Tally = {
    heard: 0,
    said: 0,
    connections: 0,
    cut: 0,
    refused: 0,
    lost: 0,
    pairings: new Map(),
    findings: [],
  };
  const uncaught = (error: unknown): void => void tally.findings.push(`uncaught: ${text(error)}`);
  process.on('uncaughtException', uncaught).on('unhandledRejection', uncaught);
  try {
    for (let first = 0; ; first += ROUND) {
      const round = scripts ?? Array.from({ length: ROUND }, (_, i) => drawScript(seed, first + i));
      await playRound(round, options, tally);
      options.onRound?.(tally);
      const enough = scripts !== undefined || tally.heard >= messages || until();
      if (enough || tally.findings.length > 0) return tally;
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
  { meddle, patience = 120_000 }: ChaosOptions,
  tally: Tally,
): Promise<void> {
  const exchanges = new Map(scripts.map((script) => [script.connection, new Exchange(script)]));
  const servers = await Servers.start((connection, play) => {
    const exchange = exchanges.get(connection)!;
    exchange.served = play(exchange.server);
  });
  const proxy = await ChaosProxy.start((connection) => {
    const { pairing, plan } = exchanges.get(connection)!.script;
    const { toServer, toClient } = meddle ?? {};
    return {
      port: servers.portOf(pairing),
      plan,
      meddle: { toServer: toServer?.(), toClient: toClient?.() },
    };
  });

  const started = new Set<Exchange>();
  const waiting = [...exchanges.values()];
  let hang!: (hung: boolean) => void;
  const hangs = new Promise<boolean>((resolve) => {
    hang = resolve;
  });
  const watchdog = setTimeout(() => hang(true), patience);
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      started.add(next);
      await play(next, proxy);
      started.delete(next);
      watchdog.refresh();
    }
  };
  const playing = (async () => {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    await proxy.close();
    await servers.close();
    // A side may have come up when its client had gone already.
    await Promise.all([...exchanges.values()].map(({ served }) => served));
    return false;
  })();
  const hung = await Promise.race([playing, hangs]);
  clearTimeout(watchdog);
  if (!hung) for (const exchange of exchanges.values()) count(exchange, tally);
  else if (started.size === 0) tally.findings.push('a server or the proxy does not close');
  for (const { script, client, server } of started) {
    const states = `client ${stateOf(client)}; server ${stateOf(server)}`;
    tally.findings.push(`hangs: ${states}\n${scriptText(script)}`);
  }
}

/** Plays a connection to its end, as far as its client and the proxy know. */
async function play(exchange: Exchange, proxy: ChaosProxy): Promise<void> {
  const { connection, pairing } = exchange.script;
  await playClient(exchange.client, `${proxy.url}/${connection}`, pairing);
  exchange.link = proxy.linkOf(connection);
  await exchange.link?.over;
  await exchange.served;
}

function stateOf({ out, in: into, end, closed, reading }: Side): string {
  const heard = `said ${out.said.length}, heard ${into.heard}, reading ${reading}`;
  return `${heard}, closed ${JSON.stringify(closed)}, end ${JSON.stringify(end)}`;
}

function count(exchange: Exchange, tally: Tally): void {
  const { script, client, server } = exchange;
  tally.connections++;
  for (const side of [client, server]) {
    const { said, heard } = side.out;
    tally.said += said.length;
    tally.heard += heard;
    tally.lost += side.out.missing();
    tally.refused += said.filter(({ state }) => state !== ACCEPTED).length;
  }
  const clean = client.end?.code === 1000 && server.end?.code === 1000;
  if (!clean) tally.cut++;
  const { pairing } = script;
  const name = `${pairing.client} to ${pairing.server}, ${String(pairing.compression)}`;
  tally.pairings.set(name, (tally.pairings.get(name) ?? 0) + client.out.heard + server.out.heard);
  const faults = judge(exchange);
  if (faults.length > 0) tally.findings.push(`${faults.join('\n')}\n${scriptText(script)}`);
}
