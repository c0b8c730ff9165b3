import type { Lane } from './lane.ts';
import type { Link } from './proxy.ts';
import type { Script } from './script.ts';
import type { Side } from './side.ts';

/** A connection that is over: what was planned, what both sides know, and what the proxy has done. */
export interface Outcome {
  readonly script: Script;
  readonly client: Side;
  readonly server: Side;
  /** Undefined when the client never came as far as its request. */
  readonly link: Link | undefined;
}

/**
 * The law: every message has arrived exactly once, in order, with all its bytes, or its sender was told. Says how the
 * connection broke it.
 *
 * What a sender is told. A promise that rejects speaks for its message: with a `BackpressureError` nothing of it was
 * sent, else it may be lost. One that resolves says that the message was accepted, or handed to the kernel; then the end
 * of the connection speaks for it. An end with both close frames and a code that both wanted says that all has arrived.
 * Every other end says that something may be lost, and how much of it may be is what most of these rules bound.
 */
export function judge(outcome: Outcome): string[] {
  const { client, server, link } = outcome;
  return [
    ...judgeSide(client),
    ...judgeSide(server),
    ...judgeLane(outcome, client, server, link?.toServer),
    ...judgeLane(outcome, server, client, link?.toClient),
    ...judgeCalm(outcome),
  ];
}

/** What one side can see alone. */
function judgeSide(side: Side): string[] {
  const { role, make, end, out, reading, faults } = side;
  const found = faults.map((fault) => `${role}: ${fault}`);
  if (out.pending > 0) found.push(`${role}: ${out.pending} promises have not settled at the end`);
  if (end === undefined || make === 'ws') return found;
  if (reading === 'pending') found.push(`${role}: reading has not ended`);
  if (reading === 'done' && end.code === 1006) {
    found.push(`${role}: reading ended without an error, and the connection without a close frame`);
  }
  return found;
}

/** What one side said, and the other heard. */
function judgeLane(
  { link }: Outcome,
  sender: Side,
  receiver: Side,
  lane: Lane | undefined,
): string[] {
  const { out } = sender;
  const name = `${sender.role} to ${receiver.role}`;
  const found: string[] = [];
  if (out.fault !== undefined) found.push(`${name}: ${out.fault}`);
  const left = receiver.closed !== undefined || receiver.terminated;
  const lost = (before?: number): number => out.missing(before);

  if (sender.end?.clean && sender.end.code === 1000 && receiver.closed?.code !== 4001) {
    // Nobody has left early: whoever closes has heard all, and drops nothing.
    if (lost() > 0) {
      found.push(`${name}: ${lost()} messages lost, and the sender saw a clean end with 1000`);
    }
  }
  const { closed } = sender;
  if (closed !== undefined && !left) {
    if (sender.end?.clean && lost(closed.after) > 0) {
      found.push(`${name}: ${lost(closed.after)} messages lost before a close that was answered`);
    }
    // The close frame comes after all that was accepted before it.
    if (receiver.end?.code === closed.code && lost(closed.after) > 0) {
      found.push(`${name}: ${lost(closed.after)} messages lost before a close that was received`);
    }
  }
  if (link === undefined || lane === undefined || receiver.end === undefined || left) return found;
  if (!link.broken.has(receiver.role) && out.heard !== lane.walk.whole) {
    found.push(`${name}: ${lane.walk.whole} messages were passed on, ${out.heard} were heard`);
  }
  // A sender whose peer has gone silent still flushes what it has accepted.
  const { cutBy } = link;
  const unharmed = cutBy?.how === 'half-close' && cutBy.lane !== lane && link.broken.size === 0;
  const stays = sender.make === 'ours' && sender.end !== undefined && !sender.terminated;
  if (unharmed && stays && lost() > 0) {
    found.push(`${name}: ${lost()} messages were not flushed when the receiver’s half had ended`);
  }
  return found;
}

/** Where nothing was cut and nobody left, all is heard and both ends are clean. */
function judgeCalm({ script, client, server, link }: Outcome): string[] {
  const { plan } = script;
  const cut = plan.toServer.end !== undefined || plan.toClient.end !== undefined;
  if (cut || script.client.leaves !== undefined || script.server.leaves !== undefined) return [];
  const found: string[] = [];
  for (const side of [client, server]) {
    const { role, out, end } = side;
    if (!out.complete) found.push(`${role}: ${out.missing()} messages lost, and nothing was cut`);
    if (end?.code !== 1000 || !end.clean) {
      found.push(`${role}: ended with ${JSON.stringify(end)}, and nothing was cut`);
    }
  }
  if (link === undefined || link.broken.size > 0) found.push('a socket broke, and nothing was cut');
  return found;
}
