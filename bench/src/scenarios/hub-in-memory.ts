import type { Child } from '../harness/child.ts';
import type { Contest, Running } from '../harness/runner.ts';
import type {
  InMemory,
  InMemoryAnswers,
  MembershipPlan,
  Opening,
  ResumePlan,
} from '../rivals/in-memory-worker.ts';
import { type Environment, startChild, startProcesses } from './scenario.ts';

const MEMBERS = 100_000;
const ROOM_MEMBERS = 1_000;
const OPENINGS = 10_000;
const RESUMES: ResumePlan = { members: 1_000, messages: 1_000 };
const PLAN: MembershipPlan = { sessions: 10_000, rooms: 1000, each: 10 };

/** The names of the contests. */
export const IN_MEMORY_CONTEST = '100,000 members without sockets';
export const MEMBERSHIP_CONTEST = '10,000 sessions, 10 of 1,000 rooms each';

export const OPENING_CONTEST = 'openings of a hub';
export const RESUME_CONTEST = '1,000 clients back at once';
export const CLIENT_ROOMS_CONTEST = '1,000 members of a room for clients';

/** A large room on any machine: without sockets it needs no open files. */
export function inMemoryContest(environment: Environment): Contest {
  return {
    name: IN_MEMORY_CONTEST,
    contenders: ['hub', 'broadcast'],
    start: (contender) =>
      startInMemory(environment, IN_MEMORY_CONTEST, contender, async (child, name) => {
        await child.ask('open', { contender: name as 'hub' | 'broadcast', members: MEMBERS });
        return (ms) => child.ask('publish', ms);
      }),
  };
}

/** The messages of `serveRooms`, next to those of a `form` that makes the same. */
export function clientRoomsContest(environment: Environment): Contest {
  return {
    name: CLIENT_ROOMS_CONTEST,
    contenders: ['form', 'rooms'],
    start: (contender) =>
      startInMemory(environment, CLIENT_ROOMS_CONTEST, contender, async (child, name) => {
        await child.ask('open', { contender: name as InMemory, members: ROOM_MEMBERS });
        return async (ms) => {
          const { message } = await child.ask('publish', ms);
          return { us: message * 1e6 };
        };
      }),
  };
}

/** Joining and leaving, and the memory of a membership. */
export function membershipContest(environment: Environment): Contest {
  return {
    name: MEMBERSHIP_CONTEST,
    contenders: ['hub', 'socket.io'],
    start: (contender) =>
      startInMemory(environment, MEMBERSHIP_CONTEST, contender, async (child, name) => {
        await child.ask('sessions', { contender: name as 'hub' | 'socket.io', plan: PLAN });
        return () => child.ask('memberships', undefined);
      }),
  };
}

/** What a hub costs each connection, with a listener of `connect` that joins a room. */
export function openingContest(environment: Environment): Contest {
  return {
    name: OPENING_CONTEST,
    contenders: ['hub', 'hub, async'],
    start: (contender) =>
      startInMemory(environment, OPENING_CONTEST, contender, async (child, name) => {
        const request = { contender: name as Opening, count: OPENINGS };
        return () => child.ask('openings', request);
      }),
  };
}

/** Clients that come back at once, each with 1,000 missed messages. */
export function resumeContest(environment: Environment): Contest {
  return {
    name: RESUME_CONTEST,
    contenders: ['hub'],
    start: (contender) =>
      startInMemory(environment, RESUME_CONTEST, contender, async (child) => {
        return () => child.ask('resumes', RESUMES);
      }),
  };
}

function startInMemory(
  environment: Environment,
  contest: string,
  contender: string,
  prepare: (child: Child<InMemoryAnswers>, name: string) => Promise<Running['window']>,
): Promise<Running> {
  return startProcesses(async (ends) => {
    const script = './in-memory-worker.js';
    const { child, name } = startChild<InMemoryAnswers>(script, contender, contest, environment, {
      flags: ['--expose-gc'],
    });
    ends.push(() => child.end());
    return { window: await prepare(child, name) };
  });
}
