/**
 * Joins a surrogate pair that two texts of one message share, as TextEncoderStream does. A half
 * without its other half becomes U+FFFD.
 */
export class SurrogatePairs {
  /** The first half of a pair, at the end of the last text; `''` for none. */
  half = '';

  /** Returns the text that can be encoded now: without a first half at its end. */
  join(text: string): string {
    if (text === '') return '';
    const joined = this.half + text;
    const isHalf = (joined.charCodeAt(joined.length - 1) & 0xfc00) === 0xd800;
    this.half = isHalf ? joined.slice(-1) : '';
    return isHalf ? joined.slice(0, -1) : joined;
  }

  /** Returns the half that stays alone: no text follows it. */
  takeRest(): string {
    const { half } = this;
    this.half = '';
    return half;
  }
}
