import { describe, expect, it } from 'vitest';
import { bytesOf } from '../../src/chaos/content.ts';
import { judge, type Outcome } from '../../src/chaos/judge.ts';
import { Ledger, REFUSED, TOLD } from '../../src/chaos/ledger.ts';
import { QUIET } from '../../src/chaos/plan.ts';
import type { Link } from '../../src/chaos/proxy.ts';
import type { Part } from '../../src/chaos/script.ts';
import type { Side } from '../../src/chaos/side.ts';

const SAID = 4;

function side(role: Side['role'], out: Ledger, into: Ledger): Side {
  return {
    role,
    make: 'ours',
    part: { messages: SAID, writing: 'flood', reading: 'loop', slow: false, seed: 1 },
    out,
    in: into,
    tag: 1,
    news: () => {},
    end: { code: 1000, clean: true },
    closed: undefined,
    terminated: false,
    close: undefined,
    stream: undefined,
    reading: 'done',
    faults: [],
  };
}

/** Four messages each way, of which the server has heard `heard` and the client all. */
function outcome(heard: number): Outcome & { readonly link: Link } {
  const up = new Ledger();
  const down = new Ledger();
  for (const [ledger, until] of [
    [up, heard],
    [down, SAID],
  ] as const) {
    for (let number = 0; number < SAID; number++) {
      ledger.say({ text: false, tag: 1, number, size: 20 });
    }
    ledger.done = true;
    for (const { content } of ledger.said.slice(0, until)) ledger.hear(false, bytesOf(content));
  }
  const client = side('client', up, down);
  client.closed = { code: 1000, after: SAID };
  const lane = (whole: number): unknown => ({ walk: { whole } });
  const link = {
    toServer: lane(heard),
    toClient: lane(SAID),
    broken: new Set(),
    cutBy: undefined,
  } as unknown as Link;
  const { part } = client;
  const pairing = { client: 'ours', server: 'ours', compression: false } as const;
  return {
    script: { connection: 0, pairing, client: part, server: part, closer: 'client', plan: QUIET },
    client,
    server: side('server', down, up),
    link,
  };
}

/** The same on a connection that was to be cut, so that its end alone is no breach. */
function cut(heard: number): Outcome & { readonly link: Link } {
  const made = outcome(heard);
  const plan = { ...QUIET, toClient: { stretches: [], end: { after: 9, cut: 'fin' } } } as const;
  made.client.end = made.server.end = { code: 1006, clean: false };
  made.client.reading = made.server.reading = 'failed';
  return { ...made, script: { ...made.script, plan } };
}

function leaving(outcome: Outcome): Outcome {
  const leaves: Part['leaves'] = { after: 2, how: 'close' };
  const { script } = outcome;
  return { ...outcome, script: { ...script, client: { ...script.client, leaves } } };
}

describe('the law of a connection', () => {
  it('is kept when all has arrived, and when the end tells that something has not', () => {
    expect(judge(outcome(SAID))).toEqual([]);
    expect(judge(cut(SAID))).toEqual([]);
    expect(judge(cut(1))).toEqual([]);
    expect(judge(cut(0))).toEqual([]);
  });

  it('lets nothing be lost behind a clean end', () => {
    expect(judge(leaving(outcome(3)))).toEqual([
      'client to server: 1 messages lost, and the sender saw a clean end with 1000',
      'client to server: 1 messages lost before a close that was answered',
      'client to server: 1 messages lost before a close that was received',
    ]);
  });

  it('excuses what a promise told, and what was said after the close', () => {
    for (const state of [TOLD, REFUSED] as const) {
      const told = leaving(outcome(3));
      told.client.out.said[3]!.state = state;
      expect(judge(told)).toEqual([]);
    }
    const late = leaving(outcome(3));
    late.client.closed = { code: 4001, after: 3 };
    late.client.end = late.server.end = { code: 4001, clean: true };
    expect(judge(late)).toEqual([]);
    late.client.closed = { code: 4001, after: 4 };
    expect(judge(late)).toHaveLength(2);
  });

  it('lets nothing arrive that was refused', () => {
    const refused = outcome(3);
    const { said } = refused.client.out;
    said[3]!.state = REFUSED;
    refused.client.out.hear(false, bytesOf(said[3]!.content));
    expect(judge(refused)[0]).toContain('came, and nothing was to come');
  });

  it('has every promise settle, and reading end as the connection did', () => {
    const open = cut(2);
    open.client.out.pending = 3;
    open.client.reading = 'pending';
    open.server.reading = 'done';
    expect(judge(open)).toEqual([
      'client: 3 promises have not settled at the end',
      'client: reading has not ended',
      'server: reading ended without an error, and the connection without a close frame',
    ]);
  });

  it('has a receiver hear all that came to its socket', () => {
    const deaf = cut(2);
    deaf.link.toServer.walk.whole = 3;
    expect(judge(deaf)).toEqual(['client to server: 3 messages were passed on, 2 were heard']);
    // Behind a reset nobody can say what was still read.
    deaf.link.broken.add('server');
    expect(judge(deaf)).toEqual([]);
  });

  it('has a sender flush what it accepted when only the other half has ended', () => {
    const made = cut(2);
    const half = { lane: made.link.toClient, how: 'half-close' } as const;
    made.link.cutBy = half;
    expect(judge(made)).toEqual([
      'client to server: 2 messages were not flushed when the receiver’s half had ended',
    ]);
  });

  it('has a connection that was left alone end cleanly', () => {
    const { client, server, link, script } = cut(SAID);
    expect(judge({ client, server, link, script: { ...script, plan: QUIET } })).toEqual([
      'client: ended with {"code":1006,"clean":false}, and nothing was cut',
      'server: ended with {"code":1006,"clean":false}, and nothing was cut',
    ]);
  });
});
