import { text } from 'node:stream/consumers';
import { getHeapSnapshot } from 'node:v8';

/** Objects of one class and one size on the JavaScript heap. */
export interface LiveObjects {
  readonly name: string;
  /** Bytes of one of them. */
  readonly size: number;
  readonly count: number;
}

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
export async function liveObjects(): Promise<LiveObjects[]> {
  const { snapshot, nodes, strings } = JSON.parse(await text(getHeapSnapshot())) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((f) => fields.indexOf(f));
  const found = new Map<string, { name: string; size: number; count: number }>();
  for (let node = 0; node < nodes.length; node += fields.length) {
    const type = types[0][nodes[node + typeAt!]!]!;
    if (NOT_DATA.includes(type)) continue;
    const name = VALUES.includes(type) ? type : strings[nodes[node + nameAt!]!] || type;
    const size = nodes[node + sizeAt!]!;
    const key = `${name} ${size}`;
    const entry = found.get(key);
    if (entry === undefined) found.set(key, { name, size, count: 1 });
    else entry.count++;
  }
  return [...found.values()];
}
