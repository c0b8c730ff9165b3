import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import { checkAlive, closeCleanly, closePayload, expectAll, expectClosed } from '../wire/expect.ts';
import { BINARY, bytesText, CLOSE, PING, TEXT } from '../wire/frame.ts';
import { headText } from '../wire/handshake.ts';
import { statusOf } from '../wire/head.ts';
import { expectAccepted } from './handshake-requests.ts';

/**
 * Adds sections about the bytes of requests: pieces, early frames, unfinished and invalid requests.
 */
export function requestBytes(chapter: Chapter<ServerAttempt>): void {
  inPieces(chapter);
  early(chapter);
  unfinished(chapter);
  notHttp(chapter);
  atTheSameTime(chapter);
}

function inPieces(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.1',
    expects: 'the server accepts the handshake with 101, and the connection works',
  });
  for (const pieces of [1, 2, 7, 16, 50, 100]) {
    add(`a request in pieces of ${bytesText(pieces)}`, async (attempt) => {
      await expectAccepted(attempt, { pieces });
    });
  }
  lastBytesLater(add);
}

/** Adds requests whose last bytes arrive later. */
function lastBytesLater(add: AddCase<ServerAttempt>): void {
  for (const at of [1, 2, 3]) {
    add(`a request whose last ${bytesText(at)} arrive later`, async (attempt) => {
      const key = attempt.freshKey();
      const peer = await attempt.connect();
      const bytes = utf8(headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields(key)));
      await peer.sendPieces([bytes.subarray(0, -at), bytes.subarray(-at)], { label: 'a request' });
      const head = await attempt.readAnswer(peer);
      attempt.judgeAnswer(head, key);
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

function early(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1',
    // A client must wait for the answer, so the RFC does not define early frames. A server should
    // not lose them.
    level: 'advice',
    expects: 'the server reads bytes after the request, in the same segment, as frames',
  });
  const text = { opcode: TEXT, payload: utf8('early') };
  add('a message in the segment of the request', async (attempt) => {
    const peer = await attempt.open({ early: (peer) => peer.bytes(text) });
    await expectAll(peer, [text]);
    await closeCleanly(peer);
  });
  add('three messages and a ping in the segment of the request', async (attempt) => {
    const messages = [text, { opcode: BINARY, payload: letters(5000) }, text];
    const ping = { opcode: PING, payload: utf8('early') };
    const peer = await attempt.open({ early: (peer) => peer.bytes(...messages, ping) });
    await expectAll(peer, messages, ping.payload);
    await closeCleanly(peer);
  });
  add('half of a message in the segment of the request, and the rest later', async (attempt) => {
    let rest: Buffer = Buffer.alloc(0);
    const peer = await attempt.open({
      early: (peer) => {
        const frame = peer.bytes(text);
        rest = frame.subarray(3);
        return frame.subarray(0, 3);
      },
    });
    await peer.send(rest, 'the rest of a frame');
    await expectAll(peer, [text]);
    await closeCleanly(peer);
  });
  add('a close frame in the segment of the request', async (attempt) => {
    const peer = await attempt.open({
      early: (peer) => peer.bytes({ opcode: CLOSE, payload: closePayload(1000) }),
    });
    await expectClosed(peer, 1000, { codes: 'any' });
  });
}

const ENDS = {
  section: 'RFC 6455, 4.2.1 and 7.1.1',
  expects: 'the server ends the connection too, with or without an HTTP error',
};

/** Beginnings of a request. */
const PARTS: readonly (readonly [string, (text: string) => string])[] = [
  ['nothing', () => ''],
  ['half of the first line', (text) => text.slice(0, 6)],
  ['the first line', (text) => text.slice(0, text.indexOf('\r\n') + 2)],
  ['half of the fields', (text) => text.slice(0, text.length >> 1)],
  ['all but the last line feed', (text) => text.slice(0, -1)],
];

function unfinished(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ENDS);
  for (const [title, part] of PARTS) {
    add(`${title} of a request, then our FIN`, async (attempt) => {
      const peer = await attempt.connect();
      const bytes = utf8(part(headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields())));
      if (bytes.length > 0) await peer.send(bytes, 'the beginning of a request');
      peer.endWrites();
      await expectNotAccepted(attempt, peer);
    });
  }
}

async function expectNotAccepted(
  attempt: ServerAttempt,
  peer: Awaited<ReturnType<ServerAttempt['connect']>>,
): Promise<void> {
  const head = await peer.readHead('the end of the connection');
  if (head !== undefined && statusOf(head) === 101)
    attempt.fail('the server accepted an incomplete request with 101');
  if (!(await peer.waitForEnd())) attempt.fail('the server did not end the unusable connection');
}

/** Bytes that are not an HTTP request. */
const NOT_HTTP: readonly (readonly [string, Buffer])[] = [
  ['a TLS client hello', Buffer.concat([hex('16 03 01 00 c8 01 00 00 c4 03 03'), noise(194)])],
  ['noise', Buffer.concat([hex('00'), noise(500)])],
  ['a WebSocket frame', hex('81 85 37 fa 21 3d 7f 9f 4d 51 58')],
  ['only empty lines', utf8('\r\n'.repeat(1000))],
  ['an HTTP answer', utf8('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')],
  ['an HTTP/2 preface', utf8('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
];

function notHttp(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    ...ENDS,
    level: 'should',
    section: 'RFC 6455, 4.2.1; RFC 9112, 3',
  });
  for (const [title, bytes] of NOT_HTTP) {
    add(`${title} instead of a request, then our FIN`, async (attempt) => {
      const peer = await attempt.connect();
      await peer.send(bytes, title);
      peer.endWrites();
      await expectNotAccepted(attempt, peer);
    });
  }
  endlessHeader(add);
}

/** Adds a request whose header does not end. */
function endlessHeader(add: AddCase<ServerAttempt>): void {
  add(
    'a request with an endless header, 1 MiB of it',
    async (attempt) => {
      const peer = await attempt.connect();
      const head = headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields()).slice(0, -2);
      await peer.send(utf8(head), 'the beginning of a request');
      await peer.send(utf8(`X-Fill: ${'x'.repeat(1000)}\r\n`.repeat(1040)), 'more and more fields');
      await expectNotAccepted(attempt, peer);
    },
    {
      section: 'RFC 6455, 10.4; RFC 9110, 5.4',
      expects: 'the server ends the connection, with or without an HTTP error',
    },
  );
}

/** Waits for the server's own timeout, so a run has these cases only on demand. */
export function stoppedRequests(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 10.4',
    level: 'advice',
    expects: 'after a reasonable time the server ends the connection itself',
    flood: true,
  });
  for (const [title, part] of PARTS.slice(0, -1)) {
    add(`${title} of a request, and no FIN from us`, async (attempt) => {
      const peer = await attempt.connect();
      const bytes = utf8(part(headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields())));
      if (bytes.length > 0) await peer.send(bytes, 'the beginning of a request');
      if (!(await peer.waitForEnd(2 * attempt.timeout))) {
        attempt.fail(`the server did not end the connection within ${2 * attempt.timeout} ms`);
      }
    });
  }
}

function atTheSameTime(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2',
    expects: 'each connection works, whatever the others do',
  });
  add(
    'twenty connections at the same time, each with its own messages',
    async (attempt) => {
      const peers = await Promise.all(Array.from({ length: 20 }, () => attempt.open()));
      await Promise.all(
        peers.map(async (peer, at) => {
          const messages = Array.from({ length: 5 }, (_, n) => ({
            opcode: TEXT,
            payload: utf8(`${at}: ${n}`),
          }));
          await peer.sendFrames(...messages);
          await expectAll(peer, messages);
        }),
      );
      await Promise.all(peers.map((peer) => closeCleanly(peer)));
    },
    // RFC 6455, 4.1 and 10.4: servers limit the connections of an address.
    { level: 'advice' },
  );
  for (const [title, harm] of [
    ['resets', (peer: Awaited<ReturnType<ServerAttempt['open']>>) => peer.reset()],
    ['ends within a frame', (peer: Awaited<ReturnType<ServerAttempt['open']>>) => peer.endWrites()],
  ] as const) {
    add(`a connection next to one that ${title}`, async (attempt) => {
      const [good, bad] = [await attempt.open(), await attempt.open()];
      await bad.send(
        bad.bytes({ opcode: TEXT, payload: letters(100) }).subarray(0, 50),
        'half a frame',
      );
      harm(bad);
      await checkAlive(good);
      await closeCleanly(good);
      await closeCleanly(await attempt.open());
    });
  }
  add('a connection next to one that breaks a rule', async (attempt) => {
    const [good, bad] = [await attempt.open(), await attempt.open()];
    await bad.sendFrames({ opcode: 5 });
    await checkAlive(good);
    await closeCleanly(good);
  });
  add('a connection next to five that each announce a message of 2^31 bytes', async (attempt) => {
    const announced = { opcode: BINARY, payload: letters(5), claims: 2n ** 31n };
    for (let at = 0; at < 5; at++) await (await attempt.open()).sendFrames(announced);
    await checkAlive(await attempt.open());
  });
}
