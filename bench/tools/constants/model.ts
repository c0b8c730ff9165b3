/** A figure that is measured on one machine. */
interface Constant {
  readonly unit: 'bytes' | 'µs';
  readonly what: string;
}

/** Connections of the measurement. */
export const CONNECTIONS = 10_000;
/** Members of a room. */
export const ROOM = 50;
/** Bytes of a message. */
export const MESSAGE = 100;

/** What each constant is. */
export const CONSTANTS = {
  process: { unit: 'bytes', what: 'memory of a node without connections, with a client of Redis' },
  connection: { unit: 'bytes', what: 'memory of a session that is in one room' },
  kernel: { unit: 'bytes', what: 'kernel memory of its idle socket' },
  opening: { unit: 'µs', what: 'CPU of a node for a handshake, a session and a join' },
  broadcast: { unit: 'µs', what: 'CPU of a node for a broadcast, for each session' },
  member: { unit: 'µs', what: `CPU of a node for a message to a room of ${ROOM}, for each member` },
  publication: { unit: 'µs', what: 'CPU of a node for publishing a message on Redis' },
  arrival: {
    unit: 'µs',
    what: 'CPU of a node for a message from Redis, or a word of another node',
  },
  told: { unit: 'µs', what: 'CPU of a node for a join or leave that it tells others' },
  change: { unit: 'µs', what: 'CPU of a node for a join or leave of another node' },
  known: { unit: 'bytes', what: 'memory of a node for a member of another node' },
  delivery: { unit: 'µs', what: 'CPU of Redis for a message to one node' },
  subscription: { unit: 'bytes', what: 'memory of Redis for a room on one node' },
} as const satisfies Readonly<Record<string, Constant>>;

export type ConstantName = keyof typeof CONSTANTS;

/** The measured constants: docs/scale.json. */
export interface Measurement {
  readonly made: { readonly date: string; readonly commit: string; readonly node: string };
  readonly machine: string;
  readonly redis: string;
  /** Runs of which each value is the median. */
  readonly runs: number;
  /** Whether other programs ran beside it. */
  readonly busy: boolean;
  /** A constant that was not measured is missing, and so are its rows. */
  readonly values: Readonly<Partial<Record<ConstantName, number>>>;
}

/** What the model assumes. */
const ASSUMED = {
  /** Seconds between two messages of a member. */
  pause: 60,
  /** Header of the frame, TCP with timestamps, IPv4. */
  headers: 2 + 32 + 20,
  /** Share of the clients that do not read. */
  slow: 0.01,
  /** Bytes that a Conn buffers for one of them: its high-water mark. */
  buffered: 64 * 1024,
  /** Share of a core that may go to the clients of a node that is being replaced. */
  share: 0.1,
} as const;

/** As in packages/hub/src/everywhere/nodes.ts. */
const BEAT_S = 5;
/** What depends on a constant that was not measured. */
const UNKNOWN = '-';

interface Fleet {
  readonly connections: number;
  readonly nodes: number;
}

const FLEETS: readonly Fleet[] = [
  { connections: 1e6, nodes: 20 },
  { connections: 1e7, nodes: 200 },
];

type Row = readonly [label: string, ...figures: string[]];

/** The generated parts of docs/scale.md by name. */
export function sectionsOf(measurement: Measurement): Map<string, string> {
  const { values } = measurement;
  const known = new Proxy(values, {
    get: (target, name: ConstantName) => target[name] ?? Number.NaN,
  }) as Values;
  return new Map([
    ['constants', constants(measurement)],
    ['memory', memory(known)],
    ['everyone', everyone(known)],
    ['rooms', rooms(known)],
    ['presence', presence(known)],
    ['storms', storms(known)],
  ]);
}

/** All constants. */
type Values = Readonly<Record<ConstantName, number>>;

function constants({ made, machine, redis, runs, busy, values }: Measurement): string {
  const text = (name: ConstantName): string => {
    const value = values[name];
    if (value === undefined) return 'not measured';
    return CONSTANTS[name].unit === 'bytes' ? bytes(value) : `${rounded(value)} µs`;
  };
  const names = Object.keys(CONSTANTS) as ConstantName[];
  const rows = names.map((name): Row => [CONSTANTS[name].what, text(name)]);
  const origin = [
    machine,
    `node ${made.node}`,
    `Redis ${redis}`,
    `${made.date}, ${made.commit}`,
    runs === 1 ? 'one run' : `the median of ${runs} runs`,
  ];
  const origins = `${origin.join('; ')}${busy ? ', on a machine with other work' : ''}`;
  return `${table(['a node is one process on one core', 'measured'], rows)}\n<sub>${origins}.</sub>\n`;
}

function memory(values: Values): string {
  const { process, connection, kernel } = values;
  return fleetTable(({ connections, nodes }) => {
    const each = connections / nodes;
    const own = process + each * connection;
    const slow = each * ASSUMED.slow * ASSUMED.buffered;
    return {
      'connections of a node': count(each),
      'memory of the process': bytes(own),
      'memory of the kernel': bytes(each * kernel),
      'buffers for the 1 % that read nothing': bytes(slow),
      'all nodes': bytes(nodes * (own + each * kernel + slow)),
    };
  });
}

function everyone(values: Values): string {
  const { broadcast } = values;
  return fleetTable(({ connections, nodes }) => {
    const each = connections / nodes;
    return {
      'messages to the engine': '1',
      'messages from the engine': count(nodes),
      'CPU of a node, and time until its last client has it': seconds(each * broadcast),
      'bytes from a node': bytes(each * (MESSAGE + ASSUMED.headers)),
      'bytes from all nodes': bytes(connections * (MESSAGE + ASSUMED.headers)),
    };
  });
}

function rooms(values: Values): string {
  const { publication, arrival, delivery, subscription, member } = values;
  return fleetTable((fleet) => {
    const { connections, nodes } = fleet;
    const all = connections / ROOM;
    const published = connections / ASSUMED.pause;
    const spread = nodesOfRoom(nodes);
    const arrivals = published * spread;
    const sending = (published / nodes) * publication;
    const receiving = (arrivals / nodes) * arrival;
    const members = ((published * ROOM) / nodes) * member;
    return {
      rooms: count(all),
      'messages a second': count(published),
      'nodes of a room, spread': rounded(spread),
      'rooms on a node, spread': count((all * spread) / nodes),
      'subscriptions of the engine': count(all * spread),
      'their memory in Redis': bytes(all * spread * subscription),
      'messages from the engine, a second': count(arrivals),
      'cores of Redis for these': cores(arrivals * delivery),
      'a node: cores for its members': cores(members),
      'a node: cores for the engine': cores(sending + receiving),
      'placed, no backplane: messages from the engine': '0',
      'placed, no backplane: cores of a node': cores(members),
    };
  });
}

/** Words by which nodes say that they live, and members of rooms that nodes know. */
function presence(values: Values): string {
  const { arrival, change, known } = values;
  return fleetTable(({ connections, nodes }) => {
    const words = nodes / BEAT_S;
    const spread = nodesOfRoom(nodes);
    const members = ((connections / ROOM) * spread * ROOM) / nodes;
    const joins = (connections / nodes) * (spread - 1);
    return {
      'words of nodes that live: at a node, a second': rounded(words),
      'from the engine, a second': count(words * nodes),
      'cores of a node for them': cores(words * arrival),
      'members that a node knows': count(members),
      'their memory': bytes(members * known),
      'a node dies and its clients return: changes at each other node': count(joins / (nodes - 1)),
      'CPU of each other node for them': seconds((joins / (nodes - 1)) * change),
    };
  });
}

function storms(values: Values): string {
  const { opening } = values;
  return fleetTable(({ connections, nodes }) => {
    const each = connections / nodes;
    const returning = each / (nodes - 1);
    return {
      'a node dies: new connections of each other node': count(returning),
      'CPU of each other node': seconds(returning * opening),
      'all nodes restart: new connections of each node': count(each),
      'CPU of each node': seconds(each * opening),
      'a node is replaced: `over` that costs each other node a tenth of a core': seconds(
        (returning * opening) / ASSUMED.share,
      ),
    };
  });
}

/** How many nodes have members of a room whose members connect anywhere. */
function nodesOfRoom(nodes: number): number {
  return nodes * (1 - (1 - 1 / nodes) ** ROOM);
}

function fleetTable(figures: (fleet: Fleet) => Readonly<Record<string, string>>): string {
  const columns = FLEETS.map(figures);
  const labels = Object.keys(columns[0]!);
  return table(
    ['', ...FLEETS.map(({ connections, nodes }) => `${count(connections)} on ${nodes} nodes`)],
    labels.map((label) => [label, ...columns.map((column) => column[label]!)]),
  );
}

function table(head: readonly string[], rows: readonly Row[]): string {
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function count(figure: number): string {
  if (figure >= 1e6) return `${rounded(figure / 1e6)} million`;
  return Math.round(figure).toLocaleString('en-US');
}

function bytes(figure: number): string {
  if (Number.isNaN(figure)) return UNKNOWN;
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = figure;
  let unit = 0;
  for (; scaled >= 1024 && unit < units.length - 1; unit++) scaled /= 1024;
  return `${rounded(scaled)} ${units[unit]}`;
}

/** @param us - Microseconds. */
function seconds(us: number): string {
  if (Number.isNaN(us)) return UNKNOWN;
  return us < 1e6 ? `${rounded(us / 1e3)} ms` : `${rounded(us / 1e6)} s`;
}

/** @param us - Microseconds of CPU a second. */
function cores(us: number): string {
  return rounded(us / 1e6);
}

/** Two significant digits, three from 100 on. */
function rounded(figure: number): string {
  return Number(figure.toPrecision(figure >= 100 ? 3 : 2)).toLocaleString('en-US');
}
