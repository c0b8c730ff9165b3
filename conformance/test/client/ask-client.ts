import { clientCases } from '../../src/client/cases.ts';
import type { CaseResult } from '../../src/model/case.ts';
import { selectCases } from '../../src/model/select.ts';
import { ClientHost, type ListenTls } from '../../src/run/client-host.ts';

/**
 * A client in this process. It connects to the URL and resolves after the end of the connection.
 */
export type EchoClient = (url: string) => Promise<unknown>;

/** Options of {@link askClient}. */
interface Asking {
  readonly only?: readonly string[];
  readonly floods?: boolean;
  readonly timeout?: number;
  /** Number of connections at the same time. With one, they follow the order of the suite. */
  readonly concurrency?: number;
  /** Name or address of the URL. Default: 127.0.0.1. */
  readonly host?: string;
  /** For `wss:`. */
  readonly tls?: ListenTls;
  /** Ends the run after a result. */
  readonly until?: (result: CaseResult) => boolean;
}

/** Time for a client to connect, in ms. */
const CONNECT_TIMEOUT = 30_000;

/** Runs the suite against a client in this process, without a command. */
export async function askClient(
  client: EchoClient,
  {
    only = [],
    floods = false,
    timeout = 5000,
    concurrency = 1,
    host: name = '127.0.0.1',
    tls,
    until = () => false,
  }: Asking = {},
): Promise<CaseResult[]> {
  const cases = selectCases(clientCases, only, [], floods);
  let over = false;
  const host = new ClientHost(cases, timeout, (result) => {
    over ||= until(result);
  });
  const url = await host.listen({ host: name, port: 0 }, tls);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < cases.length && !over) {
      const at = next++;
      const gone = client(url + host.targetOf(at)).then(
        () => undefined,
        () => undefined,
      );
      const judged = await host.waitForResult(at, CONNECT_TIMEOUT, gone);
      if (!judged) host.failUnasked(at, 'the client in this process never connected');
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  await host.close();
  return host.results;
}

/** True for a case that did not pass. */
export const isDifference = ({ verdict }: CaseResult): boolean =>
  verdict !== 'pass' && verdict !== 'skipped';

/** Formats a result in one line: id, verdict, title and reasons. */
export const lineOf = ({ id, verdict, title, because }: CaseResult): string =>
  `${id} ${verdict} ${title}: ${because.join('; ')}`;

/** Lists the cases that did not pass, one line each. */
export function differences(results: readonly CaseResult[]): string[] {
  return results.filter(isDifference).map(lineOf);
}
