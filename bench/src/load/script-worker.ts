// Users that run a script, in their own process. See `ScriptAnswers`.
import { pathToFileURL } from 'node:url';
import { answer } from '../harness/child.ts';
import { type EchoPlan, makePayloads } from './echo-corpus.ts';
import type { Script, ScriptModule, ScriptOptions } from './script.ts';
import type { Stages } from './stages.ts';
import { Users, type UsersResult, type UsersTarget } from './users.ts';

/** The requests that the process answers. */
export type ScriptAnswers = {
  /** Loads the script of a file, and returns its options. */
  script: (path: string) => Promise<ScriptOptions>;
  /** Uses echoes as the script. */
  echo: (plan: EchoPlan) => void;
  run: (request: { target: UsersTarget; stages: Stages }) => Promise<UsersResult>;
  progress: (nothing?: undefined) => Progress;
  /** Ends the run, whose answer has what was measured. */
  stop: (nothing?: undefined) => void;
};

/** What the users have done so far. */
export interface Progress {
  readonly messages: number;
  readonly connections: number;
  readonly errors: number;
}

let chosen: Script | undefined;
let users: Users | undefined;

async function script(path: string): Promise<ScriptOptions> {
  const loaded = (await import(pathToFileURL(path).href)) as Partial<ScriptModule>;
  if (typeof loaded.default !== 'function') {
    throw new TypeError('the script has no default export that is a function: (user) => …');
  }
  chosen = loaded.default;
  return loaded.options ?? {};
}

function echo(plan: EchoPlan): void {
  const payloads = makePayloads(plan);
  const messages = plan.content === 'binary' ? payloads : payloads.map(String);
  chosen = async (user) => {
    const socket = await user.connect();
    // Neighbours start with different messages, so a reply to the wrong connection is detected.
    for (let i = user.id; await user.next(); i++) {
      const message = messages[i % messages.length]!;
      socket.send(message);
      await socket.expect(message);
    }
  };
}

async function run({ target, stages }: { target: UsersTarget; stages: Stages }) {
  users = new Users(chosen!, target, stages);
  return users.run();
}

function progress(): Progress {
  return {
    messages: users?.messages ?? 0,
    connections: users?.connections ?? 0,
    errors: users?.errors ?? 0,
  };
}

answer({ script, echo, run, progress, stop: () => users?.stop() } satisfies ScriptAnswers);
