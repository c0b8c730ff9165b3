import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { type AddCase, Chapter, type SectionFacts } from '../model/chapter.ts';
import { Unreachable } from '../model/verdicts.ts';
import { hex, letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  checkAlive,
  closeCleanly,
  closePayload,
  echo,
  eventText,
  expectEndOrClose,
  expectMessage,
} from '../wire/expect.ts';
import { BINARY, bytesText, CLOSE, TEXT } from '../wire/frame.ts';
import { headText } from '../wire/handshake.ts';
import { fieldOf, statusOf } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';

/** Creates chapter 14: TLS, which carries the handshake and the frames. */
export function tls(): Chapter<ServerAttempt> {
  const chapter = new Chapter<ServerAttempt>(14);
  records(chapter);
  segments(chapter);
  protocols(chapter);
  ends(chapter);
  invalid(chapter);
  return chapter;
}

/** Begins a section whose cases are skipped for a server without TLS. */
function sectionOf(chapter: Chapter<ServerAttempt>, facts: SectionFacts): AddCase<ServerAttempt> {
  const add = chapter.section(facts);
  return (title, run, own) => {
    const onTls = async (attempt: ServerAttempt): Promise<void> => {
      if (attempt.url.protocol !== 'wss:') attempt.skip('the URL is not wss:');
      await run(attempt);
    };
    add(title, onTls, own);
  };
}

/** Skips a case about the TCP connection, which a stream does not end. */
function needsHttp1(attempt: ServerAttempt): void {
  if (attempt.http2) attempt.skip('the case needs HTTP/1.1');
}

/** Each write becomes one TLS record, of at most 16 KiB. */
function records(chapter: Chapter<ServerAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 8446, 5.1; RFC 6455, 4.2.1 and 5.2',
    expects: 'the message comes back: the borders of records have no meaning',
  });
  for (const size of [1, 7, 100]) {
    add(`a handshake and a message in records of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.connect();
      const request = headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields());
      await peer.sendCut(Buffer.from(request, 'latin1'), size, { label: 'a request' });
      await expectAccepted(attempt, peer);
      await peer.sendFramesCut([{ opcode: TEXT, payload: letters(300) }], size);
      await expectMessage(peer, TEXT, letters(300));
      await closeCleanly(peer);
    });
  }
  add('a handshake and a message in one record', async (attempt) => {
    const peer = await attempt.open({
      early: (early) => early.bytes({ opcode: TEXT, payload: utf8('early') }),
    });
    await expectMessage(peer, TEXT, utf8('early'));
    await closeCleanly(peer);
  });
  add('a message of 100,000 bytes in records of 16,384 bytes', async (attempt) => {
    const peer = await attempt.open();
    await echo(peer, BINARY, pattern(100_000));
    await closeCleanly(peer);
  });
}

async function expectAccepted(attempt: ServerAttempt, peer: Peer): Promise<void> {
  const head = await attempt.readAnswer(peer);
  if (statusOf(head) !== 101) attempt.fail(`the server answered with "${head.start}"`);
  if (fieldOf(head, 'sec-websocket-accept') === undefined) {
    attempt.fail('the answer has no Sec-WebSocket-Accept');
  }
}

function segments(chapter: Chapter<ServerAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 8446, 5.1; RFC 6455, 4.2.1 and 5.2',
    expects: 'the message comes back: the borders of TCP segments have no meaning',
  });
  for (const size of [1, 5, 64]) {
    add(`TLS records in TCP segments of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.open({ tls: { cut: size } });
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

function protocols(chapter: Chapter<ServerAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 7301, 3.2; RFC 6455, 4.1',
    expects: 'the server selects http/1.1, or no protocol, and accepts the handshake',
  });
  for (const names of [['http/1.1'], ['h2', 'http/1.1'], ['x-unknown', 'http/1.1']]) {
    add(`the protocols ${names.join(' and ')} in ALPN`, async (attempt) => {
      needsHttp1(attempt);
      const peer = await attempt.connect({ alpn: names });
      if (peer.tls?.alpnProtocol === 'h2') attempt.skip('the server selects h2');
      await attempt.openOn(peer);
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

/** Content type of an alert (RFC 5246, 6.2.1). TLS 1.3 hides it. */
const ALERT = 21;

function ends(chapter: Chapter<ServerAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 8446, 6.1; RFC 5246, 7.2.1',
    expects: 'the server sends close_notify before it ends the TCP connection',
  });
  add('both close frames, over TLS 1.2', async (attempt) => {
    needsHttp1(attempt);
    const peer = await openTls12(attempt);
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
    const event = await peer.next('the answer to our close frame');
    if (event.kind !== 'close')
      attempt.fail(`received ${eventText(event)}, expected a close frame`);
    await expectEndOrClose(peer);
    if (peer.tls?.wire?.lastRecord !== ALERT) {
      attempt.fail('the server ended the TCP connection without close_notify');
    }
  });
  incompleteEnd(add);
}

async function openTls12(attempt: ServerAttempt): Promise<Peer> {
  try {
    return await attempt.open({ tls: { version: 'TLSv1.2', cut: Number.POSITIVE_INFINITY } });
  } catch (error) {
    if (error instanceof Unreachable) attempt.skip(`no TLS 1.2: ${error.message}`);
    throw error;
  }
}

/** Adds an end of TCP without close_notify. */
function incompleteEnd(add: AddCase<ServerAttempt>): void {
  add(
    'our FIN without close_notify',
    async (attempt) => {
      const peer = await attempt.open({ tls: { cut: Number.POSITIVE_INFINITY } });
      await checkAlive(peer);
      peer.tls?.wire?.truncate();
      await expectEndOrClose(peer);
      await expectOther(attempt);
    },
    {
      section: 'RFC 9112, 9.8; RFC 8446, 6.1',
      level: 'should',
      expects: 'the server ends the connection, and other connections work',
    },
  );
}

/** A record of application data that no key has encrypted. */
const BAD_RECORD = Buffer.concat([hex('17 03 03 00 30'), pattern(0x30)]);

function invalid(chapter: Chapter<ServerAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 8446, 5.2',
    expects: 'the server ends the connection, and other connections work',
  });
  add('a record that does not decrypt', async (attempt) => {
    const peer = await attempt.open({ tls: { cut: Number.POSITIVE_INFINITY } });
    await checkAlive(peer);
    peer.tls?.wire?.inject(BAD_RECORD);
    await expectEndOrClose(peer);
    await expectOther(attempt);
  });
  add(
    'a handshake without TLS',
    async (attempt) => {
      needsHttp1(attempt);
      const peer = await attempt.connect({ plain: true });
      await attempt.sendRequest(peer, attempt.fields());
      // A server may answer with an alert, with HTTP, or with nothing.
      const head = await peer.readHead('the end of the connection').catch(() => undefined);
      if (head !== undefined && statusOf(head) === 101) {
        attempt.fail('the server accepted a handshake without TLS');
      }
      await expectOther(attempt);
    },
    {
      section: 'RFC 8446, 5.1',
      expects: 'the server does not accept the handshake, and other connections work',
    },
  );
}

async function expectOther(attempt: ServerAttempt): Promise<void> {
  const other = await attempt.open();
  await checkAlive(other);
  await closeCleanly(other);
}
