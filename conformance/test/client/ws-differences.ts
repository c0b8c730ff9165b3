/** Cases that `ws` 8.23.0 as a client does not pass, and why. */
export const WS_DIFFERENCES: readonly {
  readonly chapter: number;
  /** Matches the titles of all cases with this reason, and of no other case in the chapter. */
  readonly titles: RegExp;
  readonly verdict: 'fail' | 'non-strict' | 'advice';
  readonly why: string;
}[] = [
  {
    chapter: 2,
    titles: /^100 pings in one segment$/,
    verdict: 'non-strict',
    why: 'it answers only a few of many pings at once, then drops the connection (maxPendingAutoPongs)',
  },
  {
    chapter: 6,
    titles: /, in an incomplete (?:frame|message)$|, without (?:its|the) last /,
    verdict: 'advice',
    why: 'it checks the UTF-8 of a message only after the last byte',
  },
  {
    chapter: 7,
    titles: /^a close frame .*, then a delay before our FIN$/,
    verdict: 'non-strict',
    why: 'it sends FIN after its close frame and does not wait for the server to end the connection first',
  },
  {
    chapter: 8,
    titles: /^another version: HTTP\/(?:1\.0|0\.9|2\.0) and 101$/,
    verdict: 'non-strict',
    why: 'it checks the status and the fields of an answer, not the version',
  },
  {
    chapter: 8,
    titles: /^endless interim answers$/,
    verdict: 'non-strict',
    why: 'it leaves interim answers to node:http, which skips any number of them',
  },
  {
    chapter: 8,
    titles: /^endless spaces before a value$/,
    verdict: 'non-strict',
    why: 'the header limit of node:http counts names and values, but not the spaces between them',
  },
  {
    chapter: 8,
    titles: /^an invalid answer: Connection under another name$/,
    verdict: 'fail',
    why: 'it leaves Connection to node:http, which treats Proxy-Connection the same',
  },
  {
    chapter: 9,
    titles: /^a message of 200 fragments with a ping after each$|^1000 pings in one write$/,
    verdict: 'non-strict',
    why: 'it answers only a few of many pings at once, then drops the connection (maxPendingAutoPongs)',
  },
  {
    chapter: 9,
    titles: /^a (?:text|binary|continuation) frame of .* with a length of (?:16|64) bits$/,
    verdict: 'advice',
    why: 'it accepts lengths in a longer form than necessary',
  },
  {
    chapter: 12,
    titles: /^a compressed message: (?:a final block, then another block|two final blocks)$/,
    verdict: 'fail',
    why: 'it stops at a final block and drops the rest of the message',
  },
  {
    chapter: 12,
    titles: /^a stored block without its last 20 bytes$|^a block .* that ends within the /,
    verdict: 'advice',
    why: 'it takes what zlib has inflated of data that ends within a block',
  },
  {
    chapter: 13,
    titles: /^the answer with an empty last element$/,
    verdict: 'non-strict',
    why: 'its extension parser rejects empty elements',
  },
  {
    chapter: 13,
    titles: /_max_window_bits=(?:08|\+10|0xa)$/,
    verdict: 'fail',
    why: 'it converts window bits with JavaScript: 08, +10 and 0xa are valid numbers',
  },
  {
    chapter: 13,
    titles: /^permessage-deflate twice$/,
    verdict: 'fail',
    why: 'it accepts the first of several answers of permessage-deflate',
  },
];
