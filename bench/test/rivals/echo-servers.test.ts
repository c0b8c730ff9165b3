import { describe, expect, it } from 'vitest';
import { type EchoPlan, makeEchoCorpus } from '../../src/load/echo-corpus.ts';
import { LoadConnection } from '../../src/load/load-connection.ts';
import { knownReplies } from '../../src/load/replies.ts';
import { type EchoServer, listen } from '../../src/rivals/echo-servers.ts';

const binary: EchoPlan = { content: 'binary', size: 500, count: 5, fragments: 1, raw: false };
const mixed: EchoPlan = { ...binary, content: 'mixed' };
const raw: EchoPlan = { ...binary, raw: true };

const cases: [EchoServer, EchoPlan][] = [
  [{ library: 'ours', compression: false, way: 'receive' }, binary],
  [{ library: 'ours', compression: false, way: 'loop' }, binary],
  [{ library: 'ours', compression: false, way: 'readMessage' }, binary],
  [{ library: 'ours', compression: false, way: 'receive', text: true }, mixed],
  [{ library: 'ours', compression: false, way: 'loop', text: true }, mixed],
  [{ library: 'ours', compression: false, way: 'readMessage', text: true }, mixed],
  [
    { library: 'ours', compression: false, limit: 2 ** 21 },
    { ...binary, size: 2 ** 21, count: 1 },
  ],
  [{ library: 'ws', compression: false }, binary],
  [{ library: 'ws', compression: false, text: true }, mixed],
  [{ library: 'raw', compression: false }, raw],
  [{ library: 'bare', compression: false }, raw],
];

describe('listen', () => {
  // These servers have no close: in the benchmark each ends with its own process.
  it.each(cases)('echoes: %j', async (server, plan) => {
    const port = await listen(server);
    const corpus = makeEchoCorpus(plan);
    const first = plan.count - 1;
    const replies = knownReplies(corpus, first);
    const { connection } = await LoadConnection.open(port, '', corpus, replies, first);
    let left = 12;
    await new Promise<void>((onDone, onError) =>
      connection.run({ depth: 3, mayContinue: () => left-- > 0, onDone, onError }),
    );
    expect(connection.bytes).toBe(12 * corpus.replySize);
    expect(connection.check()).toEqual({ messages: 12, compressed: 0 });
    expect(connection.bytes).toBe(0);
    connection.destroy();
  });
});
