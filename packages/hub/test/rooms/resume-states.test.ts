// A resume in each of its states meets each event.
import type { Conn } from '@ws/conn';
import { Hub, type Joined, type JoinOptions, type Position, type Session } from '@ws/hub';
import { describe, expect, it } from 'vitest';
import { alone, turns } from '../nodes.ts';
import { publish, slowVisit, visit } from './visits.ts';

const KEPT = { r: { history: { size: 1_000, bytes: 1e8 } } } as const;

interface Resume {
  readonly hub: Hub;
  readonly client: Conn;
  readonly session: Session;
  readonly joined: Promise<Joined>;
  readonly received: string[];
  /** The second join of this session. */
  again?: Promise<unknown>;
}

const EVENTS: Readonly<Record<string, (resume: Resume, since: Position) => void>> = {
  'the session leaves': ({ session }) => session.leave('r'),
  'the session closes': ({ session }) => void session.close(4000),
  'the connection breaks': ({ session }) => session.conn.terminate(),
  'the hub closes': ({ hub }) => void hub.close({ timeout: 1 }),
  'it joins again': (resume, since) => {
    resume.again = resume.session.join('r', { since }).catch(String);
  },
  'a message is published': ({ hub }) => void hub.room('r').publish('live'),
};

type Act = (resume: Resume, since: Position) => void;

function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open };
}

async function resumeOf(hub: Hub, options: JoinOptions = {}): Promise<[Resume, Position]> {
  const since = (await publish(hub, 3))[0]!;
  return [{ hub, ...visit(hub, { since, ...options }) }, since];
}

/** Brings a resume to the state, lets the event happen, and lets the resume continue. */
const STATES: Readonly<Record<string, (act: Act) => Promise<Resume>>> = {
  async 'waits for mayJoin'(act) {
    const { promise, open } = gate();
    const mayJoin = (): Promise<boolean> => promise.then(() => true);
    const [resume, since] = await resumeOf(new Hub({ rooms: KEPT, mayJoin }));
    await turns();
    act(resume, since);
    open();
    return resume;
  },
  async 'waits for its read'(act) {
    const { promise, open } = gate();
    const rooms = { r: { ...KEPT.r, delivery: 'through' } } as const;
    const { hub } = alone({ rooms }, (backplane) => ({
      async history(...args) {
        await promise;
        return backplane.history!(...args);
      },
    }));
    const [resume, since] = await resumeOf(hub);
    await turns();
    act(resume, since);
    open();
    return resume;
  },
  async 'calls first'(act) {
    const hub = new Hub({ rooms: KEPT });
    const [resume, since] = await resumeOf(hub, {
      first() {
        act(resume, since);
        return undefined;
      },
    });
    return resume;
  },
  async 'is sent in parts'(act) {
    const hub = new Hub({ rooms: KEPT });
    const [since] = await publish(hub, 300, ' '.repeat(2_500));
    const received: string[] = [];
    const resume: Resume = { hub, received, ...slowVisit(hub, { since: since! }) };
    await turns();
    act(resume, since!);
    const { client } = resume;
    client.receive((message) => void received.push(message.text().trim())).catch(() => {});
    return resume;
  },
  async 'has ended'(act) {
    const [resume, since] = await resumeOf(new Hub({ rooms: KEPT }));
    await resume.joined;
    await turns();
    act(resume, since);
    return resume;
  },
};

const numbers = (to: number): string[] => Array.from({ length: to - 1 }, (_, i) => `${i + 2}`);

describe.each(Object.entries(STATES))('a resume that %s', (state, reach) => {
  const missed = numbers(state === 'is sent in parts' ? 300 : 3);

  it.each(Object.keys(EVENTS))('when %s', async (event) => {
    const resume = await reach(EVENTS[event]!);
    const { hub, joined, received } = resume;
    const failure = ({ code, message }: { code: string; message: string }) => `${code}: ${message}`;
    const outcome = await joined.then(() => 'joined', failure);
    await turns();
    const isOver = /leaves|closes|breaks/.test(event);
    // A hub that closes has the sessions of this turn.
    const isIn = state === 'has ended' || (state === 'calls first' && event === 'the hub closes');
    if (isIn || !isOver) expect(outcome).toBe('joined');
    else if (event === 'the session leaves') expect(outcome).toMatch(/left/);
    else expect(outcome).toContain('WS_ERR_SESSION_CLOSED');
    expect(hub.room('r').members.size).toBe(isOver ? 0 : 1);
    const again = await resume.again;
    if (event === 'it joins again' && state !== 'has ended') {
      expect(again).toMatch(/is resuming/);
      expect(received).toEqual(missed);
    } else if (event === 'it joins again') {
      expect(received).toEqual([...missed, ...missed]);
    } else if (event === 'a message is published') {
      expect(received).toEqual([...missed, 'live']);
    } else if (!isIn && state !== 'is sent in parts') expect(received).toEqual([]);
  });
});
