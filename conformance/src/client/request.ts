import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { checkAlive, closeCleanly } from '../wire/expect.ts';
import { type Extension, fieldLines, fieldOf, hasToken, parseExtensions } from '../wire/head.ts';
import { bitFaults, needsSamples } from './randomness.ts';

/** Checks one rule of a request. Returns the fault as a phrase, or undefined. */
type Check = (attempt: ClientAttempt) => string | undefined;

/** Delay of an answer in ms, to check that the client waits for it. */
const HOLD_TIME = 150;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Adds sections about the request: every rule of RFC 6455, 4.1. */
export function request(chapter: Chapter<ClientAttempt>): void {
  line(chapter);
  fields(chapter);
  offers(chapter);
  waiting(chapter);
}

type Add = (
  title: string,
  check: Check,
  own?: { section?: string; level?: 'must' | 'should' },
) => void;

/** Starts a section of cases that check the request, and then accept the handshake. */
function checks(chapter: Chapter<ClientAttempt>, section: string): Add {
  const add = chapter.section({ section, expects: 'the request follows the rule' });
  return (title, check, own) =>
    add(
      title,
      async (attempt) => {
        const fault = check(attempt);
        if (fault !== undefined) throw new Violation(fault);
        await closeCleanly(await attempt.open());
      },
      own,
    );
}

function line(chapter: Chapter<ClientAttempt>): void {
  const add = checks(chapter, 'RFC 6455, 4.1');
  const parts = (attempt: ClientAttempt): string[] => attempt.request.start.split(' ');
  add('the method of the request is GET', (attempt) => {
    const [method] = parts(attempt);
    return method === 'GET' ? undefined : `the method is ${method}`;
  });
  add('the version of HTTP is 1.1', (attempt) => {
    const version = parts(attempt)[2];
    return version === 'HTTP/1.1' ? undefined : `the request ends with ${version}`;
  });
  add('the first line has three parts, separated by one space', ({ request }) =>
    /^[^ ]+ [^ ]+ [^ ]+$/.test(request.start) ? undefined : 'the first line is malformed',
  );
  add('the target is a path, or an absolute http URL', (attempt) => {
    const target = parts(attempt)[1] ?? '';
    return /^(?:\/|https?:\/\/)/i.test(target) ? undefined : `the target is ${target}`;
  });
  add(
    'the target has no fragment',
    (attempt) => (parts(attempt)[1]?.includes('#') ? 'the target has a fragment' : undefined),
    { section: 'RFC 6455, 3' },
  );
  add(
    'the target is visible ASCII',
    ({ request }) => (/^[!-~ ]*$/.test(request.start) ? undefined : 'the target has other bytes'),
    { section: 'RFC 3986, 2' },
  );
}

/** Checks that a field has exactly one line. */
const once =
  (name: string): Check =>
  ({ request }) => {
    const { length } = fieldLines(request, name);
    return length === 1 ? undefined : `the request has ${length} lines of ${name}`;
  };

/** Returns the value of a field, or an empty string. */
function valueOf({ request }: ClientAttempt, name: string): string {
  return fieldOf(request, name) ?? '';
}

function fields(chapter: Chapter<ClientAttempt>): void {
  const add = checks(chapter, 'RFC 6455, 4.1');
  hostField(add);
  add('Upgrade occurs', ({ request }) =>
    fieldOf(request, 'upgrade') === undefined ? 'the request has no Upgrade' : undefined,
  );
  add('Upgrade contains websocket', (attempt) =>
    hasToken(valueOf(attempt, 'upgrade'), 'websocket') ? undefined : 'the first line is malformed',
  );
  add('Connection contains Upgrade', (attempt) =>
    hasToken(valueOf(attempt, 'connection'), 'upgrade') ? undefined : 'the first line is malformed',
  );
  keyAndVersion(add);
  otherFields(add);
}

/** Adds cases about Host. */
function hostField(add: Add): void {
  add('Host occurs once', once('Host'), { section: 'RFC 6455, 4.1 and RFC 9112, 3.2' });
  add('Host contains a host without a user', (attempt) => {
    const host = valueOf(attempt, 'host');
    return /^(?:\[[0-9a-f:.%]+\]|[^\s/@:?#[\]]+)(?::\d+)?$/i.test(host)
      ? undefined
      : `Host is ${host}`;
  });
  add('Host contains the port, which is not the default', (attempt) => {
    const host = valueOf(attempt, 'host');
    if (attempt.port === undefined) attempt.skip('the suite listens on the default port');
    return host.endsWith(`:${attempt.port}`) ? undefined : `${host} lacks :${attempt.port}`;
  });
}

/** Adds cases about Sec-WebSocket-Key and Sec-WebSocket-Version. */
function keyAndVersion(add: Add): void {
  add('Sec-WebSocket-Key occurs once', once('Sec-WebSocket-Key'), {
    section: 'RFC 6455, 4.1 and 11.3.1',
  });
  add('Sec-WebSocket-Key has 24 characters', (attempt) =>
    attempt.key.length === 24 ? undefined : `the key has ${attempt.key.length}`,
  );
  add('Sec-WebSocket-Key is the base64 of 16 bytes', (attempt) => {
    const bytes = Buffer.from(attempt.key, 'base64');
    return bytes.length === 16 && bytes.toString('base64') === attempt.key
      ? undefined
      : 'the key is not';
  });
  add('Sec-WebSocket-Key differs from all earlier ones', (attempt) => {
    const { key, record } = attempt;
    needsSamples(attempt, record.keys.length, 'requests', 2);
    return record.keys.filter((one) => one === key).length === 1
      ? undefined
      : `${key} occurred before`;
  });
  add('Sec-WebSocket-Key is random, judged by all connections of the run', (attempt) => {
    const keys = attempt.record.keys.map((key) => Buffer.from(key, 'base64'));
    needsSamples(attempt, keys.length, 'requests');
    return bitFaults(keys.filter(({ length }) => length === 16))[0];
  });
  add('Sec-WebSocket-Version occurs once', once('Sec-WebSocket-Version'), {
    section: 'RFC 6455, 4.1 and 11.3.5',
  });
  add('Sec-WebSocket-Version is 13', (attempt) => {
    const version = valueOf(attempt, 'sec-websocket-version');
    return version === '13' ? undefined : `the version is ${version}`;
  });
}

/** Adds cases about Origin and about fields that a request should not have. */
function otherFields(add: Add): void {
  add('Origin occurs at most once', ({ request }) =>
    fieldLines(request, 'origin').length > 1 ? 'Origin occurs more than once' : undefined,
  );
  add(
    'Origin is null, or scheme, host and port',
    ({ request }) => {
      const [origin = 'null'] = fieldLines(request, 'origin');
      return origin === 'null' || /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+$/i.test(origin)
        ? undefined
        : `Origin is ${origin}`;
    },
    { section: 'RFC 6454, 7' },
  );
  add(
    'Sec-WebSocket-Accept, a field of servers, does not occur',
    ({ request }) =>
      fieldOf(request, 'sec-websocket-accept') === undefined ? undefined : 'it occurs',
    { section: 'RFC 6455, 11.3.3', level: 'should' },
  );
  add(
    'the request announces no body',
    (attempt) =>
      Number(valueOf(attempt, 'content-length')) > 0 || valueOf(attempt, 'transfer-encoding') !== ''
        ? 'the request announces a body'
        : undefined,
    { section: 'RFC 9110, 9.3.1', level: 'should' },
  );
  add(
    'Expect does not occur, because no body follows',
    ({ request }) => (fieldOf(request, 'expect') === undefined ? undefined : 'Expect occurs'),
    { section: 'RFC 9110, 10.1.1' },
  );
  add(
    'every value consists of visible ASCII, spaces and tabs',
    ({ request }) => {
      const strange = request.fields.find(([, one]) => !/^[\t -~]*$/.test(one));
      return strange === undefined ? undefined : `${strange[0]} has other bytes`;
    },
    { section: 'RFC 9110, 5.5', level: 'should' },
  );
}

function offers(chapter: Chapter<ClientAttempt>): void {
  const add = checks(chapter, 'RFC 6455, 4.1');
  const names = ({ request }: ClientAttempt): string[] =>
    fieldLines(request, 'sec-websocket-protocol').flatMap((one) =>
      one.split(',').map((name) => name.trim()),
    );
  add('Sec-WebSocket-Protocol, if present, lists tokens', (attempt) => {
    const strange = names(attempt).find((name) => !TOKEN.test(name));
    return strange === undefined ? undefined : `${JSON.stringify(strange)} is not a token`;
  });
  add('Sec-WebSocket-Protocol, if present, lists each subprotocol once', (attempt) => {
    const all = names(attempt);
    return new Set(all).size === all.length ? undefined : all.join(', ');
  });
  const extensions = ({ request }: ClientAttempt): Extension[] => {
    const listed = fieldOf(request, 'sec-websocket-extensions');
    return listed === undefined ? [] : parseExtensions(listed);
  };
  add(
    'Sec-WebSocket-Extensions, if present, is a list of extensions',
    ({ request }) => {
      const listed = fieldOf(request, 'sec-websocket-extensions');
      if (listed === undefined || parseExtensions(listed).length > 0) return undefined;
      return 'the list is empty';
    },
    { section: 'RFC 6455, 9.1' },
  );
  add(
    'the client offers no extension with an unregistered name',
    (attempt) => {
      const strange = extensions(attempt).find(({ name }) => /^x-/i.test(name));
      return strange === undefined ? undefined : strange.name;
    },
    { section: 'RFC 6455, 9.1', level: 'should' },
  );
}

function waiting(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1',
    expects:
      'the client sends nothing until the whole answer has arrived; then the connection works',
  });
  const silent = async (attempt: ClientAttempt, before: number): Promise<void> => {
    await attempt.rest(HOLD_TIME);
    if (attempt.peer.ended !== undefined)
      throw new Violation('the client ended the connection before the answer');
    const more = attempt.peer.receivedBytes - before;
    if (more > 0) throw new Violation(`the client sent ${more} bytes before the answer`);
  };
  add('nothing follows the request', async (attempt) => {
    if (attempt.peer.bufferedBytes > 0) {
      throw new Violation(`the client sent ${attempt.peer.bufferedBytes} bytes after the request`);
    }
    await silent(attempt, attempt.peer.receivedBytes);
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeCleanly(peer);
  });
  add('nothing follows the request after half of the answer', async (attempt) => {
    const text = Buffer.from(attempt.acceptText(), 'latin1');
    await attempt.peer.send(text.subarray(0, 40), 'the first bytes of an answer');
    await silent(attempt, attempt.peer.receivedBytes);
    await attempt.peer.send(text.subarray(40), 'the rest of it');
    await checkAlive(attempt.peer);
    await closeCleanly(attempt.peer);
  });
  add('nothing follows the request before the empty line of the answer', async (attempt) => {
    const text = Buffer.from(attempt.acceptText(), 'latin1');
    await attempt.peer.send(text.subarray(0, -2), 'an answer without its empty line');
    await silent(attempt, attempt.peer.receivedBytes);
    await attempt.peer.send(text.subarray(-2), 'the empty line');
    await checkAlive(attempt.peer);
    await closeCleanly(attempt.peer);
  });
}

/** Ends of URLs. */
const TARGETS = [
  ['escapes in the path', '/{id}/a%20b%2Fc%3F%C3%BC'],
  ['escapes in the query', '/{id}?a=%26%3D%20%23&b=%C3%BC'],
  ['a question mark and a slash in the query', '/{id}?a/b?c'],
  ['characters that need no escape', "/{id}/-._~!$&'()*+,;=:@"],
  ['empty segments', '/{id}//a/'],
  ['a query without a path', '?{id}&a=1'],
] as const;

/** Adds a section about the target of the request. */
export function targets(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'the URL',
    section: 'RFC 6455, 3',
    expects: 'the target is the path of the URL, or / without one, and the query, unchanged',
  });
  for (const [title, target] of TARGETS) {
    const [, end] = target.split('{id}') as [string, string];
    add(
      title,
      async (attempt) => {
        const asked = (attempt.request.start.split(' ')[1] ?? '').replace(
          /^https?:\/\/[^/?]*/i,
          '',
        );
        if (asked.startsWith('/runCase')) attempt.skip('the client makes its URLs; see --each');
        if (!asked.startsWith('/') || !asked.endsWith(end)) {
          throw new Violation(`the target is ${asked}, expected / and then ${end} at the end`);
        }
        await closeCleanly(await attempt.open());
      },
      { target },
    );
  }
}
