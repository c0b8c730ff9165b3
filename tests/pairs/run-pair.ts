import { turn } from '../kit/index.ts';
import { OPERATIONS, type Operation, type OperationName } from './operations.ts';
import { isInOrder, Scene, type Variant } from './scene.ts';
import type { OpenWire } from './wire.ts';

/** Outcomes of both operations and of the connection. */
export type Outcome = readonly [first: string, second: string, connection: string];

export interface PairResult {
  readonly outcome: Outcome;
  /** Broken laws, which hold for every pair. */
  readonly broken: readonly string[];
}

/** Begins `first`, runs `second`, and lets both come to their end. `open`: default, in memory. */
export async function runPair(
  first: OperationName,
  second: OperationName,
  variant: Variant,
  open?: OpenWire,
): Promise<PairResult> {
  const one: Operation = OPERATIONS[first];
  const other: Operation = OPERATIONS[second];
  const aborts = second === 'abort of a signal' && one.takesSignal === true;
  const scene = await Scene.open(variant, aborts, open);
  const begun = await one.first(scene);
  const then = await other.second(scene, begun);
  await begun.finish?.();
  scene.sendFromFar('message 1');
  scene.sendFromFar('message 2');
  await scene.move();
  // A promise that rejects is looked at in a later turn: the library marks it as handled.
  await turn();
  const outcome: Outcome = [await begun.outcome(), await then.outcome(), await scene.connection()];
  const broken: string[] = [];
  if (scene.near.state === 'open') {
    await scene.readRest();
    const ended = [first, second].includes('setReadDeadline');
    const dropped = outcome[0].includes('was dropped') ? 1 : 0;
    if (!ended && scene.nearGot.length + dropped < scene.farSent.length) {
      broken.push('a message is lost');
    }
  }
  for (const got of [scene.nearGot, scene.farGot]) {
    if (!isInOrder(got)) broken.push(`cut, repeated or out of order: ${got.join(', ')}`);
  }
  broken.push(...(await scene.end()));
  const reports = scene.reports.join(', ');
  if (reports !== expectedReport(first, second, outcome)) broken.push(`reported: ${reports}`);
  return { outcome, broken };
}

/** What the option `report` gets: the error of a handler that has thrown, once. */
function expectedReport(first: OperationName, second: OperationName, outcome: Outcome): string {
  const throwsFirst = first === 'handler that throws';
  const throwsSecond = second === 'handler that throws' && outcome[1] === 'throws';
  if (throwsFirst || (throwsSecond && first === 'receive')) return 'the error of receive';
  return throwsSecond ? 'the error of ping handler' : '';
}
