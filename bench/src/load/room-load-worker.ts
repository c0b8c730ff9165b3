// The members of a room, in a process of their own. See `RoomLoadAnswers`.
import { answer } from '../harness/child.ts';
import {
  type OpenMembers,
  type Paced,
  type Published,
  type PublishRequest,
  RoomLoad,
} from './room-load.ts';

const load = new RoomLoad();

/** The requests that the process answers, as the methods of `RoomLoad`. */
export type RoomLoadAnswers = {
  open: (request: OpenMembers) => Promise<void>;
  pause: (count: number) => void;
  publish: (request: PublishRequest) => Promise<Published>;
  pace: (request: { rate: number; ms: number }) => Promise<Paced>;
};

answer({
  open: (request) => load.open(request),
  pause: (count) => load.pause(count),
  publish: (request) => load.publish(request),
  pace: (request) => load.pace(request),
} satisfies RoomLoadAnswers);
