/** Codes that an endpoint may send (RFC 6455, 7.4.1 and 7.4.2). */
export const VALID_CODES: readonly number[] = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3001, 3500, 3999, 4000, 4001, 4500,
  4999,
];

/** Codes registered with IANA after RFC 6455. An endpoint need not know them. */
export const LATER_CODES: readonly number[] = [1012, 1013, 1014];

/**
 * Codes that must not be sent: 0 to 999 (7.4.2), and 1005, 1006 and 1015, reserved for APIs
 * (7.4.1).
 */
export const FORBIDDEN_CODES: readonly number[] = [
  0, 1, 2, 10, 100, 500, 998, 999, 1005, 1006, 1015,
];

/** Codes without a meaning: reserved for later versions, or outside the defined ranges. */
export const UNASSIGNED_CODES: readonly number[] = [
  1004, 1016, 1017, 1050, 1099, 1100, 1500, 1999, 2000, 2001, 2500, 2999, 5000, 5001, 9999, 32_767,
  32_768, 65_535,
];
