import { describe, expect, it } from 'vitest';
import { staying } from '../../src/soak/soak.ts';

describe('how long clients come and go', () => {
  it.each([
    { asked: 60, came: 10, seconds: 50, extended: false, what: 'what is left' },
    { asked: 60, came: 45, seconds: 15, extended: false, what: 'just enough' },
    { asked: 60, came: 46, seconds: 15, extended: true, what: 'more than is left' },
    { asked: 60, came: 280, seconds: 15, extended: true, what: 'more, when nothing is left' },
    { asked: 3, came: 2, seconds: 3, extended: false, what: 'as long as asked, if that is short' },
    { asked: 60, came: undefined, seconds: 0, extended: false, what: 'no more if never all came' },
  ])(
    'is $what: $seconds s of $asked when all are there after $came',
    ({ asked, came, ...rest }) => {
      const { seconds, extended } = staying(asked, came);
      expect({ seconds, extended }).toEqual({ seconds: rest.seconds, extended: rest.extended });
    },
  );
});
