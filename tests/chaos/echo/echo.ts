import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { DeliveryLog } from '../delivery-log.ts';
import { checkEndpoint } from '../delivery-rules.ts';
import { type Endpoint, makeEndpoint } from '../endpoint.ts';
import { ChaosProxy } from '../proxy.ts';
import { drawScript, type Script, scriptText } from '../script.ts';
import { runClient } from '../servers.ts';

/** Servers of other languages that echo. */
export const PEERS = ['python', 'gorilla'] as const;
export type Peer = (typeof PEERS)[number];

/** Results of a run, and the violations of the rule with their scripts. */
export interface EchoResult {
  received: number;
  connections: number;
  cut: number;
  lost: number;
  readonly findings: string[];
}

const AT_ONCE = 48;
const ROUND = 250;

/**
 * Plays connections of our client with a server in another language that echoes, through the proxy with
 * faults: every message comes back once, in order and unchanged, or its sender learns of the loss.
 */
export async function echoes(
  peer: Peer,
  seed: number,
  connections: number,
  onRound: (result: EchoResult) => void,
): Promise<EchoResult> {
  const result: EchoResult = { received: 0, connections: 0, cut: 0, lost: 0, findings: [] };
  const folder = mkdtempSync(join(tmpdir(), 'echo-'));
  const server = start(peer, folder);
  try {
    const [line] = (await once(server.stdout!, 'data')) as [Buffer];
    const port = Number(line.toString());
    while (result.connections < connections && result.findings.length === 0) {
      const waiting = Array.from({ length: ROUND }, (_, i) => scriptOf(seed, result, i));
      const proxy = await ChaosProxy.start('tcp', (connection) => {
        return { port, plan: plans.get(connection)! };
      });
      const plans = new Map(waiting.map(({ connection, plan }) => [connection, plan]));
      const worker = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const client = endpointOf(next);
          await runClient(client, `${proxy.url}/${next.connection}`, next.pairing, 'tcp');
          count(next, client, result);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      await proxy.close();
      onRound(result);
    }
    return result;
  } finally {
    server.kill();
    rmSync(folder, { recursive: true });
  }
}

function start(peer: Peer, folder: string): ChildProcess {
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  // Debian's Python, which has its packages; another one may be first on the PATH.
  if (peer === 'python') {
    return spawn('/usr/bin/python3', [join(import.meta.dirname, 'echo.py')], { stdio: [...stdio] });
  }
  const program = join(folder, 'echo');
  const env = {
    ...process.env,
    GO111MODULE: 'off',
    GOPATH: '/usr/share/gocode',
    GOCACHE: join(folder, 'cache'),
  };
  execFileSync('go', ['build', '-o', program, join(import.meta.dirname, 'echo.go')], { env });
  return spawn(program, [], { stdio: [...stdio] });
}

function scriptOf(seed: number, { connections }: EchoResult, i: number): Script {
  const script = drawScript(seed, connections + i, 'http2');
  return {
    ...script,
    over: 'tcp',
    closer: 'client',
    pairing: { ...script.pairing, server: 'own' },
  };
}

/** What comes back is what was sent, so both directions have one log. */
function endpointOf({ connection, client: part }: Script): Endpoint {
  const log = new DeliveryLog();
  const client: Endpoint = makeEndpoint({
    role: 'client',
    make: 'own',
    part,
    out: log,
    in: log,
    tag: connection,
    onProgress() {
      const isDone = log.complete && client.streams.size === 0;
      if (isDone && client.closed === undefined) client.close?.(1000);
    },
  });
  return client;
}

function count(script: Script, client: Endpoint, result: EchoResult): void {
  const { out, end, closed } = client;
  const { toServer, toClient } = script.plan;
  const isWhole = end?.code === 1000 && end.clean && closed?.code === 1000;
  const found = checkEndpoint(client);
  if (out.fault !== undefined) found.push(out.fault);
  if (isWhole && out.missing() > 0) found.push(`${out.missing()} messages lost`);
  const isCut = (toServer.end ?? toClient.end ?? script.client.leaves) !== undefined;
  if (!isCut && !isWhole) found.push(`ended with ${JSON.stringify(end)}, and nothing was cut`);
  result.connections++;
  result.received += out.received;
  result.lost += out.missing();
  if (!isWhole) result.cut++;
  if (found.length > 0) result.findings.push(`${found.join('\n')}\n${scriptText(script)}`);
}
