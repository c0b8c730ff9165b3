/** Where `ws` 8.23.0 as a client differs from what the suite expects, and why. */
export const WS_DIFFERENCES: readonly {
  readonly chapter: number;
  /** Fits the titles of all cases that the reason stands for, and of no other case of the chapter. */
  readonly titles: RegExp;
  readonly verdict: 'fail' | 'non-strict';
  readonly why: string;
}[] = [
  {
    chapter: 2,
    titles: /^100 pings in one segment$/,
    verdict: 'non-strict',
    why: 'of pings that come faster than their pongs leave it answers a few, and then drops the connection (maxPendingAutoPongs)',
  },
  {
    chapter: 6,
    titles: /in a (?:frame whose rest|message whose last fragment) never comes$/,
    verdict: 'non-strict',
    why: 'it looks at the UTF-8 of a message when the message is whole, not as its bytes come',
  },
  {
    chapter: 7,
    titles: /^a close frame .*, and for a while no end of the connection$/,
    verdict: 'non-strict',
    why: 'it ends its half of the connection with its close frame, and does not wait for the server to end it first',
  },
  {
    chapter: 8,
    titles: /^HTTP\/(?:1\.0|0\.9|2\.0) and 101$/,
    verdict: 'non-strict',
    why: 'it looks at the status and the fields of an answer, not at its version',
  },
  {
    chapter: 8,
    titles: /^interim answers without end$/,
    verdict: 'non-strict',
    why: 'it leaves interim answers to node:http, which reads over any number of them',
  },
  {
    chapter: 8,
    titles: /^spaces without end before a value$/,
    verdict: 'non-strict',
    why: 'node:http counts the characters of names and values for its bound, and not the spaces between them',
  },
  {
    chapter: 8,
    titles: /^Connection under another name$/,
    verdict: 'fail',
    why: 'it leaves Connection to node:http, which takes Proxy-Connection for it',
  },
  {
    chapter: 9,
    titles: /^a message of 200 fragments with a ping after each$|^1000 pings in one write$/,
    verdict: 'non-strict',
    why: 'of pings that come faster than their pongs leave it answers a few, and then drops the connection (maxPendingAutoPongs)',
  },
  {
    chapter: 9,
    titles: /^a (?:text|binary|continuation) frame of .* with a length of (?:16|64) bits$/,
    verdict: 'non-strict',
    why: 'it takes lengths in longer forms than they need',
  },
  {
    chapter: 12,
    titles:
      /^a compressed message: (?:a final block, and another block after it|two final blocks)$/,
    verdict: 'fail',
    why: 'it stops at a final block, and drops what of the message comes after it',
  },
  {
    chapter: 13,
    titles: /^the answer with an empty element behind it$/,
    verdict: 'non-strict',
    why: 'its reader of extensions knows no empty elements',
  },
  {
    chapter: 13,
    titles: /_max_window_bits=(?:08|\+10|0xa)$/,
    verdict: 'fail',
    why: 'it reads the number of a window as JavaScript reads numbers',
  },
  {
    chapter: 13,
    titles: /^permessage-deflate twice$/,
    verdict: 'fail',
    why: 'it takes the first of several answers of permessage-deflate',
  },
];
