import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { utf8 } from '../wire/bytes.ts';
import { closePayload, expectEndOrClose } from '../wire/expect.ts';
import { CLOSE, TEXT } from '../wire/frame.ts';
import { encodeFields } from '../wire/hpack.ts';
import {
  DATA,
  ENABLE_CONNECT_PROTOCOL,
  END_HEADERS,
  END_STREAM,
  HEADERS,
  RST_STREAM,
  WINDOW_UPDATE,
} from '../wire/http2-frames.ts';
import { withFields, withValue } from './handshake-requests.ts';
import {
  acceptedOn,
  answerOf,
  echoAndClose,
  expectAlive,
  isAccepted,
  type Opened,
  openStream,
  sendRequest,
} from './http2-requests.ts';

/** Adds sections about refusals, ends of streams, and faults that end a stream or a session. */
export function streamEnds(chapter: Chapter<ServerAttempt>): void {
  refusals(chapter);
  ends(chapter);
  faults(chapter);
}

function refusals(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'a refusal over HTTP/2',
    section: 'RFC 9113, 8.1',
    expects:
      'an error status, a body of the announced length, END_STREAM, and a session that works',
  });
  add('ends its stream, and the session continues', async (attempt) => {
    const session = await attempt.connectHttp2();
    const stream = sendRequest(attempt, session, {
      fields: withValue('sec-websocket-version', '8'),
    });
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
    });
    const head = await answerOf(session, stream);
    if (head === undefined) return attempt.skip('the server resets the stream');
    if (isAccepted(stream)) attempt.fail('the server accepts version 8');
    await session.until(() => stream.targetEnded || stream.isReset, 'the end of the refusal');
    if (!stream.targetEnded) attempt.fail('the server reset the stream within the refusal');
    const length = head.fields.find(([name]) => name === 'content-length')?.[1];
    if (length !== undefined && Number(length) !== size) {
      attempt.fail(`the body has ${size} bytes, and Content-Length is ${length}`);
    }
    await echoAndClose((await acceptedOn(attempt, session)).peer);
  });
  add('beside an open stream', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    const fields = withFields(['connection', 'upgrade']);
    await answerOf(session, sendRequest(attempt, session, { fields }));
    if (session.ended || session.goaway !== undefined) attempt.skip('the server ends the session');
    await echoAndClose(peer);
  });
}

function ends(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 8441, 5',
    expects: 'END_STREAM is the end of TCP: the server ends the stream, and the session continues',
  });
  add('the closing handshake', async (attempt) => {
    const { session, stream, peer } = await openStream(attempt);
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
    await expectEndOrClose(peer);
    if (!stream.targetEnded) attempt.nonStrict('the server resets the stream, without END_STREAM');
    await expectAlive(attempt, session);
  });
  add('END_STREAM without a close frame', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    peer.endWrites();
    await expectEndOrClose(peer);
    await expectAlive(attempt, session);
  });
  add('END_STREAM within a frame', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    await peer.send(peer.bytes({ opcode: TEXT, payload: utf8('cut') }).subarray(0, 3));
    peer.endWrites();
    await expectEndOrClose(peer);
    await expectAlive(attempt, session);
  });
  add('trailers with END_STREAM', async (attempt) => {
    const { session, stream, peer } = await openStream(attempt);
    const block = encodeFields([['x-trailer', '1']]);
    session.send(HEADERS, END_HEADERS + END_STREAM, stream.id, block);
    await expectEndOrClose(peer);
    await expectAlive(attempt, session);
  });
  add('END_STREAM in the request', async (attempt) => {
    const session = await attempt.connectHttp2();
    const stream = sendRequest(attempt, session, { end: true });
    await answerOf(session, stream);
    stream.resume();
    await session.until(() => stream.targetEnded || stream.isReset, 'the end of the stream');
    await expectAlive(attempt, session);
  });
  add('RST_STREAM of the suite', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    peer.reset();
    await expectAlive(attempt, session);
  });
}

/** Frames that RFC 9113 forbids. The fault may end the stream or the session. */
function faults(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9113, 5.4',
    expects: 'the server ends the stream or the session, and others work',
  });
  const rows: readonly (readonly [title: string, send: (opened: Opened) => void])[] = [
    [
      'HEADERS without END_STREAM on an open stream',
      ({ session, stream }) => {
        session.send(HEADERS, END_HEADERS, stream.id, encodeFields([['x-more', '1']]));
      },
    ],
    ['WINDOW_UPDATE of 0', ({ session, stream }) => session.sendWord(WINDOW_UPDATE, stream.id, 0)],
    [
      'a window above 2^31 - 1',
      ({ session, stream }) => session.sendWord(WINDOW_UPDATE, stream.id, 2 ** 31 - 1),
    ],
    [
      'RST_STREAM of 3 bytes',
      ({ session, stream }) => session.send(RST_STREAM, 0, stream.id, Buffer.alloc(3)),
    ],
    ['DATA on stream 0', ({ session }) => session.send(DATA, 0, 0, Buffer.alloc(5))],
    ['DATA on an idle stream', ({ session }) => session.send(DATA, 0, 99, Buffer.alloc(5))],
    [
      'a frame of 20,000 bytes',
      ({ session, stream }) => session.send(DATA, 0, stream.id, Buffer.alloc(20_000)),
    ],
    [
      'SETTINGS_ENABLE_CONNECT_PROTOCOL 2',
      ({ session }) => session.sendSettings([[ENABLE_CONNECT_PROTOCOL, 2]]),
    ],
  ];
  for (const [title, send] of rows) {
    add(title, async (attempt) => {
      const opened = await openStream(attempt);
      const { session, stream } = opened;
      send(opened);
      await session.until(
        () => stream.isReset || stream.targetEnded || session.goaway !== undefined,
        'the end of the stream or of the session',
      );
      await expectAlive(attempt);
    });
  }
}
