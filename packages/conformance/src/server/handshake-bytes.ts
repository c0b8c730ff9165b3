import type { Chapter } from '../model/chapter.ts';
import type { ServerAttempt } from '../run/server-attempt.ts';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import { alive, closeCleanly, closePayload, wantAll, wantClosed } from '../wire/expect.ts';
import { BINARY, bytesWords, CLOSE, PING, TEXT } from '../wire/frame.ts';
import { answerFaults, freshKey, headText } from '../wire/handshake.ts';
import { statusOf } from '../wire/head.ts';
import { wantAccepted } from './asking.ts';

/** Sections of how a request's bytes arrive, and of what follows them. */
export function earlyAndLate(chapter: Chapter<ServerAttempt>): void {
  inPieces(chapter);
  early(chapter);
  unfinished(chapter);
  notHttp(chapter);
  atTheSameTime(chapter);
}

function inPieces(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.1',
    expects: 'the handshake is accepted with 101, and the connection works',
  });
  for (const pieces of [1, 2, 7, 16, 50, 100]) {
    add(`a request in pieces of ${bytesWords(pieces)}`, async (attempt) => {
      await wantAccepted(attempt, { pieces });
    });
  }
  for (const at of [1, 2, 3]) {
    add(`a request whose last ${bytesWords(at)} come later`, async (attempt) => {
      const key = freshKey();
      const peer = await attempt.connect();
      const bytes = utf8(headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields(key)));
      await peer.sendPieces([bytes.subarray(0, -at), bytes.subarray(-at)], { says: 'a request' });
      const head = await attempt.readAnswer(peer);
      const faults = answerFaults(head, { key, extensions: [], subprotocols: [] });
      if (faults.length > 0) attempt.fail(faults.join('; '));
      await alive(peer);
      await closeCleanly(peer);
    });
  }
}

function early(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1',
    // A client must wait for the answer, so a server may do as it likes with what comes before; to lose it is the worst.
    level: 'should',
    expects: 'what follows the request in the same segment is read as the first frames',
  });
  const text = { opcode: TEXT, payload: utf8('early') };
  add('a message with the request', async (attempt) => {
    const peer = await attempt.open({ early: (peer) => peer.bytes(text) });
    await wantAll(peer, [text]);
    await closeCleanly(peer);
  });
  add('three messages and a ping with the request', async (attempt) => {
    const messages = [text, { opcode: BINARY, payload: letters(5000) }, text];
    const ping = { opcode: PING, payload: utf8('early') };
    const peer = await attempt.open({ early: (peer) => peer.bytes(...messages, ping) });
    await wantAll(peer, messages, ping.payload);
    await closeCleanly(peer);
  });
  add('half of a message with the request, and the rest later', async (attempt) => {
    let rest: Buffer = Buffer.alloc(0);
    const peer = await attempt.open({
      early: (peer) => {
        const frame = peer.bytes(text);
        rest = frame.subarray(3);
        return frame.subarray(0, 3);
      },
    });
    await peer.send(rest, 'the rest of a frame');
    await wantAll(peer, [text]);
    await closeCleanly(peer);
  });
  add('a close frame with the request', async (attempt) => {
    const peer = await attempt.open({
      early: (peer) => peer.bytes({ opcode: CLOSE, payload: closePayload(1000) }),
    });
    await wantClosed(peer, 1000);
  });
}

const ENDS = {
  section: 'RFC 6455, 4.2.1 and 7.1.1',
  expects: 'the server ends the connection too; an HTTP error may come before',
};

function unfinished(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ENDS);
  const parts: readonly (readonly [string, (text: string) => string])[] = [
    ['nothing', () => ''],
    ['half of the first line', (text) => text.slice(0, 6)],
    ['the first line', (text) => text.slice(0, text.indexOf('\r\n') + 2)],
    ['half of the fields', (text) => text.slice(0, text.length >> 1)],
    ['all but the last line feed', (text) => text.slice(0, -1)],
  ];
  for (const [says, part] of parts) {
    add(`${says} of a request, and the end of our half`, async (attempt) => {
      const peer = await attempt.connect();
      const bytes = utf8(part(headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields())));
      if (bytes.length > 0) await peer.send(bytes, 'the beginning of a request');
      peer.endWrites();
      await wantNoOpening(attempt, peer);
    });
  }
}

async function wantNoOpening(
  attempt: ServerAttempt,
  peer: Awaited<ReturnType<ServerAttempt['connect']>>,
): Promise<void> {
  const head = await peer.readHead('the end of the connection');
  if (head !== undefined && statusOf(head) === 101)
    attempt.fail('half a request was accepted with 101');
  if (!(await peer.drained()))
    attempt.fail('the connection stays open, and nobody will ever use it');
}

function notHttp(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    ...ENDS,
    level: 'should',
    section: 'RFC 6455, 4.2.1; RFC 9112, 3',
  });
  const all: readonly (readonly [string, Buffer])[] = [
    [
      "a client's hello of TLS",
      Buffer.concat([hex('16 03 01 00 c8 01 00 00 c4 03 03'), noise(194)]),
    ],
    ['noise', Buffer.concat([hex('00'), noise(500)])],
    ['a WebSocket frame', hex('81 85 37 fa 21 3d 7f 9f 4d 51 58')],
    ['only empty lines', utf8('\r\n'.repeat(1000))],
    ['an HTTP answer', utf8('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')],
    ['the preface of HTTP/2', utf8('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ];
  for (const [says, bytes] of all) {
    add(`${says} in place of a request, and the end of our half`, async (attempt) => {
      const peer = await attempt.connect();
      await peer.send(bytes, says);
      peer.endWrites();
      await wantNoOpening(attempt, peer);
    });
  }
  add(
    'a request whose header never ends: 1 MiB of it',
    async (attempt) => {
      const peer = await attempt.connect();
      const head = headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields()).slice(0, -2);
      await peer.send(utf8(head), 'the beginning of a request');
      await peer.send(utf8(`X-Fill: ${'x'.repeat(1000)}\r\n`.repeat(1040)), 'more and more fields');
      await wantNoOpening(attempt, peer);
    },
    {
      section: 'RFC 6455, 10.4; RFC 9110, 5.4',
      expects: 'the server gives up, with an HTTP error or without',
    },
  );
}

function atTheSameTime(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2',
    expects: 'each connection works, whatever becomes of the others',
  });
  add('twenty connections at the same time, each with its own messages', async (attempt) => {
    const peers = await Promise.all(Array.from({ length: 20 }, () => attempt.open()));
    await Promise.all(
      peers.map(async (peer, at) => {
        const messages = Array.from({ length: 5 }, (_, n) => ({
          opcode: TEXT,
          payload: utf8(`${at}: ${n}`),
        }));
        await peer.sendFrames(...messages);
        await wantAll(peer, messages);
      }),
    );
    await Promise.all(peers.map((peer) => closeCleanly(peer)));
  });
  for (const [says, harm] of [
    ['resets', (peer: Awaited<ReturnType<ServerAttempt['open']>>) => peer.reset()],
    ['ends within a frame', (peer: Awaited<ReturnType<ServerAttempt['open']>>) => peer.endWrites()],
  ] as const) {
    add(`a connection next to one that ${says}`, async (attempt) => {
      const [good, bad] = [await attempt.open(), await attempt.open()];
      await bad.send(
        bad.bytes({ opcode: TEXT, payload: letters(100) }).subarray(0, 50),
        'half a frame',
      );
      harm(bad);
      await alive(good);
      await closeCleanly(good);
      await closeCleanly(await attempt.open());
    });
  }
  add('a connection next to one that breaks a rule', async (attempt) => {
    const [good, bad] = [await attempt.open(), await attempt.open()];
    await bad.sendFrames({ opcode: 5 });
    await alive(good);
    await closeCleanly(good);
  });
}
