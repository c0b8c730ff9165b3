// A client that calls OBS, in its own process. See `ObsClientAnswers`.
import { isDeepStrictEqual } from 'node:util';
import * as msgpack from '@msgpack/msgpack';
import { connect } from '@ws/obs';
import { answer } from '../harness/child.ts';
import { type Usage, usage } from '../harness/usage.ts';
import { ENCODINGS } from '../load/obs-encodings.ts';
import { SCENES } from '../load/obs-scenes.ts';
import { overSocket, overWs } from './obs-bare-clients.ts';

/** The requests that the process answers. */
export type ObsClientAnswers = {
  open: (request: {
    readonly client: string;
    readonly url: string;
    readonly encoding: string;
  }) => Promise<void>;
  /** Keeps `calls` calls in flight for `ms` milliseconds. Returns the number of answers. */
  run: (request: { readonly ms: number; readonly calls: number }) => Promise<number>;
  usage: (nothing?: undefined) => Usage;
};

type Call = () => Promise<unknown>;

const CLIENTS: Readonly<Record<string, (url: string, encoding: string) => Promise<Call>>> = {
  async ours(url, encoding) {
    const obs = await connect(url, encoding === 'json' ? {} : { encoding: msgpack });
    return () => obs.call('GetSceneList');
  },
  async 'obs-websocket-js'(url, encoding) {
    const { OBSWebSocket } =
      encoding === 'json'
        ? await import('obs-websocket-js/json')
        : await import('obs-websocket-js/msgpack');
    const obs = new OBSWebSocket();
    await obs.connect(url);
    return () => obs.call('GetSceneList');
  },
  'bare ws': (url, encoding) => overWs(url, ENCODINGS[encoding]!),
  'bare socket': (url, encoding) => overSocket(url, ENCODINGS[encoding]!),
};

let call: Call;

async function open({ client, url, encoding }: Parameters<ObsClientAnswers['open']>[0]) {
  call = await CLIENTS[client]!(url, encoding);
}

async function run({ ms, calls }: { ms: number; calls: number }): Promise<number> {
  const end = performance.now() + ms;
  let done = 0;
  const one = async (): Promise<void> => {
    let last: unknown;
    do {
      last = await call();
      done++;
    } while (performance.now() < end);
    if (!isDeepStrictEqual(last, SCENES)) throw new Error('an answer differs');
  };
  await Promise.all(Array.from({ length: calls }, one));
  return done;
}

answer({ open, run, usage } satisfies ObsClientAnswers);
