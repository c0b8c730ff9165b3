import { describe, it } from 'vitest';
import { nothingLeft, turn, whenOver } from '../peers/index.ts';
import { STREAM_ENDS, STREAM_MOMENTS, STREAM_USERS } from './http2.ts';

describe.each([
  { says: 'in clear', secure: false },
  { says: 'in TLS', secure: true },
])('over HTTP/2 $says', ({ secure }) => {
  nothingLeft();

  it.each(Object.entries(STREAM_USERS))(
    '%s catches every error when a stream or its session ends',
    async (_, prepare) => {
      const user = await prepare(secure);
      let stopped: unknown;
      whenOver(() => stopped ?? user.stop());
      for (const moment of Object.values(STREAM_MOMENTS)) {
        for (const end of Object.values(STREAM_ENDS)) {
          const ends = await user.open();
          await moment(ends, user.role);
          end(ends);
          ends.far.resume();
        }
      }
      for (let i = 0; i < 20; i++) await turn();
      stopped = user.stop();
      await stopped;
    },
  );
});
