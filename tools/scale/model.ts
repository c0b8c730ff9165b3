/** A figure, measured on one machine. */
export interface Constant {
  readonly value: number;
  readonly unit: 'bytes' | 'µs';
  readonly what: string;
}

/** Connections of the measurement. */
export const CONNECTIONS = 10_000;
/** Members of a room. */
export const ROOM = 50;
/** Bytes of a message. */
export const MESSAGE = 100;

/** The constants that `tools/scale.ts --measure` measures, with the values of docs/scale.md. */
export const CONSTANTS = {
  process: { value: 56 * 2 ** 20, unit: 'bytes', what: 'memory of a node without connections' },
  connection: { value: 8_000, unit: 'bytes', what: 'memory of a session that is in one room' },
  kernel: { value: 4_600, unit: 'bytes', what: 'kernel memory of its idle socket' },
  opening: { value: 166, unit: 'µs', what: 'CPU of a node for a handshake, a session and a join' },
  broadcast: { value: 10, unit: 'µs', what: 'CPU of a node for a broadcast, for each session' },
  member: {
    value: 11,
    unit: 'µs',
    what: `CPU of a node for a message to a room of ${ROOM}, for each member`,
  },
  publication: { value: 45, unit: 'µs', what: 'CPU of a node for publishing a message on Redis' },
  arrival: { value: 13, unit: 'µs', what: 'CPU of a node for a message from Redis' },
  digest: { value: 3.1, unit: 'µs', what: 'CPU of a node for a digest from Redis' },
  delivery: { value: 0.24, unit: 'µs', what: 'CPU of Redis for a message to one node' },
  subscription: { value: 218, unit: 'bytes', what: 'memory of Redis for a room on one node' },
} as const satisfies Readonly<Record<string, Constant>>;

export type ConstantName = keyof typeof CONSTANTS;

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

/** As in packages/hub/src/backplane/digests.ts: a digest each 5 s, for 15 s after a message. */
const DIGEST_S = 5;
const DIGESTS = 3;

interface Fleet {
  readonly connections: number;
  readonly nodes: number;
}

const FLEETS: readonly Fleet[] = [
  { connections: 1e6, nodes: 20 },
  { connections: 1e7, nodes: 200 },
];

type Row = readonly [label: string, ...figures: string[]];

/** The generated tables of the page by name. */
export const SECTIONS: Readonly<Record<string, () => string>> = {
  constants,
  memory,
  everyone,
  rooms,
  storms,
};

function constants(): string {
  return table(
    ['constant', 'value', 'what'],
    Object.entries<Constant>(CONSTANTS).map(([name, { value, unit, what }]) => [
      `\`${name}\``,
      unit === 'bytes' ? bytes(value) : `${rounded(value)} µs`,
      what,
    ]),
  );
}

function memory(): string {
  const { process, connection, kernel } = CONSTANTS;
  return fleetTable(({ connections, nodes }) => {
    const each = connections / nodes;
    const own = process.value + each * connection.value;
    const slow = each * ASSUMED.slow * ASSUMED.buffered;
    return {
      'connections of a node': count(each),
      'memory of the process': bytes(own),
      'memory of the kernel': bytes(each * kernel.value),
      'buffers for the 1 % that read nothing': bytes(slow),
      'all nodes': bytes(nodes * (own + each * kernel.value + slow)),
    };
  });
}

function everyone(): string {
  const { broadcast } = CONSTANTS;
  return fleetTable(({ connections, nodes }) => {
    const each = connections / nodes;
    return {
      'messages to the engine': '1',
      'messages from the engine': count(nodes),
      'CPU of a node, and time until its last client has it': seconds(each * broadcast.value),
      'bytes from a node': bytes(each * (MESSAGE + ASSUMED.headers)),
      'bytes from all nodes': bytes(connections * (MESSAGE + ASSUMED.headers)),
    };
  });
}

function rooms(): string {
  const { publication, arrival, digest, delivery, subscription, member } = CONSTANTS;
  return fleetTable((fleet) => {
    const { connections, nodes } = fleet;
    const all = connections / ROOM;
    const published = connections / ASSUMED.pause;
    const spread = nodesOfRoom(nodes);
    const digests = all * digestsOfRoom(nodes, 1 / ASSUMED.pause);
    const arrivals = published * spread;
    const deliveries = arrivals + digests * spread;
    const sending = ((published + digests) / nodes) * publication.value;
    const receiving =
      (arrivals / nodes) * arrival.value + ((digests * spread) / nodes) * digest.value;
    const members = ((published * ROOM) / nodes) * member.value;
    return {
      rooms: count(all),
      'messages a second': count(published),
      'nodes of a room, spread': rounded(spread),
      'rooms on a node, spread': count((all * spread) / nodes),
      'subscriptions of the engine': count(all * spread),
      'their memory in Redis': bytes(all * spread * subscription.value),
      'messages from the engine, a second': count(arrivals),
      'the same with digests': count(deliveries),
      'cores of Redis for these': cores(deliveries * delivery.value),
      'a node: cores for its members': cores(members),
      'a node: cores for the engine': cores(sending + receiving),
      'placed, no backplane: messages from the engine': '0',
      'placed, no backplane: cores of a node': cores(members),
    };
  });
}

function storms(): string {
  const { opening } = CONSTANTS;
  return fleetTable(({ connections, nodes }) => {
    const each = connections / nodes;
    const returning = each / (nodes - 1);
    return {
      'a node dies: new connections of each other node': count(returning),
      'CPU of each other node': seconds(returning * opening.value),
      'all nodes restart: new connections of each node': count(each),
      'CPU of each node': seconds(each * opening.value),
      'a node is replaced: `over` that costs each other node a tenth of a core': seconds(
        (returning * opening.value) / ASSUMED.share,
      ),
    };
  });
}

/** How many nodes have members of a room whose members connect anywhere. */
export function nodesOfRoom(nodes: number): number {
  return nodes * (1 - (1 - 1 / nodes) ** ROOM);
}

/**
 * Digests a second for one such room. A node sends one each 5 s while its last message in the room
 * is younger than 15 s.
 *
 * @param rate - Messages a second of a member, at random times.
 */
export function digestsOfRoom(nodes: number, rate: number): number {
  const young = 1 - Math.exp(-DIGESTS * DIGEST_S * rate);
  return (nodes / DIGEST_S) * (1 - (1 - young / nodes) ** ROOM);
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
  const lines = [head, head.map((_, i) => (i === 0 || head[0] !== '' ? '---' : '---:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function count(figure: number): string {
  if (figure >= 1e6) return `${rounded(figure / 1e6)} million`;
  return Math.round(figure).toLocaleString('en-US');
}

export function bytes(figure: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = figure;
  let unit = 0;
  for (; scaled >= 1024 && unit < units.length - 1; unit++) scaled /= 1024;
  return `${rounded(scaled)} ${units[unit]}`;
}

/** @param us - Microseconds. */
function seconds(us: number): string {
  return us < 1e6 ? `${rounded(us / 1e3)} ms` : `${rounded(us / 1e6)} s`;
}

/** @param us - Microseconds of CPU a second. */
function cores(us: number): string {
  return rounded(us / 1e6);
}

/** Two significant digits, three from 100 on. */
export function rounded(figure: number): string {
  return Number(figure.toPrecision(figure >= 100 ? 3 : 2)).toLocaleString('en-US');
}
