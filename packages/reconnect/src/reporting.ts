// Functions of the application whose errors may end a ReconnectingConn, so that they are also reported.
import { type ConnLike, portablePlatform } from '@ws/conn';
import { checkRetry } from './connection-series.ts';
import type { DialFunction, LivePlan } from './options.ts';

/**
 * The dial function of `plan`, which also reports its first failure.
 *
 * @param isEndAwaited - Whether code awaits the error that ends the object. That error needs no report.
 */
export function reportingDial<C extends ConnLike>(
  { dial, report }: LivePlan<C>,
  isEndAwaited: () => boolean,
): DialFunction<C> {
  let reported = false;
  return async (options) => {
    try {
      return await dial(options);
    } catch (error) {
      if (!reported && !options.signal.aborted) {
        // In a later turn: the error may end the object, and code may await that.
        portablePlatform.yield(() => {
          if (!isEndAwaited()) report(error, { where: 'dial' });
        });
      }
      reported = true;
      throw error;
    }
  };
}

/** The option `retry`. Its error ends the object, and perhaps no code awaits that. */
export function reportingRetry<C extends ConnLike>({
  retry,
  report,
}: LivePlan<C>): LivePlan<C>['retry'] {
  if (retry === undefined) return undefined;
  return (error, attempt) => {
    try {
      return checkRetry(retry(error, attempt), error);
    } catch (mistake) {
      report(mistake, { where: 'retry' });
      throw mistake;
    }
  };
}
