import { type Conn, type Message, serve, type WsServer } from '@ws/node-server';
import { type Data, FakeScenes, Refusal, type Respond, Status } from './fake-scenes.ts';
import { Fault, isObject, Session } from './fake-session.ts';
import { checkData, type Field } from './field-check.ts';
import { readProtocol, sampleOf } from './protocol.ts';

interface Protocol {
  readonly enums: readonly {
    readonly name: string;
    readonly members: readonly { readonly enumIdentifier: string; readonly enumValue: unknown }[];
  }[];
  readonly requests: readonly {
    readonly requestType: string;
    readonly requestFields: readonly Field[];
    readonly responseFields: readonly { valueName: string; valueType: string }[];
  }[];
  readonly events: readonly { readonly eventType: string; readonly eventSubscription: string }[];
}

/** What a {@link FakeObs} does. */
export interface FakeObsOptions {
  /** Default: none, so no client has to authenticate. */
  readonly password?: string | undefined;
  /** The answers of requests, besides those of the fake's own scenes and inputs. */
  readonly respond?: Readonly<Record<string, Respond>> | undefined;
  /** What is sent instead of Hello; `false`: nothing. */
  readonly hello?: string | false | undefined;
  /** Whether Identify gets no answer. Default: false. */
  readonly ignoresIdentify?: boolean | undefined;
  /** Whether Reidentify waits for {@link FakeObs.answerReidentify}. Default: false. */
  readonly holdsReidentify?: boolean | undefined;
}

/** The execution type of a batch. */
const PARALLEL = 2;

const NEVER = new Promise<undefined>(() => {});

/**
 * A server of obs-websocket 5: Hello to RequestBatch, events by subscription, and the close codes of
 * the protocol. It has scenes, inputs and the studio mode. Other requests of the protocol get empty
 * values of the right types.
 */
export class FakeObs implements AsyncDisposable {
  static readonly rpcVersion = 1;
  readonly #options: FakeObsOptions;
  readonly #protocol = readProtocol() as Protocol;
  readonly #sessions = new Set<Session>();
  readonly #respond: Record<string, Respond>;
  #server!: WsServer;
  /** Types of the requests so far. */
  readonly requests: string[] = [];
  readonly #awaited = new Map<string, () => void>();
  readonly #heldReidentifies: (() => void)[] = [];
  #reidentifies = 0;

  private constructor(options: FakeObsOptions) {
    this.#options = options;
    const scenes = new FakeScenes((type, data) => this.emit(type, data));
    this.#respond = { ...this.#ownAnswers(), ...scenes.answers(), ...options.respond };
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(options: FakeObsOptions = {}): Promise<FakeObs> {
    const fake = new FakeObs(options);
    fake.#server = await serve(
      {
        port: 0,
        host: '127.0.0.1',
        subprotocols: ['obswebsocket.json', 'obswebsocket.msgpack'],
        // OBS accepts every page that knows the password.
        checkOrigin: () => true,
        report: () => {},
      },
      (conn) => fake.#session(conn),
    );
    return fake;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Resolves when a request of this type has arrived. */
  async requested(type: string): Promise<void> {
    if (this.requests.includes(type)) return;
    await new Promise<void>((resolve) => this.#awaited.set(type, resolve));
  }

  /** Resolves when this many Reidentify have arrived. */
  async reidentified(count: number): Promise<void> {
    while (this.#reidentifies < count) {
      await new Promise<void>((resolve) => this.#awaited.set('Reidentify', resolve));
    }
  }

  /** Answers the oldest Reidentify that waits. */
  answerReidentify(): void {
    this.#heldReidentifies.shift()?.();
  }

  /** Sends an event to the clients that have subscribed to it. */
  emit(eventType: string, eventData?: Data): void {
    const { eventSubscription = 'General' } =
      this.#protocol.events.find((event) => event.eventType === eventType) ?? {};
    const eventIntent = this.#subscription(eventSubscription);
    for (const session of this.#sessions) {
      if (session.identified && (session.subscriptions & eventIntent) !== 0) {
        session.send(5, { eventType, eventIntent, eventData });
      }
    }
  }

  /** Sends a text as it is to every client. */
  sendRaw(text: string): void {
    for (const { conn } of this.#sessions) void conn.send(text);
  }

  /** Closes every connection. */
  kick(code: number, reason = ''): void {
    for (const { conn } of this.#sessions) void conn.close(code, reason);
  }

  /** Ends every connection without a close frame. */
  crash(): void {
    for (const { conn } of this.#sessions) conn.terminate();
  }

  async close(): Promise<void> {
    this.crash();
    await this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #session(conn: Conn): Promise<void> {
    const session = new Session(conn);
    this.#sessions.add(session);
    try {
      const { hello } = this.#options;
      if (hello === undefined) session.send(0, this.#hello(session));
      else if (hello !== false) void conn.send(hello);
      for await (const message of conn) this.#receive(session, message);
    } finally {
      this.#sessions.delete(session);
    }
  }

  #hello(session: Session): Data {
    const { salt, challenge } = session;
    return {
      obsWebSocketVersion: '5.1.0',
      rpcVersion: FakeObs.rpcVersion,
      ...(this.#options.password !== undefined && { authentication: { challenge, salt } }),
    };
  }

  #receive(session: Session, message: Message): void {
    try {
      const { op, d } = session.read(message);
      this.#handle(session, op, d);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      void session.conn.close(error.closeCode, error.message);
    }
  }

  /** @throws Fault, with the reasons of OBS 29. */
  #handle(session: Session, op: number, d: Data): void {
    if (!session.identified && op !== 1) {
      throw new Fault(4007, 'You attempted to send a non-Identify message while not identified.');
    }
    switch (op) {
      case 1:
        return this.#identify(session, d);
      case 3:
        this.#heldReidentifies.push(() => this.#subscribe(session, d));
        this.#reidentifies++;
        this.#awaited.get('Reidentify')?.();
        if (this.#options.holdsReidentify !== true) this.answerReidentify();
        return;
      case 6:
        if (d['requestId'] === undefined) {
          throw new Fault(4003, 'Your payload data is missing a `requestId`.');
        }
        if (d['requestType'] === undefined) {
          throw new Fault(4003, "Your payload's data is missing an `requestType`.");
        }
        // Like OBS, the fake reads the next message before it has answered.
        void this.#answer(d).then((answer) => session.send(7, answer));
        return;
      case 8: {
        const { executionType = 0 } = d;
        for (const name of ['requestId', 'requests']) {
          if (d[name] === undefined) {
            throw new Fault(4003, `Your payload data is missing a \`${name}\`.`);
          }
        }
        if (![0, 1, 2].includes(executionType as number)) {
          throw new Fault(4005, 'Your `executionType` has an invalid value.');
        }
        void this.#batch(d).then((answer) => session.send(9, answer));
        return;
      }
      default:
        throw new Fault(4006, `Unknown OpCode: ${op}`);
    }
  }

  #identify(session: Session, { authentication, rpcVersion, eventSubscriptions }: Data): void {
    const { password, ignoresIdentify } = this.#options;
    if (session.identified) {
      throw new Fault(4008, 'You are already Identified with the obs-websocket server.');
    }
    if (password !== undefined && authentication === undefined) {
      throw new Fault(
        4009,
        "Your payload's data is missing an `authentication` string, however authentication is required.",
      );
    }
    if (password !== undefined && authentication !== session.proof(password)) {
      throw new Fault(4009, 'Authentication failed.');
    }
    if (rpcVersion === undefined) {
      throw new Fault(4003, "Your payload's data is missing an `rpcVersion`.");
    }
    if (rpcVersion !== FakeObs.rpcVersion) {
      const reason = 'Your requested RPC version is not supported by this server.';
      throw new Fault(4010, reason);
    }
    if (ignoresIdentify !== true) this.#subscribe(session, { eventSubscriptions });
  }

  #subscribe(session: Session, data: Data): void {
    const { eventSubscriptions = this.#subscription('All') } = data;
    if (typeof eventSubscriptions !== 'number') {
      throw new Fault(4004, 'Your `eventSubscriptions` is not an unsigned number.');
    }
    session.identified = true;
    session.subscriptions = eventSubscriptions;
    session.send(2, { negotiatedRpcVersion: FakeObs.rpcVersion });
  }

  /** @param batch - The execution type of the batch that contains the request. */
  async #answer({ requestType = '', requestId, requestData }: Data, batch?: number): Promise<Data> {
    const name = String(requestType);
    this.requests.push(name);
    this.#awaited.get(name)?.();
    const answer = { requestType: name, ...(requestId !== undefined && { requestId }) };
    try {
      if (name === 'Sleep' && (batch === undefined || batch === PARALLEL)) {
        throw new Refusal(Status.UnsupportedExecutionType);
      }
      const responseData = await this.#carryOut(name, requestData);
      return { ...answer, requestStatus: { result: true, code: 100 }, responseData };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message } = error;
      const comment = message === '' ? undefined : message;
      return { ...answer, requestStatus: { result: false, code, comment } };
    }
  }

  async #carryOut(name: string, data: unknown): Promise<Data | undefined> {
    if (name === '') {
      const comment = "Your request's `requestType` may not be empty.";
      throw new Refusal(Status.MissingRequestType, comment);
    }
    const request = this.#protocol.requests.find(({ requestType }) => requestType === name);
    const respond = this.#respond[name];
    if (request === undefined && respond === undefined) {
      throw new Refusal(Status.UnknownRequestType, 'Your request type is not valid.');
    }
    checkData(request?.requestFields ?? [], data);
    if (respond !== undefined) return respond(isObject(data) ? data : {});
    const { responseFields } = request!;
    if (responseFields.length === 0) return undefined;
    return Object.fromEntries(
      responseFields.map(({ valueName, valueType }) => [valueName, sampleOf(valueType)]),
    );
  }

  async #batch({ requestId, haltOnFailure, executionType = 0, requests }: Data): Promise<Data> {
    const list = requests as readonly Data[];
    const answer = (each: Data): Promise<Data> => this.#answer(each, executionType as number);
    if (executionType === PARALLEL) {
      // Like OBS: the names have the order of the requests, the rest has the order of the ends.
      const ended: Data[] = [];
      await Promise.all(list.map(async (each) => ended.push(await answer(each))));
      return {
        requestId,
        results: ended.map((result, i) => ({ ...result, requestType: list[i]!['requestType'] })),
      };
    }
    const results: Data[] = [];
    for (const request of list) {
      const result = await answer(request);
      results.push(result);
      if (haltOnFailure === true && !(result['requestStatus'] as Data)['result']) break;
    }
    return { requestId, results };
  }

  #subscription(name: string): number {
    const { members } = this.#protocol.enums.find((each) => each.name === 'EventSubscription')!;
    const bitOf = (value: unknown): number => Number(/<< (\d+)/.exec(String(value))?.[1] ?? -1);
    const bits = members
      .filter(({ enumIdentifier, enumValue }) => {
        const bit = bitOf(enumValue);
        return name === 'All' ? bit >= 0 && bit < 16 : enumIdentifier === name;
      })
      .map(({ enumValue }) => 1 << bitOf(enumValue));
    return bits.reduce((mask, bit) => mask | bit, 0);
  }

  #ownAnswers(): Record<string, Respond> {
    return {
      GetVersion: () => ({
        obsVersion: '29.0.2',
        obsWebSocketVersion: '5.1.0',
        rpcVersion: FakeObs.rpcVersion,
        availableRequests: this.#protocol.requests.map(({ requestType }) => requestType),
        supportedImageFormats: ['png'],
        platform: 'fake',
        platformDescription: 'a fake',
      }),
      BroadcastCustomEvent: ({ eventData }) => {
        this.emit('CustomEvent', eventData as Data);
        return undefined;
      },
    };
  }
}

/** The answer of a request that never gets one. */
export const noAnswer: Respond = () => NEVER;
