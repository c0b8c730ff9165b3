import { clientCases } from '../client/cases.ts';
import type { CaseFacts } from '../model/case.ts';
import { factsOf, selectCases } from '../model/select.ts';
import { ClientCommand, NotAskedError } from './client-command.ts';
import { ClientHost, type ListenAddress, type ListenTls } from './client-host.ts';
import { DEFAULT_TIMEOUT, reportOf, type SuiteOptions, type SuiteReport } from './suite-report.ts';

/** Options of {@link runClientSuite}. */
export interface ClientSuiteOptions extends SuiteOptions {
  /**
   * True: start the command once per case, with the URL of the case. Default false: start it once;
   * it reads the number of cases itself.
   */
  readonly each?: boolean | undefined;
  /** Number of commands at the same time, with `each`. Default: 4. */
  readonly concurrency?: number | undefined;
  /** Where the suite listens. Default: a free port of 127.0.0.1. */
  readonly listen?: ListenAddress | undefined;
  /** Certificate of the suite: it listens for `wss:`. Default: no TLS. */
  readonly tls?: ListenTls | undefined;
  /** Receives the URL of the suite, for a client that you start yourself. */
  readonly onListen?: ((url: string) => void) | undefined;
}

const LOOPBACK: ListenAddress = { host: '127.0.0.1', port: 0 };
/** Time for the first connection of a command, in ms. A command may compile the client first. */
const CONNECT_TIMEOUT = 60_000;

/** Time for the first connection of a client without a command, in ms. */
const START_TIMEOUT = 600_000;

/**
 * Lists the cases that {@link runClientSuite} runs, in order. `only` and `exclude` contain ids with
 * `*`. Without `floods`, the list lacks the floods.
 *
 * @example
 * ```ts
 * import { clientSuiteCases } from '@ws/conformance';
 *
 * for (const { id, title } of clientSuiteCases(['7.1.*'])) console.log(id, title);
 * ```
 */
export function clientSuiteCases(
  only: readonly string[] = [],
  exclude: readonly string[] = [],
  floods: boolean = false,
): CaseFacts[] {
  return selectCases(clientCases, only, exclude, floods).map(factsOf);
}

/**
 * Runs the suite against a client. The client is a command that connects to the given URL and
 * echoes each message with the same type and bytes.
 *
 * @param command - Program and arguments. The URL replaces `{url}`, or is appended. Empty: the suite
 *   waits ten minutes for a client that you start yourself, a browser for example.
 * @param options - Which cases run, and how.
 * @returns The report.
 * @throws (rejects with) {@link NotAskedError} when the command does not start. Without `each`, also
 *   when it ends, or a minute passes, before its first connection.
 *
 * @example
 * ```ts no-run
 * import { jsonReport, runClientSuite } from '@ws/conformance';
 *
 * declare const program: string; // node my-echo-client.js, for example
 * const report = await runClientSuite(program.split(' '), { only: ['1.*'] });
 * console.log(jsonReport(report));
 * ```
 */
export async function runClientSuite(
  command: readonly string[],
  {
    only = [],
    exclude = [],
    floods = false,
    timeout = DEFAULT_TIMEOUT,
    allBytes = false,
    onResult,
    each = false,
    concurrency = 4,
    listen = LOOPBACK,
    tls,
    onListen,
  }: ClientSuiteOptions = {},
): Promise<SuiteReport> {
  const cases = selectCases(clientCases, only, exclude, floods);
  const host = new ClientHost(cases, timeout, onResult, allBytes);
  const started = new Date();
  const url = await host.listen(listen, tls);
  onListen?.(url);
  try {
    if (command.length === 0) await waitForClient(host, timeout);
    else if (each) await runEach(command, url, host, concurrency, timeout);
    else await runOnce(command, url, host, timeout);
  } finally {
    await host.close();
  }
  return reportOf('client', command.length === 0 ? url : command.join(' '), started, host.results);
}

/** Waits until all cases have a result, or the client stops connecting. */
async function waitForClient(host: ClientHost, timeout: number): Promise<void> {
  while (!host.complete) {
    const wait = host.connections === 0 ? START_TIMEOUT : Math.max(CONNECT_TIMEOUT, 2 * timeout);
    if (!(await host.nextActivity(wait, never))) break;
  }
  await host.allDone();
  host.failMissing('the client stopped connecting');
}

const never = new Promise<void>(() => undefined);

/** Number of times that a command starts again after it has exited during a case. */
const MAX_RESTARTS = 50;

/**
 * A command that exits during a case fails it. A command that hangs after a case is terminated. Both
 * start again for the cases after it.
 */
async function runOnce(
  command: readonly string[],
  url: string,
  host: ClientHost,
  timeout: number,
): Promise<void> {
  let reason = '';
  for (let starts = 0; starts <= MAX_RESTARTS; starts++) {
    const before = host.asked;
    const client = new ClientCommand(command, url);
    const idle = !(await untilDone(client, host, timeout));
    reason = idle
      ? 'the client stopped connecting and was terminated'
      : await client.exitText(timeout);
    const { ended } = client;
    await client.stop();
    await host.allDone();
    if (host.connections === 0) {
      const silence = `the client did not connect within ${CONNECT_TIMEOUT / 1000} s`;
      throw new NotAskedError(client.startFault ?? (idle ? silence : reason));
    }
    if (host.complete) {
      if (ended !== undefined && ended !== 0 && host.lastMustSurvive) {
        host.blame(`the client did not survive this case: ${reason}`);
      }
      return;
    }
    if (host.asked === before || !host.lastIsCase) break;
    // The RFC names no time within which a client is ready for the next connection.
    if (idle) host.blame(`after this case, ${reason}`, undefined, 'advice');
    else host.blame(`the client exited during this case: ${reason}`);
    host.renumber();
  }
  host.failMissing(reason);
}

/** @returns False when the client has neither exited nor connected for a while. */
async function untilDone(
  client: ClientCommand,
  host: ClientHost,
  timeout: number,
): Promise<boolean> {
  const before = host.connections;
  while (!client.hasExited && !host.complete) {
    const wait = host.connections === before ? CONNECT_TIMEOUT : 2 * timeout;
    if (!(await host.nextActivity(wait, client.exited))) break;
  }
  return client.hasExited || host.complete;
}

async function runEach(
  command: readonly string[],
  url: string,
  host: ClientHost,
  concurrency: number,
  timeout: number,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < host.cases.length) {
      const at = next++;
      const client = new ClientCommand(command, url + host.targetOf(at));
      const judged = await host.waitForResult(at, CONNECT_TIMEOUT, client.exited);
      if (client.startFault !== undefined && host.connections === 0) {
        next = host.cases.length;
        throw new NotAskedError(client.startFault);
      }
      if (!judged) {
        const reason = client.hasExited ? await client.exitText(0) : 'the client never connected';
        host.failUnasked(at, reason);
      } else if (host.mustSurvive(at)) await judgeSurvival(client, host, at, timeout);
      await client.stop();
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, host.cases.length) }, work));
}

/**
 * A signal is a crash. With another exit code, the command may only report the broken connection.
 */
async function judgeSurvival(
  client: ClientCommand,
  host: ClientHost,
  at: number,
  timeout: number,
): Promise<void> {
  const text = await client.exitText(timeout);
  if (client.ended === undefined || client.ended === 0) return;
  const crashed = typeof client.ended === 'string';
  host.blame(
    crashed
      ? `the client did not survive this case: ${text}`
      : `the client exited with an error, which may be a crash: ${text}`,
    at,
    crashed ? 'fail' : 'advice',
  );
}
