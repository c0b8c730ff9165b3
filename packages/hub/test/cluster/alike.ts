// Messages of an application that look like those of the library, with odd values in each place.
const bytes = new Uint8Array(9);
const deep = JSON.parse('['.repeat(500) + ']'.repeat(500)) as unknown;
const odd = (): Error => new RangeError('odd');

const VALUES: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  NaN,
  2 ** 60,
  10n,
  '',
  'close',
  'x'.repeat(100_000),
  [],
  [[]],
  ['start'],
  deep,
  {},
  { 0: 'ready' },
  { toString: 1 },
  { size: -1, ttl: 1 },
  { size: 1, ttl: 1, total: null },
  { epoch: 'a', offset: '1' },
  JSON.parse('{"__proto__":{"then":1,"length":2}}'),
  odd(),
  new Map([[1, 2]]),
  bytes,
];
const NAMES = ['take', 'message', 'ended', 'answer', 'constructor', '__proto__', 'toString'];

const acts = (value: unknown): unknown[] => [
  value,
  [value],
  ['failed', value, {}],
  ['failed', odd(), value],
  ['failed', odd(), { stack: value }],
  ['failed', odd(), { message: value, name: value }],
  ['close', value],
  ['close', { timeout: value ?? null }, false],
  ['close', { over: 1, [`${typeof value}`]: 1 }, true],
];

const requests = (value: unknown): unknown[] => [
  value,
  [value],
  ['subscribe', value],
  ['publish', value, bytes],
  ['publish', 'c', value],
  ['publish', 'c', bytes, value ?? null],
  ['history', value, undefined, 1],
  ['history', 'c', value ?? null, 1],
  ['history', 'c', undefined, value],
  ['history', 'c', undefined, 1, value ?? null],
  ...NAMES.map((name) => [name, value, value]),
];

/** An error that holds itself: `Object.assign` makes it its own prototype. */
function cyclic(): unknown {
  const error = odd();
  const fields = Object.defineProperty({}, '__proto__', { value: error, enumerable: true });
  return ['failed', error, fields];
}

export const REQUESTS: readonly unknown[] = VALUES.flatMap(requests);

export const MESSAGES: readonly unknown[] = [
  { '@ws/hub': '1.0.0' },
  { '@ws/hub': ['rooms'] },
  ['close'],
  ...[cyclic(), ...VALUES.flatMap(acts)].map((act) => ({ '@ws/hub/cluster': act })),
  ...REQUESTS.map((request) => ({ '@ws/hub': [request], hub: 'x' })),
  ...VALUES.map((value) => ({ '@ws/hub': [['close'], value], hub: value })),
  ...[1, 2].map((hub) => ({ '@ws/hub': [['subscribe', 'c'], ['close']], hub })),
];
