import { clientCases } from '../client/cases.ts';
import type { CaseFacts } from '../model/case.ts';
import { factsOf, selectCases } from '../model/select.ts';
import { ClientCommand } from './client-command.ts';
import { ClientHost } from './client-host.ts';
import { DEFAULT_TIMEOUT, reportOf, type SuiteOptions, type SuiteReport } from './suite-report.ts';

/** What {@link runClientSuite} can be told. */
export interface ClientSuiteOptions extends SuiteOptions {
  /** Start the command anew for each case, with the case's own URL. Default: once, and it asks for the cases itself. */
  readonly each?: boolean | undefined;
}

/** Commands under way at the same time, when there is one for each case. */
const COMMANDS = 4;
/** Milliseconds that a command may take before it connects for the first time: it may have to be compiled. */
const FIRST_VISIT = 60_000;

/** The cases that {@link runClientSuite} runs, in order. */
export function clientSuiteCases(only: readonly string[] = []): CaseFacts[] {
  return selectCases(clientCases, only).map(factsOf);
}

/**
 * Asks a client every question of the suite. The client is a command that connects to where it is told, and sends each
 * message back, type and bytes.
 *
 * @param command - Program and arguments. `{url}` in them becomes the URL; without it the URL is appended.
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
  // Ends when the command does, when it has come for all cases, or when it comes no more.
  while (!client.over && !host.complete) {
    const patience = host.visits === 0 ? FIRST_VISIT : 2 * timeout;
    const heard = await host.quiet(patience, client.exited);
    if (!heard) break;
  }
  const idle = !client.over && !host.complete;
  const words = idle
    ? 'the client came for no more cases, and was ended'
    : await client.lastWords(timeout);
  await client.stop();
  await host.settled();
  host.giveUp(words);
}

async function runEach(command: readonly string[], url: string, host: ClientHost): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < host.cases.length) {
      const at = next++;
      const client = new ClientCommand(command, `${url}/runCase?case=${at + 1}`);
      const judged = await host.judged(at, FIRST_VISIT, client.exited);
      if (!judged)
        host.giveUp(client.over ? await client.lastWords(0) : 'the client never came', at);
      await client.stop();
    }
  };
  await Promise.all(Array.from({ length: COMMANDS }, work));
}
