import { describe, it } from 'vitest';
import { masked, type RequestChange, rawClient, request } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import { type Attack, atMost, claim, type Outcome, survives, type Watch } from './harness/index.ts';
import {
  commonValue,
  sendRequest,
  sendRequests,
  statusOf,
  type TargetServer,
  targetServer,
} from './target-server.ts';

nothingLeft();

/** Frames that a server would echo, and a request that it would serve. */
const FRAMES = Buffer.concat([masked(1, 'smuggled'), masked(2, 'twice')]);
const NEXT = 'GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n';
const chunked = (content: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`${content.length.toString(16)}\r\n`),
    content,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);

async function refusing(
  watch: Watch,
  target: TargetServer,
  changes: readonly RequestChange[],
): Promise<Outcome> {
  const replies = await sendRequests(watch, target, changes);
  return {
    status: statusOf(replies),
    connection: commonValue(replies.map(({ headers }) => headers.get('connection'))),
    responses: commonValue(replies.map(({ responses }) => responses)),
    messages: target.opened + target.messages,
    served: target.served,
  };
}

const CHUNKED = chunked(FRAMES);
const BODIES: readonly (Attack & { readonly bodies: readonly RequestChange[] })[] = [
  {
    ...claim('a body by Content-Length that forms frames', 'CWE-444'),
    bodies: [
      { add: [`Content-Length: ${FRAMES.length}`], behind: FRAMES },
      { add: ['Content-Length: 1'], behind: FRAMES },
      { add: [`Content-Length: 000${FRAMES.length}`], behind: FRAMES },
      { add: ['Content-Length: 100000'], behind: FRAMES },
      { add: [`Content-Length: ${NEXT.length}`], behind: NEXT },
    ],
  },
  {
    ...claim('a chunked body, also with a Content-Length', 'CVE-2026-1525'),
    bodies: [
      { add: ['Transfer-Encoding: chunked'], behind: CHUNKED },
      { add: ['Transfer-Encoding: chunked'], behind: chunked(Buffer.from(NEXT)) },
      { add: ['Transfer-Encoding: chunked', 'Content-Length: 5'], behind: CHUNKED },
      { add: ['Content-Length: 0', 'Transfer-Encoding: chunked'], behind: CHUNKED },
      { add: ['Transfer-Encoding: identity'], behind: FRAMES },
      { add: ['Transfer-Encoding: chunked, gzip'], behind: CHUNKED },
      { add: ['Transfer-Encoding : chunked'], behind: CHUNKED },
      { add: ['Content-Length: 0', `Content-Length: ${FRAMES.length}`], behind: FRAMES },
    ],
  },
];

it.each(BODIES)('$attack is refused and not parsed', async ({ bodies, ...attack }) => {
  const target = await targetServer();
  const bound = { status: 400, connection: 'close', messages: 0, served: 0, responses: 1 };
  await survives(attack, bound, (watch) => refusing(watch, target, bodies));
});

/** Sends a request and waits for the end. Returns the bytes after the head of the answer. */
async function allBehind(watch: Watch, target: TargetServer, behind: Uint8Array): Promise<Buffer> {
  const client = await rawClient(target.port);
  const bytes = request({ behind });
  watch.sent(bytes.length);
  await client.write(bytes);
  const received = await client.untilEnd();
  client.end();
  await client.closed;
  return received.subarray(received.indexOf('\r\n\r\n') + 4);
}

describe('data after an upgrade request', () => {
  it('is the first frames if the request is accepted, and is dropped if it is refused', async () => {
    const close = masked(8, '\x03\xe8');
    const target = await targetServer();
    const attack = claim('frames or a second request after the request head', 'CWE-444');
    const bound = {
      served: 0,
      responses: 1,
      status: 400,
      delivered: 2,
      echoed: 'smuggled',
      closes: 1002,
      later: 0,
    };
    await survives(attack, bound, async (watch) => {
      target.messages = 0;
      const frames = await allBehind(watch, target, Buffer.concat([FRAMES, close]));
      const delivered = target.messages;
      const unmasked = await allBehind(watch, target, Buffer.from('810568656c6c6f', 'hex'));
      const next = await allBehind(watch, target, Buffer.from(NEXT));
      const refusal = await refusing(watch, target, [
        { set: ['Sec-WebSocket-Key: none'], behind: FRAMES },
        { set: ['Sec-WebSocket-Key: none'], behind: NEXT },
        { set: ['Sec-WebSocket-Key: none'], behind: request() },
      ]);
      return {
        ...refusal,
        echoed: frames.toString('latin1', 2, 10),
        delivered,
        // A request is invalid as frames.
        closes: commonValue([unmasked, next].map((bytes) => bytes.readUInt16BE(2))),
        later: target.messages - delivered,
      };
    });
  });

  it('is not served if the origin is refused', async () => {
    const target = await targetServer();
    const evil = ['Origin: https://evil.example'];
    const attack = claim('a request pipelined after one with a foreign Origin', 'CWE-444');
    const bound = {
      responses: atMost(1),
      connection: 'close',
      served: 0,
      status: 403,
      ended: 'after the answer',
    };
    await survives(attack, bound, async (watch) => {
      const reply = await sendRequest(watch, target, { add: evil, behind: NEXT }, { weigh: true });
      // The next request arrives after the answer.
      const client = await rawClient(target.port);
      await client.write(request({ add: evil }));
      await client.until('HTTP/1.1 403');
      await client.write(NEXT);
      const received = await client.untilEnd();
      client.end();
      await client.closed;
      return {
        status: reply.status,
        connection: reply.headers.get('connection'),
        responses: Math.max(reply.responses, received.toString().split('HTTP/1.1 ').length - 1),
        ended: client.error === undefined ? 'after the answer' : String(client.error),
        served: target.served,
      };
    });
  });
});
