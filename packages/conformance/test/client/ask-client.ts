import { clientCases } from '../../src/client/cases.ts';
import type { CaseResult } from '../../src/model/case.ts';
import { selectCases } from '../../src/model/select.ts';
import { ClientHost } from '../../src/run/client-host.ts';

/** A client under test in this process: connects to the URL, and resolves when the connection is over. */
export type EchoClient = (url: string) => Promise<unknown>;

/** How a client is asked. */
interface Asking {
  readonly only?: readonly string[];
  readonly timeout?: number;
  /** Connections at the same time; with one they come in the order of the suite. */
  readonly concurrency?: number;
  /** Ends the run after a result. */
  readonly until?: (result: CaseResult) => boolean;
}

/** Milliseconds for a client to connect. */
const NEVER_CAME = 10_000;

/** Asks a client in this process, which needs no command to be started. */
export async function askClient(
  client: EchoClient,
  { only = [], timeout = 5000, concurrency = 1, until = () => false }: Asking = {},
): Promise<CaseResult[]> {
  const cases = selectCases(clientCases, only);
  let over = false;
  const host = new ClientHost(cases, timeout, (result) => {
    over ||= until(result);
  });
  const url = await host.listen();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < cases.length && !over) {
      const at = next++;
      const gone = client(`${url}/runCase?case=${at + 1}`).then(
        () => undefined,
        () => undefined,
      );
      const judged = await host.judged(at, NEVER_CAME, gone);
      if (!judged) host.giveUp('the client in this process never came', at);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  await host.close();
  return host.results;
}

/** Whether a case neither passed nor was skipped. */
export const isDifference = ({ verdict }: CaseResult): boolean =>
  verdict === 'fail' || verdict === 'non-strict';

/** A result in a line: id, verdict, title and reasons. */
export const words = ({ id, verdict, title, because }: CaseResult): string =>
  `${id} ${verdict} ${title}: ${because.join('; ')}`;

/** All that neither passed nor was skipped, a line each. */
export function differences(results: readonly CaseResult[]): string[] {
  return results.filter(isDifference).map(words);
}
