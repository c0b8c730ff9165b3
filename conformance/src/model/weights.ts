/**
 * The effect of a difference. `interoperability`: a correct peer meets it, because valid traffic
 * fails, changes or is lost. `security`: a hostile peer can use it. `pedantry`: only a peer that
 * breaks the RFC itself meets it, and its fault remains unnoticed.
 */
export type Weight = 'interoperability' | 'security' | 'pedantry';

/** All weights, the heaviest first. */
export const WEIGHTS: readonly Weight[] = ['interoperability', 'security', 'pedantry'];

/** Chapters, sections, cases and ranges of cases, with one weight. */
type Rule = readonly [ids: string, weight: Weight];

/** Rules for both roles. */
const SHARED: readonly Rule[] = [
  ['1 2 5 6 7 8 9 10 11 12 13 14', 'interoperability'],
  // Control frames that are too long; reserved bits and opcodes; fragments without a message.
  ['2.5 2.7 3 4 5.5 5.6 5.8 10.7', 'pedantry'],
  // Invalid UTF-8 that reaches the application (RFC 3629, 10), and when a target notices it.
  ['6.3 6.4 6.7.1-9 6.10 6.13 7.10 12.15.1-14', 'security'],
  ['6.5 6.6 6.11', 'pedantry'],
  // Frames after a close frame, invalid close codes, close frames after a fault.
  ['7.2 7.6 7.7 7.8 7.11 7.15', 'pedantry'],
  // Forms of a length; false lengths, floods and bombs.
  ['9.6 9.7', 'pedantry'],
  ['9.8 9.9 9.18 9.19 12.24', 'security'],
  // Invalid DEFLATE data, and RSV1 on the wrong frames.
  ['12.10 12.12 12.13 12.23', 'pedantry'],
];

const SERVER: readonly Rule[] = [
  // Connections that the client never ends.
  ['7.17', 'security'],
  // Connections that affect others.
  ['9.20', 'security'],
  // Requests that no client sends. Some of them deceive a proxy, or cost memory.
  ['8.8 8.9 8.10', 'pedantry'],
  ['8.8.4 8.8.7 8.8.14-17 8.8.19', 'security'],
  // A request without the fields that a form or another protocol cannot have (RFC 6455, 10.1).
  ['8.11 8.12 8.13', 'security'],
  ['8.11.1 8.11.5', 'pedantry'],
  // Malformed keys, versions, subprotocols and extensions.
  ['8.14 8.15 8.18 8.19 8.21 8.23', 'pedantry'],
  // Ends and pauses within a request, connections that affect others, smuggled requests.
  ['8.26 8.27 8.28 8.29 8.30 8.31 8.32', 'security'],
  ['8.28.1', 'interoperability'],
  // Frames without a mask (RFC 6455, 10.3).
  ['11.1', 'security'],
  // Invalid offers, and matches beyond the negotiated window.
  ['13.2 13.4 13.11', 'pedantry'],
  // Truncation, and records that were changed.
  ['14.4 14.5', 'security'],
  ['15', 'interoperability'],
];

const CLIENT: readonly Rule[] = [
  // The side that ends TCP first; frames after a fault; servers that never end a connection.
  ['7.16 7.20', 'pedantry'],
  ['7.18 7.19', 'security'],
  // Predictable keys of the handshake, and bytes before the server has proved that it is one.
  ['8.2.10-11 8.4', 'security'],
  // Answers that no server sends.
  ['8.6 8.8 8.9 8.10 8.12 8.15 8.17 8.20 8.22 8.23 8.24 8.28 8.29 8.30 8.34', 'pedantry'],
  ['8.12.2', 'interoperability'],
  ['8.34.9', 'security'],
  // A wrong Sec-WebSocket-Accept (RFC 6455, 1.3), and a 101 with a body.
  ['8.19 8.21 8.27', 'security'],
  // Endless answers, and answers that stop.
  ['8.13 8.32 8.39', 'security'],
  // Masked frames of a server; keys that a server can predict (RFC 6455, 10.3).
  ['11.1 11.2', 'pedantry'],
  ['11.4 11.5', 'security'],
  // Invalid answers, and matches beyond the negotiated window.
  ['13.6 13.7 13.8 13.9 13.10 13.11 13.13', 'pedantry'],
  ['14.4', 'security'],
];

/** Rules by role. The longest id that matches a case wins. */
export const WEIGHT_RULES: Readonly<Record<'server' | 'client', readonly Rule[]>> = {
  server: [...SHARED, ...SERVER],
  client: [...SHARED, ...CLIENT],
};

const tables = { server: tableOf(WEIGHT_RULES.server), client: tableOf(WEIGHT_RULES.client) };

/** Returns the weight of a case. An older report may have a case that the suite no longer has. */
export function weightOf(role: 'server' | 'client', id: string): Weight {
  const [chapter = '', section = ''] = id.split('.');
  const table = tables[role];
  return (
    table.get(id) ?? table.get(`${chapter}.${section}`) ?? table.get(chapter) ?? 'interoperability'
  );
}

function tableOf(rules: readonly Rule[]): ReadonlyMap<string, Weight> {
  return new Map(rules.flatMap(([ids, weight]) => idsOf(ids).map((id) => [id, weight] as const)));
}

/** Lists the ids of a rule: `6.7.1-3 7` has 6.7.1, 6.7.2, 6.7.3 and 7. */
export function idsOf(text: string): string[] {
  return text.split(' ').flatMap((word) => {
    const [, section = '', first, last] = /^(.*\.)(\d+)-(\d+)$/.exec(word) ?? [];
    if (first === undefined) return [word];
    const length = Number(last) - Number(first) + 1;
    return Array.from({ length }, (_, at) => `${section}${Number(first) + at}`);
  });
}
