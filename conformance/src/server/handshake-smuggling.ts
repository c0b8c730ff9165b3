import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { checkAlive, closeCleanly, expectFailure } from '../wire/expect.ts';
import { type Field, headText } from '../wire/handshake.ts';
import { statusOf } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';

/** Adds sections about bytes which another HTTP server could read as something else. */
export function smuggling(chapter: Chapter<ServerAttempt>): void {
  bodies(chapter);
  secondRequest(chapter);
  injection(chapter);
}

/** Sends a request and bytes after it, and returns the status of the answer. */
async function sendWith(
  attempt: ServerAttempt,
  peer: Peer,
  { target = attempt.target, fields = [], after = '' }: Sent,
): Promise<number | undefined> {
  const key = attempt.freshKey();
  const head = headText(`GET ${target} HTTP/1.1`, [...attempt.fields(key), ...fields]);
  await peer.send(Buffer.from(head + after, 'latin1'), 'a request');
  const answer = await peer.readHead('the answer to the handshake');
  if (answer === undefined) return undefined;
  if (answer.fields.some(([name]) => name.toLowerCase() === INJECTED.toLowerCase())) {
    throw new Violation(`the answer has the field ${INJECTED}, which the request has injected`);
  }
  const status = statusOf(answer);
  if (status === 101) attempt.judgeAnswer(answer, key);
  return status;
}

interface Sent {
  readonly target?: string;
  readonly fields?: readonly Field[];
  readonly after?: string;
}

/** Fields that announce a body, and the body. */
const BODIES: readonly (readonly [title: string, field: Field, body: string])[] = [
  ['Content-Length: 5 and five bytes', ['Content-Length', '5'], 'hello'],
  [
    'Transfer-Encoding: chunked and a chunk',
    ['Transfer-Encoding', 'chunked'],
    '5\r\nhello\r\n0\r\n\r\n',
  ],
];

function bodies(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9112, 6.3; RFC 9110, 7.8',
    expects: 'the server refuses the handshake, or reads the body before the first frame',
  });
  for (const [title, field, body] of BODIES) {
    add(`a handshake with ${title}`, async (attempt) => {
      const peer = await attempt.connect();
      if ((await sendWith(attempt, peer, { fields: [field], after: body })) !== 101) return;
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

function secondRequest(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.2 and 5.1',
    expects: 'the server reads the bytes after the handshake as frames, and fails the connection',
  });
  add('a second request in the segment of the handshake', async (attempt) => {
    const peer = await attempt.connect();
    const after = headText(`GET ${attempt.target} HTTP/1.1`, [['Host', attempt.host]]);
    if ((await sendWith(attempt, peer, { after })) !== 101) return;
    await expectFailure(peer, [1002], 'a request is no frame');
  });
}

const INJECTED = 'X-Injected';

/** Requests from which a careless server copies a field into its answer. */
const INJECTIONS: readonly (readonly [title: string, sent: Sent])[] = [
  ['a target with %0d%0a and a field', { target: `/%0d%0a${INJECTED}:%201` }],
  ['a query with %0d%0a and a field', { target: `/?x=%0d%0a${INJECTED}:%201` }],
  [
    'a subprotocol with %0d%0a and a field',
    { fields: [['Sec-WebSocket-Protocol', `chat%0d%0a${INJECTED}: 1`]] },
  ],
  [
    'a subprotocol with a bare CR and a field',
    { fields: [['Sec-WebSocket-Protocol', `chat\r${INJECTED}: 1`]] },
  ],
  ['an Origin with a bare CR and a field', { fields: [['Origin', `http://a\r${INJECTED}: 1`]] }],
  [
    'an extension with %0d%0a and a field',
    { fields: [['Sec-WebSocket-Extensions', `x%0d%0a${INJECTED}: 1`]] },
  ],
];

function injection(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.2 and 10.5; RFC 9110, 5.5',
    expects: 'no field of the answer comes from the value',
  });
  for (const [title, sent] of INJECTIONS) {
    add(title, async (attempt) => {
      const peer = await attempt.connect();
      if ((await sendWith(attempt, peer, sent)) === 101) await closeCleanly(peer);
    });
  }
}
