import { describe, expect, it } from 'vitest';
import { DeliveryLog, FAILED, REJECTED } from './delivery-log.ts';
import { findViolations, type Outcome } from './delivery-rules.ts';
import { type Endpoint, makeEndpoint } from './endpoint.ts';
import { QUIET } from './fault-plan.ts';
import { bytesOf } from './message-content.ts';
import type { Link } from './proxy.ts';
import type { Part } from './script.ts';

const SAID = 4;

function endpoint(role: Endpoint['role'], out: DeliveryLog, into: DeliveryLog): Endpoint {
  const part: Part = { messages: SAID, writing: 'flood', reading: 'loop', slow: false, seed: 1 };
  const made = makeEndpoint({ role, make: 'own', part, out, in: into, tag: 1, onProgress() {} });
  return Object.assign(made, { end: { code: 1000, clean: true }, reading: 'done' } as const);
}

/** Four messages each way; the server has received `received` of them. */
function outcome(received: number): Outcome & { readonly link: Link } {
  const up = new DeliveryLog();
  const down = new DeliveryLog();
  for (const [log, until] of [
    [up, received],
    [down, SAID],
  ] as const) {
    for (let number = 0; number < SAID; number++) {
      log.add({ text: false, tag: 1, number, size: 20 });
    }
    log.done = true;
    for (const { content } of log.sent.slice(0, until)) log.receive(false, bytesOf(content));
  }
  const client = endpoint('client', up, down);
  client.closed = { code: 1000, after: SAID };
  const direction = (whole: number): unknown => ({ counter: { whole } });
  const link = {
    toServer: direction(received),
    toClient: direction(SAID),
    broken: new Set(),
    cutBy: undefined,
  } as unknown as Link;
  const { part } = client;
  const pairing = { client: 'own', server: 'own', compression: false } as const;
  return {
    script: { connection: 0, pairing, client: part, server: part, closer: 'client', plan: QUIET },
    client,
    server: endpoint('server', down, up),
    link,
  };
}

/** The same on a connection with a planned cut. */
function cut(received: number): Outcome & { readonly link: Link } {
  const made = outcome(received);
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

describe('findViolations', () => {
  it('accepts complete delivery, and loss at an unclean end', () => {
    expect(findViolations(outcome(SAID))).toEqual([]);
    expect(findViolations(cut(SAID))).toEqual([]);
    expect(findViolations(cut(1))).toEqual([]);
    expect(findViolations(cut(0))).toEqual([]);
  });

  it('reports loss before a clean end', () => {
    expect(findViolations(leaving(outcome(3)))).toEqual([
      'client to server: 1 messages lost, and the sender saw a clean end with 1000',
      'client to server: 1 messages lost before a close that was answered',
      'client to server: 1 messages lost before a close that was received',
    ]);
  });

  it('ignores loss that a promise reported, and messages after the close', () => {
    for (const state of [FAILED, REJECTED] as const) {
      const reported = leaving(outcome(3));
      reported.client.out.sent[3]!.state = state;
      expect(findViolations(reported)).toEqual([]);
    }
    const late = leaving(outcome(3));
    late.client.closed = { code: 4001, after: 3 };
    late.client.end = late.server.end = { code: 4001, clean: true };
    expect(findViolations(late)).toEqual([]);
    late.client.closed = { code: 4001, after: 4 };
    expect(findViolations(late)).toHaveLength(2);
  });

  it('reports the arrival of a rejected message', () => {
    const refused = outcome(3);
    const { sent } = refused.client.out;
    sent[3]!.state = REJECTED;
    refused.client.out.receive(false, bytesOf(sent[3]!.content));
    expect(findViolations(refused)[0]).toContain('came, and nothing was to come');
  });

  it('judges a message that was open when a later one arrived by its promise', () => {
    const late = outcome(2);
    late.link.toServer.counter.whole = 3;
    const { sent } = late.client.out;
    sent[2]!.open = true;
    late.client.out.receive(false, bytesOf(sent[3]!.content));
    expect(findViolations(late)[0]).toContain('message 3: ');
    // A refusal comes in a later turn.
    sent[2]!.state = REJECTED;
    expect(findViolations(late)).toEqual([]);
  });

  it('reports unsettled promises and a wrong end of reading', () => {
    const open = cut(2);
    open.client.out.pending = 3;
    open.client.reading = 'pending';
    open.server.reading = 'done';
    expect(findViolations(open)).toEqual([
      'client: 3 promises have not settled at the end',
      'client: reading has not ended',
      'server: reading ended without an error, and the connection without a close frame',
    ]);
  });

  it('reports a receiver that misses messages of its socket', () => {
    const deaf = cut(2);
    deaf.link.toServer.counter.whole = 3;
    expect(findViolations(deaf)).toEqual([
      'client to server: 3 messages were passed on, 2 were received',
    ]);
    // After a reset, unread bytes may be lost.
    deaf.link.broken.add('server');
    expect(findViolations(deaf)).toEqual([]);
  });

  it('reports accepted messages not flushed after a half-close', () => {
    const made = cut(2);
    const half = { direction: made.link.toClient, how: 'half-close' } as const;
    made.link.cutBy = half;
    expect(findViolations(made)).toEqual([
      'client to server: 2 messages were not flushed when the receiver’s half had ended',
    ]);
  });

  it('reports an unclean end without a fault', () => {
    const { client, server, link, script } = cut(SAID);
    expect(findViolations({ client, server, link, script: { ...script, plan: QUIET } })).toEqual([
      'client: ended with {"code":1006,"clean":false}, and nothing was cut',
      'server: ended with {"code":1006,"clean":false}, and nothing was cut',
    ]);
  });
});
