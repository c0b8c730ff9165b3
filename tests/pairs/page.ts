import { OPERATIONS, type OperationName } from './operations.ts';

const INTRO = `# What happens when two operations overlap?

\`pairs.test.ts\` begins one operation on a connection, then runs another one on the same connection. It does so for every
ordered pair, on a server and on a client, plain and compressed. The outcome is the same in all four cases:
[expected.txt](expected.txt) has it for each pair. \`npx vitest run tests/pairs -u\` writes this page.

After both operations have begun:

1. The first operation continues: the handler of \`receive\` resolves, the writer writes the rest of its message and
   closes, the peer sends the rest of a message that is read as a stream, the read deadline expires. A reader between two
   reads continues after step 3.
2. The peer sends message 1 and message 2.
3. All bytes arrive at both ends. The peer reads every message, and answers pings and close frames.

Every pair also obeys these laws:

- No message arrives cut, twice or out of order.
- While the connection stays open and its reads have not ended, no message is lost, except one that a later read drops.
- No promise causes an unhandled rejection.
- The option \`report\` gets the error of a handler that throws, once, and nothing else.
- After \`terminate()\`, \`closed\` resolves at both ends and every promise settles. No timer and no buffered byte is left.

\`pnpm long pairs\` runs random sequences of these operations against a model: see \`model.ts\`.

| operation | as the first one | as the second one |
|---|---|---|
`;

/** The page README.md of this folder. */
export function pairsPage(): string {
  const names = Object.keys(OPERATIONS) as OperationName[];
  const operations = names.map((name) => {
    const { asFirst, asSecond } = OPERATIONS[name];
    return `| ${name} | ${asFirst} | ${asSecond} |\n`;
  });
  return INTRO + operations.join('');
}
