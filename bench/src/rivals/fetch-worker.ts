// An echo server of `@ws/fetch`, or its rival, in a process of Node, Bun or Deno. See `FetchAnswers`.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answer } from '../harness/child.ts';
import type { Usage } from '../harness/usage.ts';

/** The servers that this process can be. The one of Bun by hand is `bun-worker.ts`. */
export type FetchContender = 'receive' | 'loop' | 'crossws' | 'deno';

/** The requests that the process answers. */
export type FetchAnswers = {
  /** Returns the port. */
  listen: (plan: { readonly contender: string }) => Promise<number>;
  usage: (nothing?: undefined) => Usage;
};

/** The used parts of Bun. */
interface BunLike {
  serve(options: object): { readonly port: number };
}

/** The used parts of Deno. */
interface DenoLike {
  serve(options: object, handler: unknown): unknown;
  upgradeWebSocket(request: Request): {
    readonly socket: DenoSocket;
    readonly response: Response;
  };
}

interface DenoSocket {
  binaryType: string;
  onmessage: (event: { readonly data: unknown }) => void;
  send(data: unknown): void;
}

const { Bun, Deno } = globalThis as unknown as { Bun?: BunLike; Deno?: DenoLike };
const HOST = '127.0.0.1';

async function listen({ contender }: { readonly contender: string }): Promise<number> {
  switch (contender as FetchContender) {
    case 'crossws':
      return listenCrossws();
    case 'deno':
      return serveDeno(echoByHand);
    case 'receive':
    case 'loop':
      return listenOurs(contender as 'receive' | 'loop');
  }
}

async function listenOurs(contender: 'receive' | 'loop'): Promise<number> {
  // The condition of the runtime selects the file.
  const { upgrade } = await import('@ws/fetch');
  const fetch = (request: Request): Promise<Response> =>
    contender === 'receive'
      ? upgrade(request, {}, (conn) => conn.receive((message) => conn.send(message)))
      : upgrade(request, {}, async (conn) => {
          for await (const message of conn) {
            await conn.send(message);
          }
        });
  if (Bun !== undefined) {
    const { bun } = await import('@ws/fetch/bun');
    return Bun.serve({ hostname: HOST, port: 0, ...bun(fetch) }).port;
  }
  if (Deno !== undefined) {
    const { deno } = await import('@ws/fetch/deno');
    return serveDeno(deno(fetch));
  }
  const { serveFetch } = await import('@ws/fetch/node');
  const { url } = await serveFetch(fetch, { host: HOST, port: 0 });
  return Number(new URL(url).port);
}

/** As the documentation of crossws has it, on its own ws. */
async function listenCrossws(): Promise<number> {
  const { default: crossws } = await import('crossws/adapters/node');
  const adapter = crossws({
    hooks: { message: (peer, message) => void peer.send(message.uint8Array()) },
  });
  const server = createServer();
  server.on('upgrade', (req, socket, head) => void adapter.handleUpgrade(req, socket, head));
  await once(server.listen(0, HOST), 'listening');
  return (server.address() as AddressInfo).port;
}

function serveDeno(fetch: unknown): Promise<number> {
  return new Promise((resolve) => {
    const onListen = ({ port }: { readonly port: number }): void => resolve(port);
    Deno!.serve({ hostname: HOST, port: 0, onListen }, fetch);
  });
}

function echoByHand(request: Request): Response {
  const { socket, response } = Deno!.upgradeWebSocket(request);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => socket.send(data);
  return response;
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpu: user + system };
}

answer({ listen, usage } satisfies FetchAnswers);
