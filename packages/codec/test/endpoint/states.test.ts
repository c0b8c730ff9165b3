import { formatCloseMessage, ProtocolError, type Role } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import * as states from '../../src/endpoint/states.ts';
import { Driven } from './machines.ts';
import { EVENT_NAMES, STATE_NAMES } from './state-names.ts';

const { TABLE, endsOurSide, maySend, takesInput } = states;

/** What RFC 6455 asks for. Our frame has code 4000, our failure 1011, a broken rule 1002, the peer's close frame 3001. */
const EXPECTED = `
               | we close        | we fail     | the peer's close frame | the peer's end | a broken rule | our answer is due | destroy   | the transport has closed
OPEN           | CLOSE_SENT 4000 | FAILED 1011 | CLOSE_RECEIVED         | PEER_ENDED     | FAILED 1002   |                   | DESTROYED | CLOSED
CLOSE_RECEIVED | BOTH 4000       | FAILED 1011 |                        | RECEIVED_ENDED | FAILED 1002   | BOTH 3001         | DESTROYED | CLOSED
PEER_ENDED     | OVER 4000       | OVER 1011   |                        |                | OVER 1002     | OVER              | DESTROYED | CLOSED
RECEIVED_ENDED | OVER 4000       | OVER 1011   |                        |                | OVER 1002     | OVER 3001         | DESTROYED | CLOSED
CLOSE_SENT     |                 |             | BOTH                   | OVER           | FAILED        |                   | DESTROYED | CLOSED
BOTH           |                 |             |                        | OVER           |               |                   | DESTROYED | CLOSED
FAILED         |                 |             |                        | OVER           |               |                   | DESTROYED | CLOSED
OVER           |                 |             |                        |                |               |                   | DESTROYED | CLOSED
DESTROYED      |                 |             |                        |                |               |                   |           | CLOSED
CLOSED         |                 |             |                        |                |               |                   |           |
`;

type Act = (driven: Driven) => void;

const ACTS: Record<string, Act> = {
  'we close': ({ machine }) => void machine.close(formatCloseMessage(4000)),
  'we fail': ({ machine }) => machine.fail(new Error('mine'), 1011, ''),
  "the peer's close frame": (driven) => driven.feed(driven.goodbye()),
  "the peer's end": (driven) => {
    driven.machine.end();
    driven.run();
  },
  // In input before an end that was seen ahead.
  'a broken rule': (driven) => {
    const { machine } = driven;
    if (machine.inputEnded) machine.fault(new ProtocolError(1002, ['reserved opcode 3']));
    else driven.feed(driven.frame(3));
  },
  'our answer is due': ({ machine }) => void machine.answer(),
  destroy: ({ machine }) => machine.destroy(),
  'the transport has closed': ({ machine }) => machine.gone(),
};

/** The events that lead to a state. */
const WAYS: Record<string, readonly string[]> = {
  OPEN: [],
  CLOSE_RECEIVED: ["the peer's close frame"],
  PEER_ENDED: ["the peer's end"],
  RECEIVED_ENDED: ["the peer's close frame", "the peer's end"],
  CLOSE_SENT: ['we close'],
  BOTH: ['we close', "the peer's close frame"],
  FAILED: ['a broken rule'],
  OVER: ["the peer's end", 'our answer is due'],
  DESTROYED: ['destroy'],
  CLOSED: ['the transport has closed'],
};

const [header, ...rows] = EXPECTED.trim()
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()));
const events = header!.slice(-EVENT_NAMES.length);
const cells = rows.flatMap(([state, ...row]) =>
  events.map((event, i) => [state!, event, row[i] ?? ''] as const),
);

function at(role: Role, state: string): Driven {
  const driven = new Driven(role);
  for (const event of WAYS[state]!) ACTS[event]!(driven);
  expect(STATE_NAMES[driven.machine.state]).toBe(state);
  driven.sent();
  return driven;
}

describe.each<Role>(['server', 'client'])('the states of a %s', (role) => {
  it.each(cells)('%s, %s: %s', (state, event, expected) => {
    const driven = at(role, state);
    ACTS[event]!(driven);
    const [to = state, code] = expected === '' ? [] : expected.split(' ');
    expect(STATE_NAMES[driven.machine.state]).toBe(to);
    expect(driven.sent()).toEqual(code === undefined ? [] : [`close ${code}`]);
  });

  it.each(STATE_NAMES)('%s: sends at most one close frame, and nothing after it', (state) => {
    const driven = at(role, state);
    const { machine } = driven;
    const isOpen = machine.open;
    driven.send('a');
    machine.close(formatCloseMessage(4000));
    machine.fail(new Error('mine'), 1011, '');
    machine.answer();
    expect(driven.send('b')).toBe(0);
    expect(driven.sent()).toEqual(isOpen ? ['1 a', 'close 4000'] : []);
  });
});

describe('the table of states', () => {
  it('has the events and states of the names', () => {
    expect(rows.map(([state]) => state)).toEqual(STATE_NAMES);
    expect(events).toEqual(EVENT_NAMES);
    expect(TABLE).toHaveLength(STATE_NAMES.length);
  });

  it('says what may be sent, what is parsed and who ends our side', () => {
    const all = STATE_NAMES.map((name, i) => {
      const state = i as states.State;
      const ends = (['server', 'client'] as const).filter((role) => endsOurSide(state, role));
      const says = [maySend(state) && 'sends', takesInput(state) && 'parses', ...ends];
      return `${name}: ${says.filter(Boolean).join(' ')}`.trim();
    });
    expect(all).toEqual([
      'OPEN: sends parses',
      'CLOSE_RECEIVED: sends',
      'PEER_ENDED: sends',
      'RECEIVED_ENDED: sends',
      'CLOSE_SENT: parses',
      'BOTH: server',
      'FAILED: server client',
      'OVER: server client',
      'DESTROYED:',
      'CLOSED:',
    ]);
  });

  it('leads down the list of states only', () => {
    for (const [state, row] of TABLE.entries()) {
      for (const cell of Object.values(row)) expect(cell.to).toBeGreaterThan(state);
    }
  });
});
