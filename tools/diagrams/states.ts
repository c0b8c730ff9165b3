import * as states from '../../packages/codec/src/endpoint/states.ts';
import { EVENT_NAMES, STATE_NAMES } from '../../packages/codec/test/endpoint/state-names.ts';
import { arrow, box, picture, text } from './svg.ts';

const { DESTROY, GONE, TABLE, endsOurSide, maySend, takesInput } = states;

const WIDTH = 190;

/** The left upper corner of each state that has an arrow. */
const PLACES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  OPEN: [330, 16],
  PEER_ENDED: [20, 180],
  CLOSE_RECEIVED: [260, 180],
  CLOSE_SENT: [500, 180],
  RECEIVED_ENDED: [150, 350],
  BOTH: [400, 350],
  FAILED: [740, 350],
  OVER: [400, 530],
};

/** The path of each arrow, and the middle of the first line of its text. */
const WAYS: Readonly<Record<string, readonly [path: string, x: number, y: number]>> = {
  'OPEN PEER_ENDED': ['M340 73L130 178', 185, 116],
  'OPEN CLOSE_RECEIVED': ['M400 73L365 178', 295, 150],
  'OPEN CLOSE_SENT': ['M490 73L580 178', 580, 120],
  'OPEN FAILED': ['M520 44H850V348', 795, 100],
  'CLOSE_RECEIVED RECEIVED_ENDED': ['M310 237L255 348', 235, 290],
  'CLOSE_RECEIVED BOTH': ['M380 237L428 348', 345, 306],
  'CLOSE_RECEIVED FAILED': ['M440 237L750 348', 672, 340],
  'CLOSE_SENT BOTH': ['M590 237L578 348', 505, 338],
  'CLOSE_SENT FAILED': ['M660 237L800 348', 780, 270],
  'CLOSE_SENT OVER': ['M640 237V558H592', 692, 480],
  'PEER_ENDED OVER': ['M60 237V558H398', 122, 460],
  'RECEIVED_ENDED OVER': ['M245 407L430 528', 255, 460],
  'BOTH OVER': ['M495 407V528', 545, 470],
  'FAILED OVER': ['M835 407V570H592', 784, 505],
};

/** The states of a closing connection: an arrow for each two states that the table of the codec joins. */
export function closing(): string {
  const boxes = Object.entries(PLACES).map(([name, [x, y]]) =>
    box({ x, y, width: WIDTH, lines: [name, meaning(STATE_NAMES.indexOf(name as 'OPEN'))] }),
  );
  const ways = waysOf();
  const unknown = Object.keys(WAYS).filter((way) => !ways.has(way));
  if (unknown.length > 0) throw new Error(`not in the table of states: ${unknown.join(', ')}`);
  return picture('The states of a closing connection', 950, 640, [
    ...boxes,
    ...[...ways].map(([way, events]) => drawn(way, events)),
    text(20, 626, `from every state: ${EVENT_NAMES[DESTROY]}, ${EVENT_NAMES[GONE]}`, 'note start'),
  ]);
}

function meaning(index: number): string {
  const state = index as states.State;
  const sends = maySend(state) ? 'sends' : '';
  const reads = takesInput(state) ? 'reads' : '';
  const both = endsOurSide(state, 'client') ? 'our side ends' : '';
  const server = endsOurSide(state, 'server') && both === '' ? "a server's side ends" : '';
  return [sends, reads, both, server].filter(Boolean).join(', ');
}

/** The two states of each way in the table, and the events that lead there. */
function waysOf(): Map<string, string[]> {
  const ways = new Map<string, string[]>();
  for (const [from, row] of TABLE.entries()) {
    for (const [event, cell] of Object.entries(row)) {
      if (Number(event) >= DESTROY) continue;
      const way = `${STATE_NAMES[from]} ${STATE_NAMES[cell.to]}`;
      ways.set(way, [...(ways.get(way) ?? []), EVENT_NAMES[Number(event)]!]);
    }
  }
  return ways;
}

function drawn(way: string, events: readonly string[]): string {
  const place = WAYS[way];
  if (place === undefined) throw new Error(`no way is drawn from ${way.replace(' ', ' to ')}`);
  const [path, x, y] = place;
  return [arrow(path), ...events.map((event, i) => text(x, y + i * 16, event))].join('\n');
}
