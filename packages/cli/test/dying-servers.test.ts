import { hex, nothingLeft, type RawPeer, rawServer, switchingProtocols } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { start } from './run.ts';

/** What a server does before it dies. */
const STAGES: readonly { stage: string; exit: number; live: (peer: RawPeer) => Promise<void> }[] = [
  { stage: 'at once', exit: 3, live: () => Promise.resolve() },
  {
    stage: 'within its answer',
    exit: 3,
    live: async (peer) => {
      await peer.head();
      await peer.write('HTTP/1.1 101 Switch');
    },
  },
  {
    stage: 'after an answer that is no HTTP',
    exit: 4,
    live: async (peer) => {
      await peer.head();
      await peer.write('220 mail.example ESMTP\r\n');
    },
  },
  { stage: 'after the handshake', exit: 1, live: open },
  {
    stage: 'within a header',
    exit: 1,
    live: async (peer) => {
      await open(peer);
      await peer.write(hex`81`);
    },
  },
  {
    stage: 'within a message',
    exit: 1,
    live: async (peer) => {
      await open(peer);
      await peer.write(hex`01 03 61 62 63`);
    },
  },
  {
    stage: 'within a long message',
    exit: 1,
    live: async (peer) => {
      await open(peer);
      await peer.write(hex`81 7f 0000000000100000`, Buffer.alloc(500_000, 97));
    },
  },
  {
    stage: 'within a close frame',
    exit: 1,
    live: async (peer) => {
      await open(peer);
      await peer.write(hex`88 02 03`);
    },
  },
];

async function open(peer: RawPeer): Promise<void> {
  await peer.write(switchingProtocols(await peer.head()));
}

describe.each(['a FIN', 'a reset'])('a server that dies by %s', (how) => {
  nothingLeft();

  it.each(STAGES)('$stage ends wsx with exit code $exit', async ({ exit, live }) => {
    const { url } = await rawServer(false, async (peer) => {
      await live(peer);
      if (how === 'a reset') peer.reset();
      else peer.end();
    });
    const run = start([url, '--jsonl']);
    run.stdin.write('{"type":"text","data":"x"}\n');
    const code = await run.code;
    // A reset may overtake the answer.
    if (how === 'a reset') expect([exit, 3]).toContain(code);
    else expect(code).toBe(exit);
    await run.until('wsx: ');
    // No part of a message looks like a whole one.
    for (const line of run.out().toString().split('\n').filter(Boolean)) {
      expect(() => JSON.parse(line) as unknown).toThrow(SyntaxError);
    }
  });
});
