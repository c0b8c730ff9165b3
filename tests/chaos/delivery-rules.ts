import type { Direction } from './direction.ts';
import type { Endpoint } from './endpoint.ts';
import type { Link } from './proxy.ts';
import type { Script } from './script.ts';

/** A finished connection: its script, the records of both endpoints and of the proxy. */
export interface Outcome {
  readonly script: Script;
  readonly client: Endpoint;
  readonly server: Endpoint;
  /** Undefined when no request reached the proxy. */
  readonly link: Link | undefined;
}

/**
 * The rule: every message arrives exactly once, in order and unchanged, or its sender learns of
 * the loss. Lists the violations of a connection.
 *
 * A rejected promise reports its message: after `BackpressureError` nothing of it was sent; after
 * another error it may be lost. After a resolved promise the end of the connection decides. An end
 * with both close frames and the same code means that all messages arrived. Any other end means
 * that messages may be lost; these rules bound which.
 */
export function findViolations(outcome: Outcome): string[] {
  const { client, server, link } = outcome;
  return [
    ...checkEndpoint(client),
    ...checkEndpoint(server),
    ...checkDirection(outcome, client, server, link?.toServer),
    ...checkDirection(outcome, server, client, link?.toClient),
    ...checkUndisturbed(outcome),
  ];
}

/** Violations that one endpoint sees alone. */
export function checkEndpoint(endpoint: Endpoint): string[] {
  const { role, make, end, out, reading, faults } = endpoint;
  const found = faults.map((fault) => `${role}: ${fault}`);
  if (out.pending > 0) found.push(`${role}: ${out.pending} promises have not settled at the end`);
  if (end === undefined || make === 'ws') return found;
  if (reading === 'pending') found.push(`${role}: reading has not ended`);
  if (reading === 'done' && end.code === 1006) {
    found.push(`${role}: reading ended without an error, and the connection without a close frame`);
  }
  return found;
}

/** Violations between a sender and its receiver. */
function checkDirection(
  { script, link }: Outcome,
  sender: Endpoint,
  receiver: Endpoint,
  direction: Direction | undefined,
): string[] {
  const { out } = sender;
  const name = `${sender.role} to ${receiver.role}`;
  const found: string[] = [];
  if (out.fault !== undefined) found.push(`${name}: ${out.fault}`);
  const left = receiver.closed !== undefined || receiver.terminated;
  const lost = (before?: number): number => out.missing(before);

  if (sender.end?.clean && sender.end.code === 1000 && receiver.closed?.code !== 4001) {
    // No endpoint left early: the one that closes has received everything.
    if (lost() > 0) {
      found.push(`${name}: ${lost()} messages lost, and the sender saw a clean end with 1000`);
    }
  }
  const { closed } = sender;
  if (closed !== undefined && !left) {
    if (sender.end?.clean && lost(closed.after) > 0) {
      found.push(`${name}: ${lost(closed.after)} messages lost before a close that was answered`);
    }
    // The close frame follows all messages accepted before it.
    if (receiver.end?.code === closed.code && lost(closed.after) > 0) {
      found.push(`${name}: ${lost(closed.after)} messages lost before a close that was received`);
    }
  }
  if (link === undefined || direction === undefined || receiver.end === undefined || left)
    return found;
  const passed = direction.counter?.whole;
  if (passed !== undefined && !link.broken.has(receiver.role) && out.received !== passed) {
    found.push(`${name}: ${passed} messages were passed on, ${out.received} were received`);
  }
  // A sender flushes accepted messages after the peer has half-closed. Node ends a session of HTTP/2 then.
  const { cutBy } = link;
  const unharmed =
    cutBy?.how === 'half-close' && cutBy.direction !== direction && link.broken.size === 0;
  const flushes = script.over !== 'http2';
  const stays = sender.make === 'own' && sender.end !== undefined && !sender.terminated;
  if (unharmed && stays && flushes && lost() > 0) {
    found.push(`${name}: ${lost()} messages were not flushed when the receiver’s half had ended`);
  }
  return found;
}

/** Without a cut and without an early leave, all messages arrive and both ends are clean. */
function checkUndisturbed({ script, client, server, link }: Outcome): string[] {
  const { plan } = script;
  const cut = plan.toServer.end !== undefined || plan.toClient.end !== undefined;
  if (cut || script.client.leaves !== undefined || script.server.leaves !== undefined) return [];
  const found: string[] = [];
  for (const endpoint of [client, server]) {
    const { role, out, end } = endpoint;
    if (!out.complete) found.push(`${role}: ${out.missing()} messages lost, and nothing was cut`);
    if (end?.code !== 1000 || !end.clean) {
      found.push(`${role}: ended with ${JSON.stringify(end)}, and nothing was cut`);
    }
  }
  if (link === undefined || link.broken.size > 0) found.push('a socket broke, and nothing was cut');
  return found;
}
