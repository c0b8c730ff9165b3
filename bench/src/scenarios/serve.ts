import { once } from 'node:events';
import type { Command, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import { CONTENDERS, type ContenderName } from '../rivals/contenders.ts';
import { listen } from '../rivals/echo-servers.ts';

/** Limit of a message in bytes, as much as `load` sends. */
const LIMIT = 16 * 1024 ** 2;
/** Bun has its own process. */
const SERVERS: readonly ContenderName[] = CONTENDERS.filter((name) => name !== 'bun');

const SUMMARY = 'an echo server as a target for load, ours or another one';

const HELP = `ws-bench serve: ${SUMMARY}

usage: ws-bench serve [options]

Prints its URL. Ctrl-C ends it.

options
  --server NAME  ${SERVERS.map((name) => `'${name}'`).join(', ')}; default: receive
  --port N       default: a free port
  --host NAME    address to listen on; default: 127.0.0.1, which only this machine can connect to
  --tls          serve wss with a new certificate
`;

/** `ws-bench serve`. */
export const serve: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {
    server: { type: 'string', default: 'receive' },
    port: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    tls: { type: 'boolean', default: false },
  },
  common: [],
  run,
};

async function run(values: Values): Promise<number> {
  const contender = SERVERS.find((name) => name === values['server']);
  if (contender === undefined) {
    throw new UsageError(
      `--server: expected one of ${SERVERS.map((name) => `'${name}'`).join(', ')}, got '${String(values['server'])}'`,
    );
  }
  const host = String(values['host']);
  const tls = values['tls'] === true;
  const lack = tls ? lackOfPackage('selfsigned') : undefined;
  if (lack !== undefined) throw new UsageError(`--tls: ${lack}`);
  const asked = wholeNumber(values, 'port', 0, { least: 0, most: 65_535 });
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const port = await listen({ contender, host, port: asked, limit: LIMIT, tls });
  const name = host.includes(':') ? `[${host}]` : host;
  process.stdout.write(`${tls ? 'wss' : 'ws'}://${name}:${port}\n`);
  await stopped;
  // The process ends with its connections.
  process.exit(0);
}
