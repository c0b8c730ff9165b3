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
  LIVE,
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
  'slow member': [LIVE, { passes: true, holdsNext: true, loss: [ON, LOSE, ON] }],
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
  const acts = state === OPEN || state === LIVE ? [] : follower.begin();
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

/** Each case reaches a cell by events from the begin. The acts show what the reader has. */
const CASES: Case[] = [
  // ASKING
  [
    'ASKING × KNOWN drops it',
    'returning loop with state',
    '5',
    'cut:@9 4 state:3 drained part:4@4 drained',
    'read ask state:3 read part:4 live',
  ],
  [
    'ASKING × NEXT holds it',
    'returning loop with state',
    '5',
    'cut:@9 6 state:5 drained part:@6 drained',
    'read ask state:5 read part:6 live',
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
    'excess:9 state:7 drained part:8@8+ drained part:9@9 drained',
    'ask state:7 read part:8 read part:9 live',
  ],
  [
    'ASKING × PART begins with it',
    'loop with state',
    undefined,
    'part:@5 drained 6',
    'ask live give:6',
  ],
  [
    'ASKING × CUT begins with a gap',
    'loop with state',
    undefined,
    'cut:@5 drained 6',
    'ask gap live-after-gap give:6',
  ],
  [
    'ASKING × BEHIND cannot be',
    'returning loop with state',
    '5',
    'cut:@9 late:@3',
    'read ask break',
  ],
  ['ASKING × FAILED cannot be', 'loop with state', undefined, 'failed', 'ask break'],
  [
    'ASKING × STATE gives it, then reads on',
    'loop with state',
    undefined,
    'state:7 drained',
    'ask state:7 read',
  ],
  [
    'ASKING × STATE without a position is blind',
    'loop with state',
    undefined,
    'state: drained 9 12',
    'ask state:- blind give:9 give:12',
  ],
  ['ASKING × REFUSED ends it', 'loop with state', undefined, 'refused 5', 'ask refuse'],
  [
    'ASKING × KEPT goes on with what is held',
    'member with state',
    undefined,
    '8 9 kept 10',
    'ask keep give:8 give:9 give:10',
  ],
  [
    'ASKING × KEPT_LACKS reads what is missing',
    'member with state',
    undefined,
    '8 10 kept part:9@10 drained',
    'ask keep read part:8,9,10 live',
  ],
  [
    'ASKING × WHOLE, LACKS, UNKNOWN cannot be',
    'loop with state',
    undefined,
    'drained',
    'ask break',
  ],
  [
    'ASKING × GAP changes nothing',
    'returning loop with state',
    '5',
    'cut:@9 gap state:7',
    'read ask state:7',
  ],
  [
    'ASKING × UNREADABLE changes nothing',
    'loop with state',
    undefined,
    'gap state:7 drained part:@7 drained',
    'ask state:7 read live',
  ],
  ['ASKING × FULL changes nothing', 'loop with state', undefined, 'full state:7', 'ask state:7'],
  [
    'ASKING × PROMISED changes nothing',
    'member with state',
    undefined,
    'promised state:7',
    'ask state:7',
  ],
  [
    'ASKING × AGAIN reads from its position',
    'member with state',
    undefined,
    '8 again:5 part:6,7@8 drained',
    'ask read part:6,7,8 live',
  ],
  ['ASKING × ANEW asks again', 'member with state', undefined, 'again state:7', 'ask ask state:7'],
  ['ASKING × LEAVE ends it', 'member with state', undefined, 'leave state:7', 'ask leave'],
  // READING
  ['READING × KNOWN drops it', 'loop', '5', '5 part:@5 drained', 'read live'],
  ['READING × NEXT gives it', 'loop', '5', '6 part:@6 drained', 'read give:6 live'],
  ['READING × NEXT is held for a member', 'member', '5', '6 part:@5 drained', 'read give:6 live'],
  ['READING × AHEAD holds it', 'loop', '5', '7 part:6@6 drained', 'read part:6 give:7 live'],
  ['READING × BARE holds it', 'loop', '5', '- part:6@6 drained', 'read part:6 give:- live'],
  [
    'READING × LOST is a gap at its position',
    'loop',
    '5',
    '6! 7 part:@7 drained',
    'read gap give:7 live-after-gap',
  ],
  ['READING × LOST asks for a state', 'returning loop with state', '5', '6!', 'read ask'],
  [
    'READING × EXCESS notes it',
    'loop',
    '5',
    'excess:8 part:6@6 drained part:7,8@8 drained',
    'read part:6 read part:7,8 live',
  ],
  [
    'READING × EXCESS holds the lowest positions',
    'loop',
    '5',
    '9 excess:8 part:6@6 drained part:7,8@8+ drained part:9@9 drained',
    'read part:6 read part:7,8 read part:9 live',
  ],
  [
    'READING × PART gives it, then what is held',
    'loop',
    '5',
    '8 part:6,7@7 drained',
    'read part:6,7 give:8 live',
  ],
  [
    'READING × PART merges what is held up to its end',
    'loop',
    '5',
    '7 part:6,8@8 drained',
    'read part:6,7,8 live',
  ],
  [
    'READING × PART with more reads on',
    'loop',
    '5',
    'part:6@6+ drained part:7@7 drained',
    'read part:6 read part:7 live',
  ],
  [
    'READING × PART without a log',
    'loop',
    undefined,
    '- part:@ drained -',
    'read give:- live give:-',
  ],
  [
    'READING × PART of a first visit begins before what came live',
    'member',
    undefined,
    '6 part:@7 drained part:7@7 drained',
    'read read part:6,7 live',
  ],
  [
    'READING × PART with its last messages',
    'member',
    undefined,
    'part:6,7@7 drained',
    'read part:6,7 live',
  ],
  [
    'READING × PART with a message that the reader cannot take',
    'member',
    '5',
    'part:6!,7@7 drained',
    'read part:6!,7 live',
  ],
  [
    'READING × CUT drops what came before it of another epoch',
    'loop',
    '5',
    'part:6@6 8 drained cut:b1@b1 drained',
    'read part:6 read gap part:b1 live-after-gap',
  ],
  [
    'READING × CUT is a gap, where a message does not follow',
    'loop',
    '5',
    'cut:8,9@9 drained',
    'read gap part:8,9 live-after-gap',
  ],
  [
    'READING × CUT is a gap at its end, where all follow',
    'loop',
    '5',
    'cut:6,7@9 drained 10',
    'read part:6,7 gap live-after-gap give:10',
  ],
  [
    'READING × CUT of a part that brings nothing, though later ones came',
    'loop',
    '5',
    '7 gap part:@5 drained part:@5 drained',
    'read read gap give:7 live-after-gap',
  ],
  [
    'READING × CUT of another log counts by its numbers',
    'loop',
    '9',
    'cut:3,4@4 drained 5',
    'read gap part:3,4 live-after-gap give:5',
  ],
  ['READING × CUT without a log', 'member', undefined, 'cut:@ drained', 'read gap live-after-gap'],
  [
    'READING × CUT asks for a state',
    'returning member with state',
    '5',
    'cut:8@8 state:9',
    'read ask state:9',
  ],
  [
    'READING × CUT between the first part and the answer ends a member',
    'member',
    '5',
    'part:6@6+ promised drained cut:9@9',
    'read part:6 read lose',
  ],
  [
    'READING × CUT after the answer is a gap',
    'member',
    '5',
    'part:@5 drained 7 cut:9@9 drained',
    'read live read gap part:7 gap part:9 live-after-gap',
  ],
  [
    'READING × BEHIND reads again, once',
    'member',
    '5',
    'late:@3 late-cut:1,2@3 drained',
    'read read-later gap part:1,2 live-after-gap',
  ],
  [
    'READING × BEHIND reads again, and goes on',
    'member',
    '5',
    'late:@3 late:6@6 drained',
    'read read-later part:6 live',
  ],
  [
    'READING × FAILED is a gap on both sides of what is held',
    'loop',
    '5',
    '7 failed 8',
    'read gap give:7 gap live-after-gap give:8',
  ],
  [
    'READING × FAILED is over for a member that was promised all',
    'member',
    '5',
    'part:6@6+ promised drained failed',
    'read part:6 read lose',
  ],
  [
    'READING × FAILED gives what came during the read, of another epoch',
    'loop',
    '5',
    'b3 failed b4',
    'read gap give:b3 gap live-after-gap give:b4',
  ],
  [
    'READING × FAILED drops what came before it of another epoch',
    'loop',
    '5',
    'part:6@6 b3 drained failed',
    'read part:6 read gap gap live-after-gap',
  ],
  [
    'READING × STATE gives it',
    'returning loop with state',
    '5',
    'state:7 drained',
    'read state:7 read',
  ],
  ['READING × REFUSED ends it', 'loop', '5', 'refused 6', 'read refuse'],
  ['READING × KEPT cannot be', 'member', '5', 'kept', 'read break'],
  ['READING × WHOLE, LACKS, UNKNOWN cannot be', 'loop', '5', 'drained', 'read break'],
  ['READING × GAP reads again', 'loop', '5', 'gap part:6@6 drained', 'read part:6 read'],
  [
    'READING × GAP has a place among messages without a position',
    'loop',
    undefined,
    '- gap - part:@ drained',
    'read give:- gap give:- live-after-gap',
  ],
  [
    'READING × FULL waits for the reader, and reads again',
    'loop',
    '5',
    'full drained',
    'read read',
  ],
  [
    'READING × PROMISED changes nothing',
    'member',
    '5',
    'promised cut:@9 drained',
    'read gap live-after-gap',
  ],
  [
    'READING × AGAIN reads from its position',
    'member',
    '5',
    '7 again:3 part:4,5,6@7 drained',
    'read read part:4,5,6,7 live',
  ],
  [
    'READING × ANEW asks',
    'returning member with state',
    '5',
    '7 again state:7',
    'read ask state:7',
  ],
  ['READING × LEAVE ends it', 'loop', '5', 'leave part:6@6', 'read leave'],
  // GIVING
  ['GIVING × KNOWN drops it', 'loop', '5', 'part:6@6 6 drained', 'read part:6 live'],
  ['GIVING × NEXT holds it', 'loop', '5', 'part:6@6 7 drained', 'read part:6 give:7 live'],
  [
    'GIVING × AHEAD holds it, and reads what is missing',
    'loop',
    '5',
    'part:6@6 8 drained part:7@8 drained',
    'read part:6 read part:7,8 live',
  ],
  ['GIVING × BARE holds it', 'loop', '5', 'part:6@6 - drained', 'read part:6 give:- live'],
  ['GIVING × LOST holds it', 'loop', '5', 'part:6@6 7! drained', 'read part:6 gap live-after-gap'],
  [
    'GIVING × LOST asks for a state, without an answer',
    'loop with state',
    undefined,
    'state:5 drained part:@5 6! drained',
    'ask state:5 read ask',
  ],
  ['GIVING × EXCESS notes it', 'loop', '5', 'part:6@6 excess:7 drained', 'read part:6 read'],
  ['GIVING × PART changes nothing: it is late', 'loop', '5', 'full part:6@6 drained', 'read read'],
  ['GIVING × CUT reads again', 'loop', '5', 'part:6@6 cut:@9 drained', 'read part:6 read'],
  ['GIVING × BEHIND changes nothing', 'loop', '5', 'part:6@6 late:@3 drained', 'read part:6 live'],
  ['GIVING × FAILED cannot be', 'loop', '5', 'part:6@6 failed', 'read part:6 break'],
  [
    'GIVING × STATE gives it',
    'returning loop with state',
    '5',
    'part:6@6 state:9 drained',
    'read part:6 state:9 read',
  ],
  ['GIVING × REFUSED ends it', 'loop', '5', 'part:6@6 refused drained', 'read part:6 refuse'],
  ['GIVING × KEPT cannot be', 'loop', '5', 'part:6@6 kept', 'read part:6 break'],
  ['GIVING × WHOLE is live', 'loop', '5', 'part:6@6 drained 7', 'read part:6 live give:7'],
  ['GIVING × LACKS reads', 'loop', '5', 'part:6@6 9 drained', 'read part:6 read'],
  [
    'GIVING × UNKNOWN is blind, with what is held',
    'loop with state',
    undefined,
    'state: 9 drained',
    'ask state:- give:9 blind',
  ],
  ['GIVING × GAP reads again', 'loop', '5', 'part:6@6 gap drained', 'read part:6 read'],
  [
    'GIVING × UNREADABLE is a gap in its place',
    'loop',
    undefined,
    'part:@ - gap - drained',
    'read give:- gap give:- live-after-gap',
  ],
  ['GIVING × FULL changes nothing', 'loop', '5', 'part:6@6 full drained', 'read part:6 live'],
  [
    'GIVING × PROMISED makes a later loss final',
    'member',
    '5',
    'part:6@6+ promised drained failed',
    'read part:6 read lose',
  ],
  [
    'READING × CUT drops what is held before the part: the gap comes before all',
    'member',
    '7',
    '8 cut:34,35@35 drained',
    'read gap part:34,35 live-after-gap',
  ],
  [
    'GIVING × PROMISED changes nothing after the answer',
    'slow member',
    '5',
    'full 6 drained part:6@6+ promised drained cut:9@9 drained',
    'read part:6 read gap part:9 live-after-gap',
  ],
  [
    'GIVING × AGAIN reads from its position',
    'member',
    '5',
    'part:6@6 7 again:6 part:@7 drained',
    'read part:6 read part:7 live',
  ],
  ['GIVING × ANEW asks', 'returning member with state', '5', 'part:6@6 again', 'read part:6 ask'],
  ['GIVING × LEAVE ends it', 'loop', '5', 'part:6@6 leave drained', 'read part:6 leave'],
  // LIVE
  ['LIVE × KNOWN drops it', 'loop', '5', 'part:@5 drained 5', 'read live'],
  ['LIVE × NEXT gives it', 'loop', '5', 'part:@5 drained 6 8<6', 'read live give:6 give:8'],
  [
    'LIVE × AHEAD reads what is missing',
    'loop',
    '5',
    'part:@5 drained 7 part:6@7 drained',
    'read live read part:6,7 live',
  ],
  [
    'LIVE × AHEAD of another epoch reads it',
    'loop',
    '5',
    'part:@5 drained b1 cut:b1@b1 drained',
    'read live read gap part:b1 live-after-gap',
  ],
  ['LIVE × BARE gives it', 'loop', '5', 'part:@5 drained -', 'read live give:-'],
  ['LIVE × LOST is a gap', 'loop', '5', 'part:@5 drained 6! 7', 'read live gap give:7'],
  [
    'LIVE × LOST asks for a state',
    'returning loop with state',
    '5',
    'part:@5 drained 6!',
    'read live ask',
  ],
  [
    'LIVE × LOST is given to a user that passes it',
    'channel',
    undefined,
    '5 6! 7',
    'give:5 give:6! give:7',
  ],
  ['LIVE × EXCESS cannot be', 'loop', '5', 'part:@5 drained excess:6', 'read live break'],
  [
    'LIVE × PART changes nothing: it is late',
    'loop',
    '5',
    'part:@5 drained part:6@6 6',
    'read live give:6',
  ],
  ['LIVE × CUT reads', 'loop', '5', 'part:@5 drained cut:@9', 'read live read'],
  ['LIVE × BEHIND changes nothing', 'loop', '5', 'part:@5 drained late:@3 6', 'read live give:6'],
  ['LIVE × FAILED cannot be', 'loop', '5', 'part:@5 drained failed', 'read live break'],
  [
    'LIVE × STATE gives it',
    'returning loop with state',
    '5',
    'part:@5 drained state:9 drained',
    'read live state:9 read',
  ],
  ['LIVE × REFUSED ends it', 'loop', '5', 'part:@5 drained refused 6', 'read live refuse'],
  ['LIVE × KEPT cannot be', 'loop', '5', 'part:@5 drained kept', 'read live break'],
  [
    'LIVE × WHOLE, LACKS, UNKNOWN cannot be',
    'loop',
    '5',
    'part:@5 drained drained',
    'read live break',
  ],
  [
    'LIVE × GAP reads',
    'loop',
    '5',
    'part:@5 drained gap part:6@6 drained',
    'read live read part:6 live',
  ],
  [
    'LIVE × UNREADABLE is a gap',
    'loop',
    undefined,
    'part:@ drained gap part:@ drained',
    'read live gap read live-after-gap',
  ],
  [
    'LIVE × FULL waits for the reader, then reads',
    'loop',
    '5',
    'part:@5 drained full 6 drained',
    'read live read',
  ],
  [
    'LIVE × FULL of a member that was live before begins from its position',
    'slow member',
    '5',
    'full 6 7 drained part:6,7@7 drained 8',
    'read part:6,7 live give:8',
  ],
  [
    'LIVE × PROMISED changes nothing',
    'member',
    '5',
    'part:@5 drained promised 7 cut:9@9',
    'read live read gap part:7 gap part:9',
  ],
  [
    'LIVE × AGAIN reads from its position',
    'member',
    '5',
    'part:@5 drained 6 again:5 part:6@6 drained',
    'read live give:6 read part:6 live',
  ],
  [
    'LIVE × AGAIN reads from a newer position too',
    'member',
    '5',
    'part:@5 drained again:8 9 part:@8 drained',
    'read live read give:9 live',
  ],
  [
    'LIVE × AGAIN without a position continues',
    'member',
    '5',
    'part:@5 drained again 6 part:@5 drained',
    'read live read give:6 live',
  ],
  [
    'LIVE × ANEW asks',
    'returning member with state',
    '5',
    'part:@5 drained again 6 state:6 drained',
    'read live ask state:6 read',
  ],
  ['LIVE × LEAVE ends it', 'loop', '5', 'part:@5 drained leave 6', 'read live leave'],
  // OPEN
  [
    'OPEN × KNOWN drops it',
    'channel',
    undefined,
    '5 5 gap failed 5 7',
    'give:5 read gap gap live-after-gap give:7',
  ],
  ['OPEN × NEXT is live', 'loop', '5', 'failed 6 8', 'read gap gap live-after-gap give:6 read'],
  ['OPEN × AHEAD is live', 'channel', undefined, '5 7', 'give:5 read'],
  ['OPEN × BARE gives it', 'channel', undefined, '- -', 'give:- give:-'],
  ['OPEN × LOST is a gap', 'loop', '5', 'failed 9! 10', 'read gap gap live-after-gap gap give:10'],
  ['OPEN × EXCESS cannot be', 'channel', undefined, 'excess:5', 'break'],
  ['OPEN × PART changes nothing', 'channel', undefined, 'part:5@5 9', 'give:9'],
  ['OPEN × CUT changes nothing', 'channel', undefined, 'cut:5@5 9', 'give:9'],
  [
    'OPEN × BEHIND changes nothing',
    'loop',
    '5',
    'failed late:@3 9',
    'read gap gap live-after-gap give:9',
  ],
  ['OPEN × FAILED cannot be', 'channel', undefined, 'failed', 'break'],
  ['OPEN × STATE gives it', 'member', '5', 'failed state:7', 'read gap gap live-after-gap state:7'],
  ['OPEN × REFUSED ends it', 'channel', undefined, 'refused 5', 'refuse'],
  ['OPEN × KEPT cannot be', 'channel', undefined, 'kept', 'break'],
  ['OPEN × WHOLE, LACKS, UNKNOWN cannot be', 'channel', undefined, 'drained', 'break'],
  [
    'OPEN × GAP reads',
    'loop',
    '5',
    'failed gap part:6@6 drained',
    'read gap gap live-after-gap read part:6 live',
  ],
  [
    'OPEN × UNREADABLE is a gap',
    'channel',
    undefined,
    'gap part:@ drained',
    'gap read live-after-gap',
  ],
  [
    'OPEN × FULL waits for the reader, then reads',
    'loop',
    '5',
    'failed full drained',
    'read gap gap live-after-gap read',
  ],
  [
    'OPEN × PROMISED changes nothing',
    'member',
    '5',
    'failed promised gap cut:@9',
    'read gap gap live-after-gap read gap',
  ],
  [
    'OPEN × AGAIN reads',
    'member',
    '5',
    'failed again:5 part:6@6 drained',
    'read gap gap live-after-gap read part:6 live',
  ],
  ['OPEN × ANEW asks', 'member with state', undefined, 'kept again', 'ask keep ask'],
  ['OPEN × LEAVE ends it', 'channel', undefined, 'leave 5', 'leave'],
  // BLIND
  [
    'BLIND × KNOWN, NEXT, AHEAD give it, and no position is known',
    'loop with state',
    undefined,
    'state: drained 5 5 9',
    'ask state:- blind give:5 give:5 give:9',
  ],
  [
    'BLIND × BARE gives it',
    'loop with state',
    undefined,
    'state: drained -',
    'ask state:- blind give:-',
  ],
  ['BLIND × LOST asks', 'loop with state', undefined, 'state: drained 5!', 'ask state:- blind ask'],
  [
    'BLIND × EXCESS cannot be',
    'loop with state',
    undefined,
    'state: drained excess:5',
    'ask state:- blind break',
  ],
  [
    'BLIND × PART, CUT, BEHIND change nothing',
    'loop with state',
    undefined,
    'state: drained part:5@5 cut:5@5 late:@3 5',
    'ask state:- blind give:5',
  ],
  [
    'BLIND × FAILED cannot be',
    'loop with state',
    undefined,
    'state: drained failed',
    'ask state:- blind break',
  ],
  [
    'BLIND × STATE gives it',
    'loop with state',
    undefined,
    'state: drained state:7 drained',
    'ask state:- blind state:7 read',
  ],
  [
    'BLIND × REFUSED ends it',
    'loop with state',
    undefined,
    'state: drained refused 5',
    'ask state:- blind refuse',
  ],
  [
    'BLIND × KEPT cannot be',
    'loop with state',
    undefined,
    'state: drained kept',
    'ask state:- blind break',
  ],
  [
    'BLIND × WHOLE, LACKS, UNKNOWN cannot be',
    'loop with state',
    undefined,
    'state: drained drained',
    'ask state:- blind break',
  ],
  [
    'BLIND × GAP, UNREADABLE ask',
    'loop with state',
    undefined,
    'state: drained gap state:7',
    'ask state:- blind ask state:7',
  ],
  [
    'BLIND × FULL waits for the reader, then asks',
    'loop with state',
    undefined,
    'state: drained full 5 drained',
    'ask state:- blind ask',
  ],
  [
    'BLIND × PROMISED changes nothing',
    'loop with state',
    undefined,
    'state: drained promised 5',
    'ask state:- blind give:5',
  ],
  [
    'BLIND × AGAIN reads',
    'loop with state',
    undefined,
    'state: drained again:5 part:6@6 drained',
    'ask state:- blind read part:6 live',
  ],
  [
    'BLIND × ANEW asks',
    'loop with state',
    undefined,
    'state: drained again state:7',
    'ask state:- blind ask state:7',
  ],
  [
    'BLIND × LEAVE ends it',
    'loop with state',
    undefined,
    'state: drained leave 5',
    'ask state:- blind leave',
  ],
  // OVER
  [
    'OVER stays',
    'loop',
    '5',
    'leave 6 - 7! excess:8 part:6@6 cut:8@8 late:@3 failed state:7 refused kept drained gap full promised again:5 leave',
    'read leave',
  ],
  // losses
  [
    'a member gets at most three states',
    'member with state',
    undefined,
    'state:1 drained cut:@9 state:2 drained cut:@9 state:3 drained cut:@9',
    'ask state:1 read ask state:2 read ask state:3 read refuse',
  ],
  [
    'a returning member gets at most three states',
    'returning member with state',
    '5',
    'cut:@9 state:1 drained cut:@9 state:2 drained cut:@9 state:3 drained cut:@9',
    'read ask state:1 read ask state:2 read ask state:3 read refuse',
  ],
  [
    'after its answer, a member may get three states again',
    'member with state',
    undefined,
    'state:1 drained part:@1 drained 3 cut:@9 state:9 drained part:@9 drained 11 cut:@12',
    'ask state:1 read live read ask state:9 read live read ask',
  ],
  [
    'ASKING × EXCESS is read after KEPT',
    'member with state',
    undefined,
    '8 excess:9 kept part:9@9 drained',
    'ask keep read part:8,9 live',
  ],
  [
    'ASKING × GAP is read after KEPT',
    'returning member with state',
    '5',
    'part:@5 drained again gap kept part:6@6 drained',
    'read live ask keep read part:6 live',
  ],
  [
    'ASKING × FULL does not wait for the reader',
    'member with state',
    undefined,
    'full kept',
    'ask keep',
  ],
  [
    'ASKING × WHOLE cannot be',
    'returning loop with state',
    '5',
    'cut:@9 drained',
    'read ask break',
  ],
  [
    'ASKING × LACKS cannot be',
    'returning loop with state',
    '5',
    'cut:@9 7 drained',
    'read ask break',
  ],
  ['READING × LACKS cannot be', 'loop', '5', '7 drained', 'read break'],
  ['READING × KEPT_LACKS cannot be', 'member', '5', '7 9 kept', 'read break'],
  ['GIVING × KEPT_LACKS cannot be', 'member', '5', 'part:6@6 8 10 kept', 'read part:6 break'],
  [
    'OPEN × CUT leaves no gap for later',
    'channel',
    undefined,
    '- cut:5@5 gap part:@ drained',
    'give:- gap read live-after-gap',
  ],
  ['OPEN × UNKNOWN cannot be', 'member with state', undefined, 'kept drained', 'ask keep break'],
  [
    'BLIND × CUT leaves no gap for later',
    'loop with state',
    undefined,
    'state: drained cut:5@5 state:7 drained part:@7 drained',
    'ask state:- blind state:7 read live',
  ],
  [
    'LIVE × KNOWN drops a message of the epoch before, which another node brings',
    'loop',
    '17',
    'cut:@b2 drained 17',
    'read gap live-after-gap',
  ],
  [
    'LIVE × AHEAD reads for a later message of the epoch before',
    'loop',
    '17',
    'cut:@b2 drained 18',
    'read gap live-after-gap read',
  ],
  [
    'READING × AHEAD holds a message of the epoch that its reader does not know',
    'member',
    '17',
    'part:@17 drained again:b2 17 failed',
    'read live read gap give:17 gap live-after-gap',
  ],
];

describe('a follower', () => {
  it.each(CASES)('%s (%s)', (_, user, since, events, acts) => {
    expect(follow(user, events, since)).toBe(acts);
  });
});
