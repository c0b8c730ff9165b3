import { clientCases } from '../client/cases.ts';
import type { CaseFacts } from '../model/case.ts';
import { factsOf, selectCases } from '../model/select.ts';
import { ClientCommand } from './client-command.ts';
import { ClientHost } from './client-host.ts';
import { DEFAULT_TIMEOUT, reportOf, type SuiteOptions, type SuiteReport } from './suite-report.ts';

/** Options of {@link runClientSuite}. */
export interface ClientSuiteOptions extends SuiteOptions {
  /**
   * True: start the command once per case, with the URL of the case. Default false: start it once;
   * it reads the number of cases itself.
   */
  readonly each?: boolean | undefined;
}

/** Maximum number of commands at the same time, with {@link ClientSuiteOptions.each}. */
const MAX_COMMANDS = 4;
/** Time for the first connection of a command, in ms. A command may compile the client first. */
const CONNECT_TIMEOUT = 60_000;

/** Lists the cases that {@link runClientSuite} runs, in order. `only` contains ids with `*`. */
export function clientSuiteCases(only: readonly string[] = []): CaseFacts[] {
  return selectCases(clientCases, only).map(factsOf);
}

/**
 * Runs the suite against a client. The client is a command that connects to the given URL and
 * echoes each message with the same type and bytes.
 *
 * @param command - Program and arguments. The URL replaces `{url}`, or is appended.
 * @returns The report. A command that fails to start fails its cases.
 */
export async function runClientSuite(
  command: readonly string[],
  { only = [], timeout = DEFAULT_TIMEOUT, onResult, each = false }: ClientSuiteOptions = {},
): Promise<SuiteReport> {
  const cases = selectCases(clientCases, only);
  const host = new ClientHost(cases, timeout, onResult);
  const started = new Date();
  const url = await host.listen();
  try {
    if (each) await runEach(command, url, host);
    else await runOnce(command, url, host, timeout);
  } finally {
    await host.close();
  }
  return reportOf('client', command.join(' '), started, host.results);
}

async function runOnce(
  command: readonly string[],
  url: string,
  host: ClientHost,
  timeout: number,
): Promise<void> {
  const client = new ClientCommand(command, url);
  // Ends when the command exits, when all cases have a result, or after a timeout without
  // connections.
  while (!client.hasExited && !host.complete) {
    const wait = host.connections === 0 ? CONNECT_TIMEOUT : 2 * timeout;
    const active = await host.nextActivity(wait, client.exited);
    if (!active) break;
  }
  const idle = !client.hasExited && !host.complete;
  const reason = idle
    ? 'the client stopped connecting and was terminated'
    : await client.exitText(timeout);
  await client.stop();
  await host.allDone();
  host.failMissing(reason);
}

async function runEach(command: readonly string[], url: string, host: ClientHost): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < host.cases.length) {
      const at = next++;
      const client = new ClientCommand(command, `${url}/runCase?case=${at + 1}`);
      const judged = await host.waitForResult(at, CONNECT_TIMEOUT, client.exited);
      if (!judged)
        host.failMissing(
          client.hasExited ? await client.exitText(0) : 'the client never connected',
          at,
        );
      await client.stop();
    }
  };
  await Promise.all(Array.from({ length: MAX_COMMANDS }, work));
}
