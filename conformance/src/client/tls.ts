import { isIP } from 'node:net';
import type { ClientAttempt, ClientTls } from '../attempts/client-attempt.ts';
import { type AddCase, Chapter, type SectionFacts } from '../model/chapter.ts';
import { hex, letters, pattern, utf8 } from '../wire/bytes.ts';
import { checkAlive, closeCleanly, echo, expectEndOrClose, expectMessage } from '../wire/expect.ts';
import { BINARY, bytesText, TEXT } from '../wire/frame.ts';
import { fieldOf } from '../wire/head.ts';

/** Creates chapter 14 for clients: TLS, which carries the handshake and the frames. */
export function tls(): Chapter<ClientAttempt> {
  const chapter = new Chapter<ClientAttempt>(14);
  records(chapter);
  segments(chapter);
  names(chapter);
  ends(chapter);
  return chapter;
}

type RunOverTls = (attempt: ClientAttempt, tls: ClientTls) => Promise<void>;

/** Begins a section whose cases are skipped for a client without TLS. */
function sectionOf(
  chapter: Chapter<ClientAttempt>,
  facts: SectionFacts,
): (title: string, run: RunOverTls, own?: Parameters<AddCase<ClientAttempt>>[2]) => void {
  const add = chapter.section(facts);
  return (title, run, own) => {
    const onTls = async (attempt: ClientAttempt): Promise<void> => {
      if (attempt.tls === undefined) attempt.skip('the URL is not wss:');
      await run(attempt, attempt.tls);
    };
    add(title, onTls, own);
  };
}

/** Each write becomes one TLS record, of at most 16 KiB. */
function records(chapter: Chapter<ClientAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 8446, 5.1; RFC 6455, 4.1 and 5.2',
    expects: 'the message comes back: the borders of records have no meaning',
  });
  for (const size of [1, 7, 100]) {
    add(`an answer and a message in records of ${bytesText(size)}`, async (attempt) => {
      const { peer } = attempt;
      const answer = Buffer.from(attempt.acceptText(), 'latin1');
      await peer.sendCut(answer, size, { label: 'an answer' });
      await peer.sendFramesCut([{ opcode: TEXT, payload: letters(300) }], size);
      await expectMessage(peer, TEXT, letters(300));
      await closeCleanly(peer);
    });
  }
  add('an answer and a message in one record', async (attempt) => {
    const peer = await attempt.accept({
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

function segments(chapter: Chapter<ClientAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 8446, 5.1; RFC 6455, 4.1 and 5.2',
    expects: 'the message comes back: the borders of TCP segments have no meaning',
  });
  for (const size of [1, 5, 64]) {
    add(`TLS records in TCP segments of ${bytesText(size)}`, async (attempt, { wire }) => {
      wire.cut = size;
      const peer = await attempt.open();
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

/** What the client says of itself before the request. */
function names(chapter: Chapter<ClientAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 6455, 4.1',
    expects: 'the TLS handshake has the host of the URL as server_name',
  });
  add('the host name in the TLS handshake', async (attempt, { serverName }) => {
    const host = hostOf(attempt);
    if (isIP(host) !== 0)
      attempt.skip('the URL has an address and no name; use --listen localhost:0');
    if (serverName?.toLowerCase() !== host.toLowerCase()) {
      attempt.fail(`the TLS handshake has the server_name ${serverName ?? '(none)'}, not ${host}`);
    }
    await closeCleanly(await attempt.open());
  });
  add(
    'no address as the host name in the TLS handshake',
    async (attempt, { serverName = '' }) => {
      if (isIP(serverName) !== 0) {
        attempt.fail(`the TLS handshake has the address ${serverName} as server_name`);
      }
      await closeCleanly(await attempt.open());
    },
    { section: 'RFC 6066, 3', expects: 'server_name has a name, or is absent' },
  );
  add(
    'the protocols in ALPN',
    async (attempt, { protocols }) => {
      if (protocols?.includes('http/1.1') === false) {
        attempt.fail(`ALPN has ${protocols.join(', ')}, and the request is HTTP/1.1`);
      }
      await closeCleanly(await attempt.open());
    },
    { section: 'RFC 7301, 3.1; RFC 6455, 4.1', expects: 'ALPN has http/1.1, or is absent' },
  );
}

/** The host of the URL, as the request has it. */
function hostOf({ request }: ClientAttempt): string {
  const host = new URL(`http://${fieldOf(request, 'host') ?? ''}`).hostname;
  return host.replaceAll(/^\[|\]$/g, '');
}

/** A record of application data that no key has encrypted. */
const BAD_RECORD = Buffer.concat([hex('17 03 03 00 30'), pattern(0x30)]);

function ends(chapter: Chapter<ClientAttempt>): void {
  const add = sectionOf(chapter, {
    section: 'RFC 9112, 9.8; RFC 8446, 6.1',
    level: 'should',
    expects: 'the client ends the connection, survives, and connects for the next case',
  });
  add('our FIN without close_notify', async (attempt, { wire }) => {
    attempt.mustSurvive = true;
    const peer = await attempt.open();
    await checkAlive(peer);
    wire.truncate();
    await expectEndOrClose(peer);
  });
  add(
    'a record that does not decrypt',
    async (attempt, { wire }) => {
      attempt.mustSurvive = true;
      const peer = await attempt.open();
      await checkAlive(peer);
      wire.inject(BAD_RECORD);
      await expectEndOrClose(peer);
    },
    { section: 'RFC 8446, 5.2', level: 'must' },
  );
}
