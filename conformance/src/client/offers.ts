import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { fieldOf, parseExtensions } from '../wire/head.ts';
import {
  type AnswerRow,
  addRows,
  expectOpen,
  expectOpenOrEnd,
  expectRefused,
  withLines,
  withSubprotocols,
} from './answer.ts';

const EXTENSIONS = 'Sec-WebSocket-Extensions';
const ENDS = 'the connection does not open, and ends';

/**
 * Adds sections about answers to offers of the client, and about elements that it did not offer.
 */
export function offers(chapter: Chapter<ClientAttempt>): void {
  extensions(chapter);
  malformedExtensions(chapter);
  subprotocols(chapter);
  choices(chapter);
}

/** Answers with extensions that no client offers. */
const UNOFFERED_EXTENSIONS: readonly AnswerRow[] = [
  ['an extension that was not offered', withLines(`${EXTENSIONS}: x-unheard-of`)],
  ['an unoffered extension with a parameter', withLines(`${EXTENSIONS}: x-unheard-of; a=1`)],
  [
    'an unoffered extension with a quoted parameter',
    withLines(`${EXTENSIONS}: x-unheard-of; a="b"`),
  ],
  ['two unoffered extensions', withLines(`${EXTENSIONS}: x-unheard-of, x-neither`)],
  [
    'two unoffered extensions in two lines',
    withLines(`${EXTENSIONS}: x-unheard-of`, `${EXTENSIONS}: x-neither`),
  ],
  [
    'an unoffered extension, with the field name in lower case',
    withLines(`sec-websocket-extensions: x-unheard-of`),
  ],
  ['the old permessage-compress', withLines(`${EXTENSIONS}: permessage-compress; method=deflate`)],
  ['the old deflate-frame', withLines(`${EXTENSIONS}: x-webkit-deflate-frame`)],
  ['permessage-bzip2', withLines(`${EXTENSIONS}: permessage-bzip2`)],
  ['a name that starts with permessage-deflate', withLines(`${EXTENSIONS}: permessage-deflate2`)],
];

/** Answers with a malformed extension list. */
const MALFORMED_EXTENSIONS: readonly AnswerRow[] = [
  ['no name', withLines(`${EXTENSIONS}: ; a=1`)],
  ['a name in quotes', withLines(`${EXTENSIONS}: "permessage-deflate"`)],
  ['two names without a comma', withLines(`${EXTENSIONS}: x-unheard-of x-neither`)],
  ['an unclosed quote', withLines(`${EXTENSIONS}: x-unheard-of; a="b`)],
  ['a parameter without a name', withLines(`${EXTENSIONS}: x-unheard-of; =1`)],
  ['only separators', withLines(`${EXTENSIONS}: ;;"`)],
  ['a byte that is not allowed in a token', withLines(`${EXTENSIONS}: x-unh\xe9ard-of`)],
];

function extensions(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'an invalid answer',
    section: 'RFC 6455, 4.1, step 5 and 9.1',
    expects: ENDS,
  });
  addRows(add, UNOFFERED_EXTENSIONS, expectRefused);
  add('permessage-deflate without an offer', (attempt) => {
    if (attempt.deflateOffers.length > 0) attempt.skip('the client offers permessage-deflate');
    return expectRefused(attempt, withLines(`${EXTENSIONS}: permessage-deflate`)(attempt));
  });
}

function malformedExtensions(chapter: Chapter<ClientAttempt>): void {
  const malformed = chapter.section({
    title: 'malformed extensions',
    section: 'RFC 6455, 9.1',
    expects: ENDS,
  });
  addRows(malformed, MALFORMED_EXTENSIONS, expectRefused);
}

function subprotocols(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'an invalid answer',
    section: 'RFC 6455, 4.1, step 6',
    expects: ENDS,
  });
  addRows(
    add,
    [
      ['a subprotocol that was not offered', withSubprotocols('unheard-of')],
      ['two unoffered subprotocols in a line', withSubprotocols('unheard-of, neither')],
      ['two unoffered subprotocols in two lines', withSubprotocols('unheard-of', 'neither')],
    ],
    expectRefused,
  );
  add('an empty subprotocol', (attempt) => expectRefused(attempt, withSubprotocols('')(attempt)), {
    section: 'RFC 6455, 11.3.4',
    level: 'should',
  });
  offeredSubprotocols(add);
}

/** Adds answers that repeat or change an offered subprotocol. */
function offeredSubprotocols(add: AddCase<ClientAttempt>): void {
  const chosen = (title: string, lines: (names: readonly string[]) => string[], least = 1): void =>
    add(
      title,
      (attempt) => {
        const names = attempt.subprotocols;
        if (names.length < least)
          attempt.skip(
            `the client offers ${names.length || 'no'} subprotocol${names.length === 1 ? '' : 's'}`,
          );
        return expectRefused(attempt, withSubprotocols(...lines(names))(attempt));
      },
      { section: 'RFC 6455, 4.1, step 6 and 11.3.4' },
    );
  chosen('two offered subprotocols in a line', ([a, b]) => [`${a}, ${b}`], 2);
  chosen('two offered subprotocols in two lines', ([a = '', b = '']) => [a, b], 2);
  chosen('an offered subprotocol twice in a line', ([a]) => [`${a}, ${a}`]);
  chosen('an offered and an unoffered subprotocol', ([a = '']) => [a, 'unheard-of']);
  chosen('an offered subprotocol in another case', ([a = '']) => [
    a === a.toUpperCase() ? a.toLowerCase() : a.toUpperCase(),
  ]);
  chosen('an offered subprotocol in quotes', ([a]) => [`"${a}"`]);
  chosen('an offered subprotocol with another letter appended', ([a]) => [`${a}x`]);
}

function choices(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'a valid answer',
    section: 'RFC 6455, 1.9 and 4.2.2',
    expects: 'the connection opens',
  });
  add('no subprotocol, without an offer', (attempt) => {
    if (attempt.subprotocols.length > 0) attempt.skip('the client offers subprotocols');
    return expectOpen(attempt, withSubprotocols()(attempt));
  });
  add(
    'no subprotocol, despite an offer',
    (attempt) => {
      if (attempt.subprotocols.length === 0) attempt.skip('the client offers no subprotocol');
      return expectOpenOrEnd(attempt, withSubprotocols()(attempt));
    },
    // The RFC lets a client continue without a subprotocol. Browsers must not.
    { expects: 'the connection opens without a subprotocol, or ends' },
  );
  chosenSubprotocols(add);
  add('no extension, whatever the client offers', async (attempt) => {
    // Parsing reports a malformed offer of the client.
    parseExtensions(fieldOf(attempt.request, EXTENSIONS) ?? '');
    await expectOpen(attempt, withLines()(attempt));
  });
}

/** Adds answers with one of the offered subprotocols. */
function chosenSubprotocols(add: AddCase<ClientAttempt>): void {
  const choice = (title: string, at: number): void =>
    add(title, (attempt: ClientAttempt) => {
      const name = attempt.subprotocols.at(at);
      if (name === undefined) attempt.skip('the client offers no subprotocol');
      return expectOpen(attempt, withSubprotocols(name)(attempt));
    });
  choice('the first offered subprotocol', 0);
  choice('the last offered subprotocol', -1);
}
