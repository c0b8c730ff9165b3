import { requestRules } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { negotiate } from '../src/handshake.ts';
import { checkUpgradeOptions, type UpgradeOptions } from '../src/options.ts';
import { FIELDS } from './serving.ts';

type Fields = Readonly<Record<string, string | undefined>>;

function request(changed: Fields, url = 'http://example.org/chat', method = 'GET'): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries<string | undefined>({ ...FIELDS, ...changed })) {
    if (value !== undefined) headers.set(name, value);
  }
  return new Request(url, { method, headers });
}

/** The status and the text of the refusal, or the subprotocol. */
async function answerTo(
  asked: Request,
  { wireIsChecked = false, ...options }: UpgradeOptions & { wireIsChecked?: boolean } = {},
): Promise<unknown> {
  const plan = checkUpgradeOptions(options, Infinity);
  const result = await negotiate(asked, plan, undefined, wireIsChecked);
  if (!(result instanceof Response)) return ['accepted', result.subprotocol];
  return [result.status, (await result.text()).trim()];
}

/** Breaks one rule each. */
const BROKEN: [message: string, status: number, asked: () => Request][] = [
  ["'Host' header must occur exactly once", 400, () => request({ Host: undefined })],
  ["'Host' header must occur exactly once", 400, () => request({ Host: 'a.org, b.org' })],
  ["'Host' header is not a valid host", 400, () => request({ Host: 'a/b' })],
  ['request has a body', 400, () => request({ 'Content-Length': '5' })],
  ['request has a body', 400, () => request({ 'Transfer-Encoding': 'chunked' })],
  ["token not found in 'Connection' header", 400, () => request({ Connection: 'close' })],
  ["token not found in 'Upgrade' header", 426, () => request({ Upgrade: 'h2c' })],
  ['request method is not GET', 405, () => request({}, undefined, 'DELETE')],
  ['unsupported version', 400, () => request({ 'Sec-WebSocket-Version': undefined })],
  ['unsupported version', 400, () => request({ 'Sec-WebSocket-Version': '13, 8' })],
  ['unsupported version', 426, () => request({ 'Sec-WebSocket-Version': '8' })],
  ['percent-encoded UTF-8', 400, () => request({}, 'http://example.org/%ff')],
  ["'Origin' header is repeated", 400, () => request({ Origin: 'http://a.org, http://b.org' })],
  ["'Sec-WebSocket-Key' header must be", 400, () => request({ 'Sec-WebSocket-Key': 'short' })],
  ["'Sec-WebSocket-Extensions'", 400, () => request({ 'Sec-WebSocket-Extensions': 'a;;b' })],
];

describe('negotiate', () => {
  it.each(BROKEN)('refuses by the rule "%s" with %i', async (message, status, asked) => {
    const rule = requestRules.find(
      (each) => each.message.includes(message) && each.status === status,
    );
    expect(await answerTo(asked())).toEqual([status, rule?.message]);
  });

  it('lists Upgrade in the Connection of a 426', async () => {
    const plan = checkUpgradeOptions({}, Infinity);
    const result = await negotiate(request({ 'Sec-WebSocket-Version': '8' }), plan, undefined);
    expect(Object.fromEntries((result as Response).headers)).toMatchObject({
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
    });
  });

  it('checks the origin before the key, and the key before it asks authenticate', async () => {
    const asked = { 'Sec-WebSocket-Key': 'short', Origin: 'http://evil.example' };
    const options = { authenticate: () => expect.unreachable('it was asked') };
    expect(await answerTo(request(asked), options)).toEqual([
      403,
      'origin http://evil.example does not match host example.org',
    ]);
    const own = request({ ...asked, Origin: 'http://example.org' });
    expect(await answerTo(own, options)).toEqual([400, expect.stringContaining('Key')]);
  });

  it.each([
    ['a,, ,b', 'b'],
    ['', ''],
  ])('takes the offer %j of subprotocols', async (offer, chosen) => {
    const asked = request({ 'Sec-WebSocket-Protocol': offer });
    expect(await answerTo(asked, { subprotocols: ['b'] })).toEqual(['accepted', chosen]);
  });

  it.each(['a, a', 'a b', `${'a'.repeat(4096)}b`])('refuses the offer %j', async (offer) => {
    const asked = request({ 'Sec-WebSocket-Protocol': offer });
    expect(await answerTo(asked)).toEqual([400, expect.stringContaining('Sec-WebSocket-Protocol')]);
  });
});

describe('negotiate, for a call without a wire', () => {
  const NO_WIRE = {
    Host: undefined,
    Connection: undefined,
    'Sec-WebSocket-Version': undefined,
    'Sec-WebSocket-Key': undefined,
  };
  const wireIsChecked = true;

  it('accepts a request with Upgrade alone', async () => {
    expect(await answerTo(request(NO_WIRE), { wireIsChecked })).toEqual(['accepted', '']);
  });

  it('compares the origin with the host of the URL', async () => {
    const own = request({ ...NO_WIRE, Origin: 'http://example.org' });
    expect(await answerTo(own, { wireIsChecked })).toEqual(['accepted', '']);
    const foreign = request({ ...NO_WIRE, Origin: 'http://evil.example' });
    expect(await answerTo(foreign, { wireIsChecked })).toEqual([403, expect.anything()]);
  });

  it.each(['Connection', 'Sec-WebSocket-Version', 'Sec-WebSocket-Key'] as const)(
    'applies all rules to a request with %s',
    async (name) => {
      const asked = request({ ...NO_WIRE, [name]: FIELDS[name] });
      expect(await answerTo(asked, { wireIsChecked })).toEqual([400, expect.anything()]);
    },
  );

  it('refuses it on a runtime with a wire', async () => {
    expect(await answerTo(request(NO_WIRE))).toEqual([400, expect.stringContaining('Host')]);
  });
});
