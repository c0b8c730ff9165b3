import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { closeCleanly, echo } from '../wire/expect.ts';
import { TEXT } from '../wire/frame.ts';
import { fieldOf } from '../wire/head.ts';
import { expectAccepted, expectAnswered, expectRefused, withFields } from './handshake-requests.ts';

/** Adds sections about offered subprotocols and extensions. */
export function offers(chapter: Chapter<ServerAttempt>): void {
  subprotocols(chapter);
  badSubprotocols(chapter);
  unknownExtensions(chapter);
  badExtensions(chapter);
}

/** Valid lists of subprotocols. */
const SUBPROTOCOLS = [
  ['chat'],
  ['chat', 'superchat'],
  ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'],
  ["!#$%&'*+-.^_`|~"],
  ['v1.example.org', 'V1.EXAMPLE.ORG'],
  ['constructor', '__proto__', 'toString'],
  ['x'.repeat(500)],
];

function subprotocols(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.2 and 11.3.4',
    expects: 'the server accepts the handshake with one of them or with none',
  });
  for (const list of SUBPROTOCOLS) {
    add(`offered subprotocols: ${list.join(', ').slice(0, 60)}`, async (attempt) => {
      const peer = await attempt.open({ subprotocols: list });
      await echo(peer, TEXT, Buffer.from('open'));
      await closeCleanly(peer);
    });
  }
  add('subprotocols offered in two lines', async (attempt) => {
    await expectAccepted(attempt, {
      fields: withFields(
        ['Sec-WebSocket-Protocol', 'one'],
        ['Sec-WebSocket-Protocol', 'two, three'],
      ),
      subprotocols: ['one', 'two', 'three'],
    });
  });
  add(
    'no subprotocol offered',
    async (attempt) => {
      if (attempt.subprotocols.length > 0) attempt.skip('every request offers a subprotocol');
      const peer = await attempt.connect();
      const head = await attempt.openOn(peer);
      if (fieldOf(head, 'sec-websocket-protocol') !== undefined)
        attempt.fail('the 101 names a subprotocol');
      await closeCleanly(peer);
    },
    { expects: 'the 101 names no subprotocol' },
  );
  add(
    'subprotocols offered in two lines, one of them twice',
    async (attempt) => {
      await expectAnswered(
        attempt,
        {
          fields: withFields(
            ['Sec-WebSocket-Protocol', 'one, two'],
            ['Sec-WebSocket-Protocol', 'two, three'],
          ),
          subprotocols: ['one', 'two', 'three'],
        },
        'handshake',
      );
    },
    { section: 'RFC 6455, 4.1 and 4.2.2', expects: REFUSES_OR_VALID },
  );
  add('the same subprotocols on three connections', sameChoice, {
    level: 'advice',
    expects: 'the server selects the same one each time',
  });
}

async function sameChoice(attempt: ServerAttempt): Promise<void> {
  const subprotocols = [...new Set([...attempt.subprotocols, 'chat', 'superchat'])];
  const choices: (string | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    const peer = await attempt.connect();
    const head = await attempt.openOn(peer, { subprotocols });
    choices.push(fieldOf(head, 'sec-websocket-protocol'));
    await closeCleanly(peer);
  }
  if (new Set(choices).size > 1) attempt.fail(`the server selected ${choices.join(', then ')}`);
}

const REFUSES_OR_VALID =
  'the server refuses the handshake, or accepts it without a subprotocol or with a valid one';

/** Values of Sec-WebSocket-Protocol that are malformed or repeat a name. */
const BAD_SUBPROTOCOLS = [
  'a b',
  'chat/1',
  '"chat"',
  'a, b c',
  'chat;v=1',
  '(x)',
  'a@b',
  'caf\u00e9',
  ', ,',
  'a, a',
];

function badSubprotocols(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'invalid subprotocols',
    section: 'RFC 6455, 4.1 and 4.2.2',
    expects: REFUSES_OR_VALID,
  });
  for (const value of BAD_SUBPROTOCOLS) {
    const tokens = value
      .split(',')
      .map((one) => one.trim())
      .filter((one) => /^[\w!#$%&'*+.^`|~-]+$/.test(one));
    add(`Sec-WebSocket-Protocol: ${value}`, async (attempt) => {
      await expectAnswered(
        attempt,
        { fields: withFields(['Sec-WebSocket-Protocol', value]), subprotocols: tokens },
        'handshake',
      );
    });
  }
}

/** Well-formed values of Sec-WebSocket-Extensions without a known extension. */
const UNKNOWN_EXTENSIONS = [
  'x-unknown',
  'x-one, x-two',
  'x-one; a; b=1; c="quoted"',
  'x-one;a=1,x-two;b=2',
  'x-one ; a = 1 , x-two',
  'x-webkit-deflate-frame',
  'permessage-bzip2; level=9',
  'x-one, x-one',
  'x-one; a="1", , x-two',
  '__proto__; constructor=1',
  'x-one; a="es\\caped"',
];

function unknownExtensions(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'unknown extensions',
    section: 'RFC 6455, 4.2.2 and 9.1',
    expects: 'the server accepts the handshake without the unknown extensions',
  });
  for (const value of UNKNOWN_EXTENSIONS) {
    add(`Sec-WebSocket-Extensions: ${value}`, async (attempt) => {
      await expectAccepted(attempt, { fields: withFields(['Sec-WebSocket-Extensions', value]) });
    });
  }
}

/** Malformed values of Sec-WebSocket-Extensions. */
const BAD_EXTENSIONS = [
  ';',
  'x-one;',
  'x-one; ;a',
  'x-one; a=',
  'x-one; =1',
  'x-one; a b',
  'x one',
  'x-one; a="open',
  'x-one; a="two words"',
  'x-one; a=""',
  'x-one; a=1=2',
  'x-one; a="1"2',
  'x-one, (comment)',
  'x-one; a=[1]',
  '"x-one"',
  'x-one=1',
  'x-\u00e9',
  'permessage-deflate; ',
  'permessage-deflate, ;',
];

function badExtensions(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'malformed extensions',
    section: 'RFC 6455, 9.1',
    expects: 'the server refuses the handshake: the extension list is malformed',
  });
  for (const value of BAD_EXTENSIONS) {
    add(`Sec-WebSocket-Extensions: ${value}`, async (attempt) => {
      await expectRefused(attempt, {
        fields: withFields(['Sec-WebSocket-Extensions', value]),
      });
    });
  }
}
