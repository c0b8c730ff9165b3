import {
  AGAIN,
  ASK,
  ASKING,
  BEYOND,
  DO_ASK,
  DO_BLIND,
  DO_BREAK,
  DO_GAP,
  DO_GIVE,
  DO_KEEP,
  DO_LEAVE,
  DO_LIVE,
  DO_LOSE,
  DO_PART,
  DO_READ,
  DO_READ_LATER,
  DO_REFUSE,
  DO_STATE,
  DRAINED,
  EXCESS,
  FAILED,
  type Followed,
  Follower,
  type FollowerRules,
  type FollowerState,
  FULL,
  GAP,
  KEPT,
  LEAVE,
  LOSE,
  type LogPart,
  MESSAGE,
  ON,
  OPEN,
  PART,
  type Place,
  PROMISED,
  READING,
  REFUSED,
  STATE,
} from '@ws/rpc/internal/following';
import { describe, expect, it } from 'vitest';

/** The users of the table, each with the state in which it begins. */
const USERS: Record<string, [FollowerState, Partial<FollowerRules>]> = {
  member: [READING, { passes: true, holdsNext: true, loss: [ON, LOSE, ON] }],
  'member with state': [ASKING, { asks: true, passes: true, holdsNext: true, tries: 3 }],
  'returning member with state': [READING, { asks: true, passes: true, holdsNext: true, tries: 3 }],
  channel: [OPEN, { passes: true }],
  loop: [READING, {}],
  'loop with state': [ASKING, { asks: true }],
  'returning loop with state': [READING, { asks: true }],
};

const ACTS: Record<number, string> = {
  [DO_GIVE]: 'give',
  [DO_PART]: 'part',
  [DO_STATE]: 'state',
  [DO_READ]: 'read',
  [DO_READ_LATER]: 'read-later',
  [DO_ASK]: 'ask',
  [DO_GAP]: 'gap',
  [DO_LIVE]: 'live',
  [DO_BLIND]: 'blind',
  [DO_KEEP]: 'keep',
  [DO_LOSE]: 'lose',
  [DO_REFUSE]: 'refuse',
  [DO_LEAVE]: 'leave',
  [DO_BREAK]: 'break',
};

const EVENTS: Record<string, number> = {
  failed: FAILED,
  refused: REFUSED,
  kept: KEPT,
  drained: DRAINED,
  gap: GAP,
  full: FULL,
  promised: PROMISED,
  again: AGAIN,
  leave: LEAVE,
};

/** A position, as `3` of the epoch `a`, or `b3`. */
function placeOf(text: string): Place {
  const [, epoch = '', offset] = /^([a-z]?)(\d+)$/.exec(text)!;
  return { epoch: epoch || 'a', offset: Number(offset) };
}

/** A message, as `3`, `b3`, `5<3` after 3, `3!` for a lost one, `-` without a position. */
function messageOf(text: string): Followed {
  const isLost = text.endsWith('!');
  const [position = '', previous] = text.replace('!', '').split('<');
  if (position === '-') return { isLost };
  return {
    position: placeOf(position),
    isLost,
    previous: previous && Number(previous),
  } as Followed;
}

/** A part, as `1,2@2` with an end of 2, `1,2@2+` with more, `@` without a log. */
function partOf(text: string): LogPart<Followed> {
  const [messages, end = ''] = text.split('@');
  const position = end === '' ? undefined : placeOf(end.replace('+', ''));
  return {
    messages: messages === '' ? [] : messages!.split(',').map(messageOf),
    position,
    end: end.endsWith('+') ? BEYOND : position,
    isWhole: true,
  };
}

function show(value: unknown): string {
  if (Array.isArray(value)) return value.map(show).join(',');
  const { position, isLost } = Object(value) as Followed;
  if (position === undefined) return '-';
  return `${position.epoch === 'a' ? '' : position.epoch}${position.offset}${isLost ? '!' : ''}`;
}

/** Feeds events, and returns the acts for the user. `since`: the position at the begin. */
function follow(user: string, events: string, since?: string): string {
  const [state, own] = USERS[user]!;
  const rules = {
    asks: false,
    passes: false,
    holdsNext: false,
    tries: Infinity,
    loss: own.asks === true ? [ASK, ASK, ASK] : [ON, ON, ON],
    ...own,
  } as FollowerRules;
  const follower = new Follower<Followed>(
    rules,
    state,
    since === undefined ? undefined : placeOf(since),
  );
  const acts = state === OPEN ? [] : follower.begin();
  for (const event of events.split(' ').filter((each) => each !== '')) {
    const [name, value = ''] = event.split(':');
    if (name === 'part') acts.push(...follower.step(PART, partOf(value)));
    else if (name === 'cut')
      acts.push(...follower.step(PART, { ...partOf(value), isWhole: false }));
    else if (name === 'late')
      acts.push(...follower.step(PART, { ...partOf(value), mayBeLate: true }));
    else if (name === 'late-cut') {
      acts.push(...follower.step(PART, { ...partOf(value), isWhole: false, mayBeLate: true }));
    } else if (name === 'state') {
      acts.push(...follower.step(STATE, { position: value === '' ? undefined : placeOf(value) }));
    } else if (name === 'excess') acts.push(...follower.step(EXCESS, messageOf(value)));
    else if (name === 'again' && value !== '') acts.push(...follower.step(AGAIN, placeOf(value)));
    else if (EVENTS[name!] !== undefined) acts.push(...follower.step(EVENTS[name!]!));
    else acts.push(...follower.step(MESSAGE, messageOf(name!)));
  }
  const texts = acts.map(([act, value]) => {
    if (act === DO_GIVE || act === DO_PART) return `${ACTS[act]}:${show(value)}`;
    if (act === DO_STATE) return `state:${show(value)}`;
    if (act === DO_LIVE) return value === true ? 'live' : 'live-after-gap';
    return ACTS[act]!;
  });
  return texts.join(' ');
}

type Case = [what: string, user: string, since: string | undefined, events: string, acts: string];

/** Each case is a cell, reached by events from the begin. */
const CASES: Case[] = [
  // A state is awaited.
  [
    'ASKING × KNOWN drops it',
    'returning loop with state',
    '5',
    'failed 5 state:7',
    'read ask state:7',
  ],
  [
    'ASKING × NEXT holds it',
    'loop with state',
    undefined,
    'state:7 drained part:@7 drained gap part:@7 full drained failed',
    'ask state:7 read live read',
  ],
  [
    'ASKING × AHEAD holds it',
    'loop with state',
    undefined,
    '8 state:7 drained part:@8 drained',
    'ask state:7 read part:8 live',
  ],
  [
    'ASKING × BARE holds it',
    'loop with state',
    undefined,
    '- state:7 drained part:@7 drained',
    'ask state:7 read give:- live',
  ],
  [
    'ASKING × LOST holds it',
    'loop with state',
    undefined,
    '-! state:7 drained part:@7 drained',
    'ask state:7 read ask',
  ],
  [
    'ASKING × EXCESS notes it',
    'loop with state',
    undefined,
    'excess:9 state:7 drained part:8@8 drained part:9@9 drained',
    'ask state:7 read part:8 read part:9 live',
  ],
];

describe('a follower', () => {
  it.each(CASES)('%s (%s)', (_, user, since, events, acts) => {
    expect(follow(user, events, since)).toBe(acts);
  });
});
