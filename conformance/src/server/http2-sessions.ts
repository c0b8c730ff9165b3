import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { letters, utf8 } from '../wire/bytes.ts';
import { checkAlive, expectEndOrClose, expectMessage } from '../wire/expect.ts';
import { BINARY, TEXT } from '../wire/frame.ts';
import { encodeFields, encodeIndexes } from '../wire/hpack.ts';
import {
  CANCEL,
  DATA,
  ENABLE_CONNECT_PROTOCOL,
  END_HEADERS,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  PADDED,
  PING,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  WITH_PRIORITY,
} from '../wire/http2-frames.ts';
import { withValue } from './handshake-requests.ts';
import { streamEnds } from './http2-ends.ts';
import {
  acceptedOn,
  answerOf,
  echoAndClose,
  expectAlive,
  isAccepted,
  type Opened,
  openStream,
  sendRequest,
  streamFields,
} from './http2-requests.ts';

/** Adds sections about sessions, header blocks, streams beside each other, windows and ends. */
export function sessions(chapter: Chapter<ServerAttempt>): void {
  announcement(chapter);
  blocks(chapter);
  frames(chapter);
  manyStreams(chapter);
  windows(chapter);
  streamEnds(chapter);
}

function announcement(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 8441, 3',
    expects: 'the server admits WebSockets, and begins with SETTINGS',
  });
  add('SETTINGS_ENABLE_CONNECT_PROTOCOL of the server is 1', async (attempt) => {
    const session = await attempt.connectHttp2({ needsConnectProtocol: false });
    const value = session.settings.get(ENABLE_CONNECT_PROTOCOL);
    if (value !== 1) attempt.fail(`SETTINGS_ENABLE_CONNECT_PROTOCOL is ${value ?? 'missing'}`);
  });
  add(
    'SETTINGS is the first frame of the server',
    async (attempt) => {
      const session = await attempt.connectHttp2();
      if (session.firstFrame !== SETTINGS) attempt.fail(`it has type ${session.firstFrame}`);
    },
    { section: 'RFC 9113, 3.4' },
  );
  add(
    'our SETTINGS and a PING are acknowledged',
    async (attempt) => {
      const session = await attempt.connectHttp2();
      session.send(PING, 0, 0, Buffer.alloc(8, 7));
      const { acknowledged } = session;
      await session.until(
        () => acknowledged.settings > 0 && acknowledged.pings > 0,
        'acknowledgements of SETTINGS and PING',
      );
      if (session.ended) attempt.fail('the session ended');
    },
    { section: 'RFC 9113, 6.5.3 and 6.7' },
  );
  for (const [title, setting] of [
    ['SETTINGS_ENABLE_CONNECT_PROTOCOL 1 of the suite', [ENABLE_CONNECT_PROTOCOL, 1]],
    ['an unknown setting', [0xf0_0d, 7]],
  ] as const) {
    add(
      `a handshake after ${title}`,
      async (attempt) => {
        await expectAlive(attempt, await attempt.connectHttp2({ settings: [setting] }));
      },
      { section: 'RFC 8441, 3; RFC 9113, 6.5.2', expects: 'the server accepts the handshake' },
    );
  }
}

/** Ways to send the same header block. */
function blocks(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9113, 4.3 and 6.2',
    expects: 'the server accepts the handshake: the form of a header block has no meaning',
  });
  add('a request in three CONTINUATION frames', async (attempt) => {
    const session = await attempt.connectHttp2();
    const stream = session.stream();
    const block = encodeFields(streamFields(attempt));
    session.sendHeaders(stream, block, { size: Math.ceil(block.length / 4) });
    await echoAndClose((await acceptedOn(attempt, session, {}, stream)).peer);
  });
  for (const [title, flag, before, after] of [
    ['padding', PADDED, [3], [0, 0, 0]],
    ['a priority', WITH_PRIORITY, [0, 0, 0, 0, 15], []],
  ] as const) {
    add(`a request with ${title}`, async (attempt) => {
      const session = await attempt.connectHttp2();
      const stream = session.stream();
      session.join(stream);
      const parts = [Buffer.from(before), encodeFields(streamFields(attempt)), Buffer.from(after)];
      session.send(HEADERS, END_HEADERS + flag, stream.id, Buffer.concat(parts));
      await echoAndClose((await acceptedOn(attempt, session, {}, stream)).peer);
    });
  }
  add(
    'two requests, the second by indexes of the dynamic table',
    async (attempt) => {
      const session = await attempt.connectHttp2();
      const fields = streamFields(attempt);
      for (const block of [encodeFields(fields, 'incremental'), encodeIndexes(fields.length)]) {
        const stream = session.stream();
        session.sendHeaders(stream, block);
        await echoAndClose((await acceptedOn(attempt, session, {}, stream)).peer);
      }
    },
    { section: 'RFC 7541, 2.3' },
  );
}

/** Ways to send the same bytes. */
function frames(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9113, 6.1; RFC 8441, 5',
    expects: 'the message comes back: the borders of frames of HTTP/2 have no meaning',
  });
  const message = { opcode: TEXT, payload: utf8('hello') };
  const rows: readonly (readonly [title: string, send: (opened: Opened) => void])[] = [
    [
      'a message in DATA frames of one byte',
      ({ session, stream, peer }) => {
        for (const byte of peer.bytes(message)) session.send(DATA, 0, stream.id, Buffer.of(byte));
      },
    ],
    [
      'a message between empty DATA frames',
      ({ session, stream, peer }) => {
        for (const bytes of [Buffer.of(), peer.bytes(message), Buffer.of()]) {
          session.send(DATA, 0, stream.id, bytes);
        }
      },
    ],
    [
      'a message in a DATA frame with padding',
      ({ session, stream, peer }) => {
        const parts = [Buffer.of(100), peer.bytes(message), Buffer.alloc(100)];
        session.send(DATA, PADDED, stream.id, Buffer.concat(parts));
      },
    ],
    [
      'a message after PRIORITY, PING and a frame of an unknown type',
      ({ session, stream, peer }) => {
        session.send(PRIORITY, 0, stream.id, Buffer.from([0, 0, 0, 0, 15]));
        session.send(PING, 0, 0, Buffer.alloc(8));
        session.send(0xf0, 0, stream.id, Buffer.alloc(20));
        session.send(DATA, 0, stream.id, peer.bytes(message));
      },
    ],
  ];
  for (const [title, send] of rows) {
    add(title, async (attempt) => {
      const opened = await openStream(attempt);
      send(opened);
      await expectMessage(opened.peer, TEXT, message.payload);
      await checkAlive(opened.peer);
    });
  }
  add('a message right after the request, before the answer', async (attempt) => {
    const session = await attempt.connectHttp2();
    const stream = sendRequest(attempt, session);
    const peer = attempt.peerOf(stream);
    await peer.sendFrames(message);
    const head = await answerOf(session, stream);
    if (!isAccepted(stream)) attempt.fail(`the server answered with ${head?.start ?? 'a reset'}`);
    await expectMessage(peer, TEXT, message.payload);
  });
}

function manyStreams(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'one session',
    section: 'RFC 9113, 5; RFC 8441, 5',
    expects: 'each stream is a connection, and no stream affects another',
  });
  add('ten streams at the same time', async (attempt) => {
    const session = await attempt.connectHttp2();
    const opened = await Promise.all(
      Array.from({ length: 10 }, () => acceptedOn(attempt, session)),
    );
    await Promise.all(
      opened.map(async ({ peer }, at) => {
        await peer.sendFrames({ opcode: TEXT, payload: utf8(`stream ${at}`) });
        await expectMessage(peer, TEXT, utf8(`stream ${at}`));
      }),
    );
    await Promise.all(opened.map(({ peer }) => echoAndClose(peer)));
  });
  add('ten streams after each other', async (attempt) => {
    const session = await attempt.connectHttp2();
    for (let left = 10; left > 0; left--) {
      await echoAndClose((await acceptedOn(attempt, session)).peer);
    }
  });
  add('a stream that is reset beside another', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    const other = await acceptedOn(attempt, session);
    other.peer.reset();
    await echoAndClose(peer);
  });
  add('a stream that is reset before its answer', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    session.sendWord(RST_STREAM, sendRequest(attempt, session).id, CANCEL);
    await echoAndClose(peer);
  });
  add('a stream that fails beside another', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    const other = await acceptedOn(attempt, session);
    await other.peer.sendFrames({ opcode: 3 });
    await expectEndOrClose(other.peer);
    await echoAndClose(peer);
  });
  add('a stream that is not read beside another', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    const other = await acceptedOn(attempt, session);
    other.peer.pauseReading();
    const message = { opcode: BINARY, payload: letters(60_000) };
    // Waits for the target, which waits for us.
    void other.peer.sendList(Array.from({ length: 64 }, () => message));
    await echoAndClose(peer);
  });
  add('a plain GET beside a WebSocket', async (attempt) => {
    const { session, peer } = await openStream(attempt);
    const fields = streamFields(attempt).filter(([name]) => name !== ':protocol');
    const stream = session.request(withValue(':method', 'GET')(fields), true);
    await answerOf(session, stream);
    await echoAndClose(peer);
  });
  add(
    'our GOAWAY while a stream is open',
    async (attempt) => {
      const { session, peer } = await openStream(attempt);
      session.sendGoaway(0);
      await echoAndClose(peer);
    },
    { section: 'RFC 9113, 6.8', expects: 'the open stream continues' },
  );
}

function windows(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'a window',
    section: 'RFC 9113, 5.2 and 6.9',
    expects: 'the server sends no more than the window, and continues when it grows',
  });
  for (const size of [1, 100, 0]) {
    add(`of ${size} bytes for an echo of 300`, async (attempt) => {
      const session = await attempt.connectHttp2({ settings: [[INITIAL_WINDOW_SIZE, size]] });
      const { peer, stream } = await acceptedOn(attempt, session);
      await peer.sendFrames({ opcode: TEXT, payload: letters(300) });
      // The suite gives back what it has read: a window of 0 needs a first increment.
      if (size === 0) {
        stream.receiveWindow += 50;
        session.sendWord(WINDOW_UPDATE, stream.id, 50);
      }
      await expectMessage(peer, TEXT, letters(300));
    });
  }
  add('that SETTINGS enlarge', async (attempt) => {
    const session = await attempt.connectHttp2({ settings: [[INITIAL_WINDOW_SIZE, 0]] });
    const { peer, stream } = await acceptedOn(attempt, session);
    await peer.sendFrames({ opcode: TEXT, payload: letters(300) });
    stream.receiveWindow += 1000;
    session.sendSettings([[INITIAL_WINDOW_SIZE, 1000]]);
    await expectMessage(peer, TEXT, letters(300));
  });
}
