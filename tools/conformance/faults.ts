import type { CaseFacts, CaseResult } from '../../conformance/src/model/case.ts';
import { idsText } from '../../conformance/src/report/findings.ts';
import { clientSuiteCases } from '../../conformance/src/run/run-client.ts';
import { runServerSuite, serverSuiteCases } from '../../conformance/src/run/run-server.ts';
import { askClient, isDifference } from '../../conformance/test/client/ask-client.ts';
import { naiveClient } from '../../conformance/test/client/naive-client.ts';
import { FAULTS as CLIENT_FAULTS } from '../../conformance/test/client/naive-faults.ts';
import { FAULTS as SERVER_FAULTS } from '../../conformance/test/server/naive-faults.ts';
import { naiveServer } from '../../conformance/test/server/naive-server.ts';
import type { Planted } from './page.ts';

/** Faults that cases of other chapters must report, too. */
const OTHER_CHAPTERS: Readonly<Record<string, readonly number[]>> = {
  'damages the last byte of each message': [5, 6, 9, 10, 11, 12, 13],
  'loses empty messages': [9, 12],
  'does not send pongs': [9],
  'does not answer pings': [9],
  'accepts any extension': [13],
  'accepts long control frames': [7, 9],
  'accepts fragmented control frames': [7],
  'ignores reserved bits': [12],
  'ignores the end of the connection': [9],
  'does not answer close frames': [2, 5, 10],
};

/** Faults of TLS are in another server and another client: tls.slow.test.ts. */
const TLS = '14';

/** Time in ms of a wait. A case that times out on a busy machine would count as failed by the fault. */
const TIMEOUT = 2000;
const CONCURRENCY = 16;

/** Asks each fault only the cases of its chapters that no earlier fault has failed. */
async function plantAll<Fault extends string>(
  role: Planted['role'],
  cases: readonly CaseFacts[],
  faults: readonly (readonly [fault: Fault, chapter: number])[],
  ask: (fault: Fault, only: readonly string[]) => Promise<readonly CaseResult[]>,
): Promise<Omit<Planted, 'made'>> {
  const left = new Map(cases.map((one) => [one.id, one]));
  for (const [fault, chapter] of faults) {
    const chapters = [chapter, ...(OTHER_CHAPTERS[fault] ?? [])];
    const only = [...left.values()].filter((one) => chapters.includes(one.chapter));
    if (only.length === 0) continue;
    const ids = only.map(({ id }) => id);
    const failed = (await ask(fault, ids)).filter(isDifference);
    for (const { id } of failed) left.delete(id);
    console.log(`a ${role} that ${fault} fails ${failed.length} more cases`);
  }
  const ids = idsText([...left.values()]);
  return { role, faults: faults.length, cases: cases.length, unfailed: left.size, ids };
}

/** Plants every fault in the naive server and in the naive client. */
export async function plantFaults(): Promise<Omit<Planted, 'made'>[]> {
  const [ofServer, ofClient] = [Object.entries(SERVER_FAULTS), Object.entries(CLIENT_FAULTS)];
  return [
    await plantAll(
      'server',
      serverSuiteCases([], [TLS]),
      ofServer.map(([fault, { chapter }]) => [fault as keyof typeof SERVER_FAULTS, chapter]),
      async (fault, only) => {
        const server = await naiveServer(fault);
        const { results } = await runServerSuite(server.url, { only, timeout: TIMEOUT });
        await server.close();
        return results;
      },
    ),
    await plantAll(
      'client',
      clientSuiteCases([], [TLS]),
      ofClient.map(([fault, section]) => [
        fault as keyof typeof CLIENT_FAULTS,
        Number.parseInt(section, 10),
      ]),
      (fault, only) =>
        askClient((url) => naiveClient(url, true, fault), {
          only,
          timeout: TIMEOUT,
          concurrency: CONCURRENCY,
        }),
    ),
  ];
}
