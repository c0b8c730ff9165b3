import { describe, expect, it } from 'vitest';
import { optionHint } from '../src/option-hints.ts';

describe('optionHint', () => {
  it.each([
    ['maxPayload', ['readLimit'], 'use readLimit'],
    ['pingInterval', ['heartbeat'], 'use heartbeat: { interval }'],
    ['origin', ['headers', 'allowedOrigins'], 'use allowedOrigins'],
    ['origin', ['headers'], 'use headers: { Origin }'],
    ['transports', [], 'WebSocket is the only transport'],
    ['socketPath', ['jar'], 'write the URL ws+unix:/run/app.sock:/path'],
    ['socketPath', [], 'it is an option of serve'],
    ['changeOrigin', ['director', 'host'], "use host: 'target'"],
  ])('says what to write instead of %s, for a function with %j', (name, known, hint) => {
    expect(optionHint(name, known)).toBe(hint);
  });

  it.each([
    ['an option that the function does not have', 'maxPayload', []],
    ['an option of another kind of function', 'changeOrigin', ['host']],
    ['a name of Object.prototype', 'constructor', ['readLimit']],
    ['an unknown name', 'zap', ['readLimit']],
  ])('has no hint for %s', (_, name, known) => {
    expect(optionHint(name, known)).toBeUndefined();
  });
});
