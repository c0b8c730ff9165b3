import { HAS_FAST_BIGINT } from './engine.ts';

// The kernel for each size. Measured with `pnpm bench codec`, in ns on one machine. All crossovers
// are in this file.
//
//   bytes                       8    16    32   125   256  1024  4096  65536
//   single bytes                5    10    17    55   105   430  1650
//   words, edges by bytes            11    12    17    24    56   180   2900
//   words, edges by masks             8     9    13    20    57   190   2900
//   SIMD, staged                                             95   160   1760
//   SIMD, bytes in its memory   4     5     6     8    10    18    50    880
//
// No word size is fast on both engines (edges by masks, in ns; Node 20.20 and Bun 1.4.5):
//
//   bytes                      32    64   125   256  1024  4096   65536
//   V8: 64-bit words           12    13    15    24    56   186    2820
//   V8: 32-bit words           12    15    20    30    90   331    5300
//   JSC: 64-bit words         300   470   800  1460  5300 20700  320000
//   JSC: 32-bit words          13    15    17    23    55   186    2920
//   JSC: SIMD, staged                              110  1500   21000

/** Below this many bytes: single bytes. */
export const WORDS_FROM = 12;
/**
 * A new view costs 40 ns and 112 bytes. It is created when at least this many bytes of input are
 * left.
 */
export const VIEW_AHEAD = 128;
/** Below this many bytes, words save so little that a view pays off only for many frames. */
export const SHORT_FRAME = 32;
/** Bytes of input that must be left to create a view for short frames. */
export const SHORT_FRAME_VIEW_AHEAD = 2048;
/** Below this many bytes: single bytes, although the SIMD kernel needs no view. */
export const SIMD_FROM = 8;
/**
 * From this many bytes on, two copies and the SIMD kernel are faster than words. For fewer bytes
 * the two views are not worth their garbage. In JavaScriptCore words are at least as fast as the
 * stage. On Bun they are 6 times as fast for a payload that begins shortly after a page boundary,
 * because copies to such an address are slow. A number, not Infinity: minified to a division, which
 * bundlers keep.
 */
export const STAGE_FROM: number = HAS_FAST_BIGINT ? 8192 : 1e15;
/**
 * Below this many bytes, single bytes move as fast as by the SIMD kernel. Moving, in ns:
 *
 *   bytes                                8    16    32   125  1024  16384  65536
 *   single bytes                        14    23    41   144  1100
 *   both in the SIMD memory             13    13    13    14    25    240   1400
 *   one in it, with a view              50    60    80   130   160    630   2300
 */
export const MOVE_FROM = 8;
/**
 * Below this many bytes, single bytes move faster than by the SIMD kernel when one array is outside
 * of its memory: that needs a view.
 */
export const MOVE_OUTSIDE_FROM = 128;
