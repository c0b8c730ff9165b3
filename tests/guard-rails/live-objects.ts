import { text } from 'node:stream/consumers';
import { getHeapSnapshot } from 'node:v8';

/** Objects and their bytes on the JavaScript heap, by class. */
export type LiveObjects = Record<string, { readonly count: number; readonly bytes: number }>;

interface Snapshot {
  readonly snapshot: { readonly meta: { node_fields: string[]; node_types: [string[]] } };
  readonly nodes: number[];
  readonly strings: string[];
}

/** Types of nodes that are compiled code, or memory outside of the heap. */
const NOT_DATA = ['code', 'native', 'object shape', 'synthetic'];
/** Types of nodes whose name is their value. */
const VALUES = ['string', 'concatenated string', 'sliced string', 'number'];

/** Counts what is alive in this process, by a heap snapshot. */
export async function liveObjects(): Promise<LiveObjects> {
  const { snapshot, nodes, strings } = JSON.parse(await text(getHeapSnapshot())) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((f) => fields.indexOf(f));
  const found: Record<string, { count: number; bytes: number }> = {};
  for (let node = 0; node < nodes.length; node += fields.length) {
    const type = types[0][nodes[node + typeAt!]!]!;
    if (NOT_DATA.includes(type)) continue;
    const name = VALUES.includes(type) ? type : strings[nodes[node + nameAt!]!] || type;
    const entry = (found[name] ??= { count: 0, bytes: 0 });
    entry.count++;
    entry.bytes += nodes[node + sizeAt!]!;
  }
  return found;
}
