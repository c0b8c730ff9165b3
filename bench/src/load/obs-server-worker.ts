// A server that answers calls as obs-websocket 5 does, in its own process.
import { serve } from '@ws/node-server';
import { answer } from '../harness/child.ts';
import { ENCODINGS } from './obs-encodings.ts';
import { SCENES } from './obs-scenes.ts';

/** The requests that the process answers. */
export type ObsServerAnswers = {
  /** Returns the URL. */
  listen: (nothing?: undefined) => Promise<string>;
};

async function listen(): Promise<string> {
  const encodings = Object.values(ENCODINGS);
  const subprotocols = encodings.map(({ subprotocol }) => subprotocol);
  const server = await serve({ port: 0, host: '127.0.0.1', subprotocols }, (conn) => {
    const { encode, decode } = encodings.find((each) => each.subprotocol === conn.subprotocol)!;
    void conn.send(encode({ op: 0, d: { obsWebSocketVersion: '5.1.0', rpcVersion: 1 } }));
    return conn.receive((message) => {
      const { op, d } = decode(message.data) as { op: number; d: Record<string, unknown> };
      if (op === 1) return conn.send(encode({ op: 2, d: { negotiatedRpcVersion: 1 } }));
      const { requestType, requestId } = d;
      const requestStatus = { result: true, code: 100 };
      const answer = { requestType, requestId, requestStatus, responseData: SCENES };
      return conn.send(encode({ op: 7, d: answer }));
    });
  });
  return server.url;
}

answer({ listen } satisfies ObsServerAnswers);
