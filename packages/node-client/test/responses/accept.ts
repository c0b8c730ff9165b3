import { accept, instead, open, plus, type Row, refused } from './row.ts';

const answersNot = (value: string) =>
  refused(101, `Sec-WebSocket-Accept is "${value}", which does not match our key`);
const name = 'Sec-WebSocket-Accept';

/** The Accept differs in every dial, and so do the messages of rows that change it. */
// biome-ignore format: a table
export const accepts: Row[] = [
  ['no Accept', instead(name), refused(101, 'no Sec-WebSocket-Accept header')],
  ['an empty Accept', instead(name, `${name}:`), answersNot('')],
  ['the RFC’s own', instead(name, `${name}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`), answersNot('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')],
  ['something short', instead(name, `${name}: x`), answersNot('x')],
  [
    'something long',
    instead(name, `${name}: ${'y'.repeat(9000)}`),
    answersNot(`${'y'.repeat(80)}...`),
  ],
  ['bytes that a terminal obeys', instead(name, `${name}: \x9b2J`), answersNot('\\u009b2J')],
  ['the right Accept twice', (r) => plus(accept(r))(r), refused(101, 'more than one Sec-WebSocket-Accept header')],
  ['a right and a wrong Accept', plus('sec-websocket-accept: x'), refused(101, 'more than one Sec-WebSocket-Accept header')],
  ['a second Accept after 1,500 lines', (r) => plus(...Array<string>(1500).fill('a:b'), accept(r))(r), refused(101, 'more than one Sec-WebSocket-Accept header')],
  ['an Accept under another name', instead(name, (r) => `X-${accept(r)}`), refused(101, 'no Sec-WebSocket-Accept header')],
  ['a name in another case', instead(name, (r) => `SEC-websocket-ACCEPT: ${r.accept}`), open],
  ['whitespace around it', instead(name, (r) => `${name}: \t ${r.accept} \t `), open],
  ['no space after the colon', instead(name, (r) => `${name}:${r.accept}`), open],
];

/** A wrong Accept made from the right one; the message quotes it. */
export const spoiltAccepts: [says: string, spoil: (accept: string, key: string) => string][] = [
  ['the key sent back', (_, key) => key],
  ['Accept in lower case', (right) => right.toLowerCase()],
  ['Accept in upper case', (right) => right.toUpperCase()],
  ['Accept without its padding', (right) => right.slice(0, -1)],
  ['Accept with more padding', (right) => `${right}=`],
  ['Accept without its first letter', (right) => right.slice(1)],
  ['Accept with text after it', (right) => `${right}, x`],
  ['Accept twice in one line', (right) => `${right}, ${right}`],
  ['Accept with a comma', (right) => `${right},`],
  ['Accept with a parameter', (right) => `${right};q=1`],
  ['Accept in quotes', (right) => `"${right}"`],
  ['Accept with a space inside', (right) => `${right.slice(0, 9)} ${right.slice(9)}`],
  ['Accept in hexadecimal', (right) => Buffer.from(right, 'base64').toString('hex')],
  [
    'Accept in base64url without padding',
    (right) => Buffer.from(right, 'base64').toString('base64url'),
  ],
];
