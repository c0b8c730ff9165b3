import type { Chapter } from '../model/chapter.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { fieldOf, parseExtensions } from '../wire/head.ts';
import { type AnswerRow, choosing, decided, plus, refused, taken } from './answer.ts';
import { addRows } from './status.ts';

const EXTENSIONS = 'Sec-WebSocket-Extensions';
const ENDS = 'the connection does not open, and ends';

/** Chapter 8, what an answer says to the client's offers, and to offers that it has not made. */
export function offers(chapter: Chapter<ClientAttempt>): void {
  extensions(chapter);
  subprotocols(chapter);
  choices(chapter);
}

function extensions(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 4.1, step 5 and 9.1', expects: ENDS });
  const rows: readonly AnswerRow[] = [
    ['an extension that nobody has offered', plus(`${EXTENSIONS}: x-unheard-of`)],
    ['one with a parameter', plus(`${EXTENSIONS}: x-unheard-of; a=1`)],
    ['one with a quoted parameter', plus(`${EXTENSIONS}: x-unheard-of; a="b"`)],
    ['two of them', plus(`${EXTENSIONS}: x-unheard-of, x-neither`)],
    ['two of them in two lines', plus(`${EXTENSIONS}: x-unheard-of`, `${EXTENSIONS}: x-neither`)],
    ['the name of the field in another case', plus(`sec-websocket-extensions: x-unheard-of`)],
    ['the old permessage-compress', plus(`${EXTENSIONS}: permessage-compress; method=deflate`)],
    ['the old deflate-frame', plus(`${EXTENSIONS}: x-webkit-deflate-frame`)],
    ['permessage-bzip2', plus(`${EXTENSIONS}: permessage-bzip2`)],
    ['a name that begins as permessage-deflate', plus(`${EXTENSIONS}: permessage-deflate2`)],
  ];
  addRows(add, rows, refused);
  add('permessage-deflate, when it was not offered', (attempt) => {
    if (attempt.deflateOffers.length > 0) attempt.skip('the client has offered permessage-deflate');
    return refused(attempt, plus(`${EXTENSIONS}: permessage-deflate`)(attempt));
  });
  const malformed = chapter.section({ section: 'RFC 6455, 9.1', expects: ENDS });
  addRows(
    malformed,
    [
      ['no name', plus(`${EXTENSIONS}: ; a=1`)],
      ['a name in quotes', plus(`${EXTENSIONS}: "permessage-deflate"`)],
      ['two names without a comma', plus(`${EXTENSIONS}: x-unheard-of x-neither`)],
      ['a quote without its end', plus(`${EXTENSIONS}: x-unheard-of; a="b`)],
      ['a parameter without a name', plus(`${EXTENSIONS}: x-unheard-of; =1`)],
      ['only separators', plus(`${EXTENSIONS}: ;;"`)],
      ['a byte that no token has', plus(`${EXTENSIONS}: x-unh\xe9ard-of`)],
    ],
    refused,
  );
}

function subprotocols(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 4.1, step 6', expects: ENDS });
  addRows(
    add,
    [
      ['a subprotocol that nobody has offered', choosing('unheard-of')],
      ['a list of two that nobody has offered', choosing('unheard-of, neither')],
      ['two in two lines that nobody has offered', choosing('unheard-of', 'neither')],
    ],
    refused,
  );
  add('an empty name', (attempt) => refused(attempt, choosing('')(attempt)), {
    section: 'RFC 6455, 11.3.4',
    level: 'should',
  });
  const chosen = (title: string, lines: (names: readonly string[]) => string[], least = 1): void =>
    add(
      title,
      (attempt) => {
        const names = attempt.subprotocols;
        if (names.length < least) attempt.skip(`the client offers ${names.length} subprotocols`);
        return refused(attempt, choosing(...lines(names))(attempt));
      },
      { section: 'RFC 6455, 4.1, step 6 and 11.3.4' },
    );
  chosen('both of two that were offered, in a line', ([a, b]) => [`${a}, ${b}`], 2);
  chosen('both of two that were offered, in two lines', ([a = '', b = '']) => [a, b], 2);
  chosen('one that was offered, twice in a line', ([a]) => [`${a}, ${a}`]);
  chosen('one that was offered, and one that was not', ([a = '']) => [a, 'unheard-of']);
  chosen('one that was offered, in another case', ([a = '']) => [
    a === a.toUpperCase() ? a.toLowerCase() : a.toUpperCase(),
  ]);
  chosen('one that was offered, in quotes', ([a]) => [`"${a}"`]);
  chosen('one that was offered, with more behind it', ([a]) => [`${a}x`]);
}

function choices(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 1.9 and 4.2.2',
    expects: 'the connection opens',
  });
  add('no subprotocol, when none was offered', (attempt) => {
    if (attempt.subprotocols.length > 0) attempt.skip('the client offers subprotocols');
    return taken(attempt, choosing()(attempt));
  });
  add(
    'no subprotocol, when some were offered',
    (attempt) => {
      if (attempt.subprotocols.length === 0) attempt.skip('the client offers 0 subprotocols');
      return decided(attempt, choosing()(attempt));
    },
    // The RFC lets a client go on without, and browsers must not.
    { expects: 'the connection opens without, or ends' },
  );
  const choice = (title: string, at: number): void =>
    add(title, (attempt: ClientAttempt) => {
      const name = attempt.subprotocols.at(at);
      if (name === undefined) attempt.skip('the client offers 0 subprotocols');
      return taken(attempt, choosing(name)(attempt));
    });
  choice('the first subprotocol that was offered', 0);
  choice('the last subprotocol that was offered', -1);
  add('no extension, whatever was offered', async (attempt) => {
    // The offers are read, so that a client that sends nonsense is told here.
    parseExtensions(fieldOf(attempt.request, EXTENSIONS) ?? '');
    await taken(attempt, plus()(attempt));
  });
}
