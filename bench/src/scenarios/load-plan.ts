import { resolve } from 'node:path';
import type { Values } from '../command-line/command.ts';
import { list, size, time, wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { Target } from '../load/handshake.ts';
import type { ScriptOptions } from '../load/script.ts';
import { ramps, type Stage, type Stages, steady } from '../load/stages.ts';
import { ABOUT_ERRORS, parseThreshold, type Threshold } from '../load/thresholds.ts';
import type { UsersTarget } from '../load/users.ts';
import { withoutQuery } from '../report/head.ts';

const MOST_PAYLOAD = 16 * 1024 ** 2;
/** Bytes of the different messages. */
const CORPUS = 4 * 1024 ** 2;
/** Messages in flight on a connection at a fixed rate. */
export const RATE_DEPTH = 1000;
const MOST_CONNECTIONS = 100_000;

/** What `load` does, as the document of the report has it. */
export interface LoadPlan {
  /** Without a query, which may be a secret. */
  readonly url: string;
  readonly connections: number;
  readonly payload: number;
  readonly text: boolean;
  readonly depth: number;
  readonly rate: number | undefined;
  readonly ms: number;
  /** Absolute path of the script. */
  readonly script?: string | undefined;
  readonly stages?: readonly Stage[] | undefined;
}

/** The plan of a command line. */
export function planOf(values: Values, url: string): LoadPlan {
  const rate = values['rate'] === undefined ? undefined : wholeNumber(values, 'rate', 0);
  const script = values['script'] as string | undefined;
  const stages = list(values['stage']).map(parseStage);
  const ofUsers = script === undefined ? '--stage' : '--script';
  if (script !== undefined || stages.length > 0) {
    // Its users send what the script says, one message after the other.
    const others = script === undefined ? ['depth'] : ['depth', 'payload', 'text'];
    const other = others.find((name) => values[name] !== undefined);
    if (other !== undefined) throw new UsageError(`--${other} has no meaning with ${ofUsers}`);
  }
  if (stages.length > 0) {
    const other = ['connections', 'duration', 'rate'].find((name) => values[name] !== undefined);
    if (other !== undefined) throw new UsageError(`--${other}: a --stage says that itself`);
  }
  return {
    url: withoutQuery(url),
    connections: wholeNumber(values, 'connections', 50, { most: MOST_CONNECTIONS }),
    payload: size(values, 'payload', 128, MOST_PAYLOAD),
    text: values['text'] === true,
    depth: wholeNumber(values, 'depth', rate === undefined ? 1 : RATE_DEPTH, {
      most: MOST_CONNECTIONS,
    }),
    rate,
    ms: time(values, 'duration', 10_000),
    ...(script !== undefined && { script: resolve(script) }),
    ...(stages.length > 0 && { stages: ramps(stages).stages }),
  };
}

/** `10s:50` or `10s:50@2000`. */
function parseStage(text: string): Stage {
  const [, duration, connections, rate] = /^([^:@]+):(\d+)(?:@(\d+))?$/.exec(text) ?? [];
  if (duration === undefined) {
    throw new UsageError(
      `--stage: expected TIME:CONNECTIONS or TIME:CONNECTIONS@RATE, such as 10s:50 or 10s:50@2000, got '${text}'`,
    );
  }
  return {
    ms: time({ stage: duration }, 'stage', 0),
    connections: wholeNumber({ stage: connections }, 'stage', 0, {
      least: 0,
      most: MOST_CONNECTIONS,
    }),
    rate: rate === undefined ? undefined : wholeNumber({ stage: rate }, 'stage', 0, { least: 0 }),
  };
}

/** The stages of users: those of the command line, or else of the script. */
export function stagesOf(plan: LoadPlan, values: Values, options: ScriptOptions): Stages {
  if (plan.stages !== undefined) return ramps(plan.stages);
  const given = ['connections', 'duration', 'rate'].some((name) => values[name] !== undefined);
  if (options.stages === undefined || given) return steady(plan.ms, plan.connections, plan.rate);
  return ramps(options.stages.map(stageOfScript));
}

function stageOfScript(stage: object): Stage {
  const known = ['duration', 'connections', 'rate'];
  const other = Object.keys(stage).find((name) => !known.includes(name));
  if (other !== undefined) {
    const hint = other === 'target' ? "; k6's target is connections here" : '';
    throw new UsageError(`options.stages: there is no '${other}'${hint}; see --help`);
  }
  const { duration, connections, rate } = stage as Record<string, string | undefined>;
  return parseStage(`${duration}:${connections}${rate === undefined ? '' : `@${rate}`}`);
}

/** The thresholds of the command line, or else of the script. No error is one unless they say how many. */
export function thresholdsOf(values: Values, options: ScriptOptions): Threshold[] {
  const given = list(values['threshold']);
  const texts = given.length > 0 ? given : (options.thresholds ?? []);
  if (!Array.isArray(texts)) {
    throw new UsageError("options.thresholds: expected a list, such as ['p95<50', 'errors<1%']");
  }
  const all = texts.some((text) => ABOUT_ERRORS.test(text)) ? texts : [...texts, 'errors==0'];
  return all.map(parseThreshold);
}

/** @throws UsageError for a URL or a header that cannot be used. */
export function targetOf(url: string, headers: readonly string[]): Target {
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

/** The same target for users. */
export function usersTargetOf(url: string, headers: readonly string[]): UsersTarget {
  return {
    url,
    headers: Object.fromEntries(
      headers.map((header) => {
        const colon = header.indexOf(':');
        return [header.slice(0, colon), header.slice(colon + 1).trim()];
      }),
    ),
  };
}

/** The messages of an echo load. */
export function corpusOf({ payload, text, depth }: LoadPlan): EchoPlan {
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
