import type { Command, Report, Values } from '../command-line/command.ts';
import { list, size, time, wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { Child } from '../harness/child.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { Target } from '../load/handshake.ts';
import type { LoadAnswers, RunResult } from '../load/load-worker.ts';
import { withoutQuery } from '../report/head.ts';
import { bytesName, number, type Table } from '../report/table.ts';

const MOST_PAYLOAD = 16 * 1024 ** 2;
/** Bytes of the different messages. */
const CORPUS = 4 * 1024 ** 2;
/** Messages in flight on a connection at a fixed rate. */
const RATE_DEPTH = 1000;
/** CPU share from which the load is the bottleneck. */
const BUSY = 0.9;
/** Delay in ms from which latency includes that of the load. */
const LATE_MS = 2;

const SUMMARY =
  'load for any echo server, with every byte verified: rate and latency by percentile';

const HELP = `ws-bench load: ${SUMMARY}

usage: ws-bench load <url> [options]

  ws-bench load ws://127.0.0.1:8080 --connections 64 --depth 16 --payload 16
  ws-bench load wss://example.org/echo --rate 2000 --duration 30s

The server must echo each message as one frame. By default each echo sends the next message, with
--depth messages in flight on each connection (a closed loop): this measures how much a server can do.
With --rate, messages become due at fixed moments, whatever the server does, and latency counts from
that moment. So it includes the wait of messages that a stalled server held up. The first wrong, missing
or surplus byte ends the run.

options
  --connections N  default: 50
  --payload SIZE   of each message: 125, 16KiB, 1MiB; default: 128 bytes
  --text           send text, of several scripts; default: binary
  --depth N        messages in flight on a connection; default: 1, and with --rate ${RATE_DEPTH}
  --rate N         messages per second of all connections together; default: a closed loop
  --duration TIME  10s, 500ms, 2m; in seconds without a unit; default: 10s
  --header 'N: V'  send this header in the handshake; may be repeated
  --json [FILE]    print one JSON document instead of text, or write it to FILE besides the text
  --html FILE      also write a page with a chart, for a browser

A certificate of a wss server is not checked.
`;

interface LoadPlan {
  readonly url: string;
  readonly connections: number;
  readonly payload: number;
  readonly text: boolean;
  readonly depth: number;
  readonly rate: number | undefined;
  readonly ms: number;
}

/** `ws-bench load <url>`. */
export const load: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {
    connections: { type: 'string' },
    payload: { type: 'string' },
    text: { type: 'boolean' },
    depth: { type: 'string' },
    rate: { type: 'string' },
    duration: { type: 'string' },
    header: { type: 'string', multiple: true },
  },
  common: ['json', 'html'],
  words: { name: 'url', least: 1, most: 1 },
  run,
};

async function run(values: Values, [url]: readonly string[]): Promise<Report> {
  const rate = values['rate'] === undefined ? undefined : wholeNumber(values, 'rate', 0);
  const target = targetOf(url!, list(values['header']));
  const plan: LoadPlan = {
    url: withoutQuery(url!),
    connections: wholeNumber(values, 'connections', 50, { most: 100_000 }),
    payload: size(values, 'payload', 128, MOST_PAYLOAD),
    text: values['text'] === true,
    depth: wholeNumber(values, 'depth', rate === undefined ? 1 : RATE_DEPTH, { most: 100_000 }),
    rate,
    ms: time(values, 'duration', 10_000),
  };
  const child = new Child<LoadAnswers>('./load-worker.js', undefined);
  try {
    const corpus = corpusOf(plan);
    const { connections, depth, ms } = plan;
    const { group } = await child.ask('open', { target, connections, corpus });
    const ran = await child.ask('run', { group, depth, ms, rate, latency: true });
    await child.ask('drop', group);
    return { document: { plan, ...ran }, tables: [latencyTable(ran)], text: textOf(plan, ran) };
  } catch (error) {
    throw new Error(`${plan.url}: ${(error as Error).message}`, { cause: error });
  } finally {
    await child.end();
  }
}

/** @throws UsageError for a URL or a header that cannot be used. */
function targetOf(url: string, headers: readonly string[]): Target {
  const wrong = (why: string): UsageError =>
    new UsageError(`'${url}' is no WebSocket URL: ${why}; expected ws://host:port/ or wss://host/`);
  if (!URL.canParse(url)) throw wrong('it cannot be parsed');
  const { protocol, hostname, port, pathname, search, username, password } = new URL(url);
  if (protocol !== 'ws:' && protocol !== 'wss:') throw wrong(`${protocol}// is another protocol`);
  if (username !== '' || password !== '') {
    throw new UsageError("the URL contains credentials; use --header 'Authorization: ...'");
  }
  for (const header of headers) {
    // A line break would be a second header.
    if (!/^[^\s:]+:[^\r\n]*$/.test(header)) {
      throw new UsageError(`--header: expected 'Name: value', got '${header}'`);
    }
  }
  const tls = protocol === 'wss:';
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (tls ? 443 : 80) : Number(port),
    path: `${pathname}${search}`,
    tls,
    headers,
  };
}

function corpusOf({ payload, text, depth }: LoadPlan): EchoPlan {
  const fitting = Math.floor(CORPUS / Math.max(1, payload));
  return {
    content: text ? 'mixed' : 'binary',
    sizes: [payload],
    // More messages than are in flight, where they fit, so that a lost or doubled one is detected.
    count: Math.max(2, Math.min(depth + 63, fitting)),
    fragments: 1,
    raw: false,
  };
}

function latencyTable({ latency }: RunResult): Table {
  const { p50, p99, p999, most } = latency!;
  return {
    title: 'Latency',
    unit: 'ms',
    note: 'Less is better.',
    labels: ['p50', 'p99', 'p99.9', 'max'],
    series: [{ name: 'latency', values: [p50, p99, p999, most] }],
  };
}

function textOf(
  { url, connections, payload, text, depth, rate, ms }: LoadPlan,
  ran: RunResult,
): string {
  const { p50, p99, p999, most } = ran.latency!;
  const pace =
    rate === undefined
      ? `closed loop, ${depth} in flight on each`
      : `${rate} messages per second, latency from the due moment`;
  return [
    url,
    `${connections} connections, ${bytesName(payload)} of ${text ? 'text' : 'binary'}, ${pace}`,
    '',
    `${ran.messages} messages echoed in ${number(ran.ms / 1000)} s: ${Math.round((1000 * ran.messages) / ran.ms)} per second`,
    `latency in ms: p50 ${number(p50)}, p99 ${number(p99)}, p99.9 ${number(p999)}, max ${number(most)}`,
    ...warnings(ran, rate, ms),
    'no errors: every byte was compared',
    '',
  ].join('\n');
}

/** Warnings about figures that describe more than the server. */
function warnings(
  { cpu, ms, late }: RunResult,
  rate: number | undefined,
  planned: number,
): string[] {
  const busy = cpu / 1000 / ms;
  if (rate === undefined) {
    return busy < BUSY
      ? []
      : [`the load used ${Math.round(100 * busy)} % of a core: the server may be able to do more`];
  }
  return [
    ...(ms > 1.1 * planned ? ['the server or the load did not keep up'] : []),
    ...(late!.p99 > LATE_MS ? [`the load sent up to ${number(late!.p99)} ms late (99 %)`] : []),
  ];
}
