import { describe, expect, it } from 'vitest';
import { type EchoPlan, makeEchoCorpus } from '../../src/load/echo-corpus.ts';
import { LoadConnection } from '../../src/load/load-connection.ts';
import { knownReplies } from '../../src/load/replies.ts';
import { listen, type ServerPlan } from '../../src/rivals/echo-servers.ts';
import { maskOfWs } from '../../src/rivals/masks.ts';

const binary: EchoPlan = { content: 'binary', sizes: [500], count: 5, fragments: 1, raw: false };
const mixed: EchoPlan = { ...binary, content: 'mixed' };
const json: EchoPlan = { ...binary, content: 'json' };
const raw: EchoPlan = { ...binary, raw: true };

const cases: [ServerPlan, EchoPlan][] = [
  ...(['receive', 'loop', 'ws', 'ws, native mask', 'ws, corked'] as const).flatMap(
    (contender): [ServerPlan, EchoPlan][] => [
      [{ contender }, binary],
      [{ contender, task: 'text' }, mixed],
      [{ contender, task: 'json' }, json],
    ],
  ),
  [
    { contender: 'receive', limit: 2 ** 21 },
    { ...binary, sizes: [2 ** 21], count: 1 },
  ],
  [{ contender: 'mini' }, binary],
  [{ contender: 'raw1' }, raw],
  [{ contender: 'raw1', tls: true }, raw],
  [{ contender: 'bare' }, raw],
  ...(['receive', 'ws', 'mini'] as const).map((contender): [ServerPlan, EchoPlan] => [
    { contender, tls: true },
    binary,
  ]),
];

describe('listen', () => {
  // These servers have no close: in the benchmark each ends with its own process.
  it.each(cases)('echoes: %j', async (server, plan) => {
    const port = await listen(server);
    const { frames, replies } = makeEchoCorpus(plan);
    const first = plan.count - 1;
    const { connection } = await LoadConnection.open(
      { port, tls: server.tls === true },
      frames,
      knownReplies(replies, first),
      first,
    );
    let left = 12;
    await new Promise<void>((onDone, onError) =>
      connection.run({ depth: 3, mayContinue: () => left-- > 0, onDone, onError }),
    );
    expect(connection.bytes).toBeGreaterThan(12 * 20);
    expect(connection.check()).toEqual({ messages: 12, compressed: 0 });
    expect(connection.bytes).toBe(0);
    connection.destroy();
  });

  it.each(['receive', 'ws', 'ws, corked'] as const)('broadcasts: %s', async (contender) => {
    const plan: EchoPlan = { ...binary, sizes: [100], count: 3, aligned: true };
    const port = await listen({ contender, task: { size: 100, count: 3 } });
    const { frames, replies } = makeEchoCorpus(plan);
    const receivers = await Promise.all(
      [0, 1].map(async () => {
        const opened = await LoadConnection.open({ port }, frames, knownReplies(replies, 0));
        return opened.connection;
      }),
    );
    const all = receivers.map(
      (receiver) =>
        new Promise<void>((onDone, onError) =>
          receiver.expect(5, { depth: 5, mayContinue: () => false, onDone, onError }),
        ),
    );
    receivers[0]!.say('5');
    await Promise.all(all);
    for (const receiver of receivers) {
      expect(receiver.check().messages).toBe(5);
      receiver.destroy();
    }
  });
});

describe('maskOfWs', () => {
  it('names JavaScript without bufferutil, unless Node has the functions', () => {
    const before = process.env['WS_NO_BUFFER_UTIL'];
    process.env['WS_NO_BUFFER_UTIL'] = '1';
    expect(['JS', 'Node']).toContain(maskOfWs());
    if (before === undefined) delete process.env['WS_NO_BUFFER_UTIL'];
    else process.env['WS_NO_BUFFER_UTIL'] = before;
  });
});
