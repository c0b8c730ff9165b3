// What stands behind a head: a body, frames, or another request.
import { describe, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { masked, type RequestChange, rawSocket, request } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import { type Attacked, ask, askAll, attacked, common, statusOf } from './asking.ts';

/** Frames that would be echoed, and a request that would be served. */
const FRAMES = Buffer.concat([masked(1, 'smuggled'), masked(2, 'twice')]);
const NEXT = 'GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n';
const chunked = (content: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`${content.length.toString(16)}\r\n`),
    content,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);

/** What a server came to that refuses all of them. */
async function refusing(
  watch: Watch,
  target: Attacked,
  changes: readonly RequestChange[],
): Promise<Outcome> {
  const replies = await askAll(watch, target, changes);
  return {
    status: statusOf(replies),
    connection: common(replies.map(({ headers }) => headers.get('connection'))),
    responses: common(replies.map(({ responses }) => responses)),
    messages: target.opened + target.messages,
    served: target.served,
  };
}

describe('an upgrade request with', () => {
  nothingLeft();

  it('a body that forms frames is refused, and none of it is parsed', async () => {
    const target = await attacked();
    const bodies: RequestChange[] = [
      { add: [`Content-Length: ${FRAMES.length}`], behind: FRAMES },
      { add: ['Content-Length: 1'], behind: FRAMES },
      { add: [`Content-Length: 000${FRAMES.length}`], behind: FRAMES },
      { add: ['Content-Length: 100000'], behind: FRAMES },
      { add: [`Content-Length: ${NEXT.length}`], behind: NEXT },
    ];
    await survives(21, (watch) => refusing(watch, target, bodies));
  });

  it('a chunked body, also beside a length, is refused, and none of it is parsed', async () => {
    const target = await attacked();
    const behind = chunked(FRAMES);
    const bodies: RequestChange[] = [
      { add: ['Transfer-Encoding: chunked'], behind },
      { add: ['Transfer-Encoding: chunked'], behind: chunked(Buffer.from(NEXT)) },
      { add: ['Transfer-Encoding: chunked', 'Content-Length: 5'], behind },
      { add: ['Content-Length: 0', 'Transfer-Encoding: chunked'], behind },
      { add: ['Transfer-Encoding: identity'], behind: FRAMES },
      { add: ['Transfer-Encoding: chunked, gzip'], behind },
      { add: ['Transfer-Encoding : chunked'], behind },
      { add: ['Content-Length: 0', `Content-Length: ${FRAMES.length}`], behind: FRAMES },
    ];
    await survives(22, (watch) => refusing(watch, target, bodies));
  });
});

/** Sends a request and waits until the connection is over; gives what came behind the head of the answer. */
async function allBehind(watch: Watch, target: Attacked, behind: Uint8Array): Promise<Buffer> {
  const client = await rawSocket(target.port);
  const bytes = request({ behind });
  watch.sent(bytes.length);
  await client.send(bytes);
  const received = await client.untilEnd();
  client.end();
  await client.closed;
  return received.subarray(received.indexOf('\r\n\r\n') + 4);
}

describe('behind the head of an upgrade request that is', () => {
  nothingLeft();

  it('accepted stand the first frames, each checked; refused, nothing that anybody sees', async () => {
    const close = masked(8, '\x03\xe8');
    const target = await attacked();
    const attack = async (watch: Watch): Promise<Outcome> => {
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
        // What a request is as frames breaks their rules.
        closes: common([unmasked, next].map((bytes) => bytes.readUInt16BE(2))),
        later: target.messages - delivered,
      };
    };
    await survives(23, attack);
  });

  it('refused for its origin stands nothing that is served', async () => {
    const target = await attacked();
    const evil = ['Origin: https://evil.example'];
    await survives(24, async (watch) => {
      const reply = await ask(watch, target, { add: evil, behind: NEXT }, { weigh: true });
      // The next request comes when the answer is there already.
      const client = await rawSocket(target.port);
      await client.send(request({ add: evil }));
      await client.until('HTTP/1.1 403');
      await client.send(NEXT);
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
