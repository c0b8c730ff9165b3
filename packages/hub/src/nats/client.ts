/** The part of `@nats-io/transport-node`'s `NatsConnection` that this package uses. */
export interface NatsConnection {
  publish(subject: string, payload: Uint8Array): void;
  subscribe(
    subject: string,
    options: { readonly callback: (error: Error | null, message: NatsMessage) => void },
  ): NatsSubscription;
  flush(): Promise<void>;
  /** The iterable also has `stop()`, which the types of the client omit. */
  status(): AsyncIterable<NatsStatus>;
  isClosed(): boolean;
}

/** The part of `@nats-io/transport-node`'s `Subscription` that this package uses. */
export interface NatsSubscription {
  readonly closed: Promise<unknown>;
  drain(): Promise<void>;
  isClosed(): boolean;
  unsubscribe(): void;
}

/** The part of `@nats-io/transport-node`'s `Msg` that this package uses. */
export interface NatsMessage {
  readonly data: Uint8Array;
  readonly headers?: { get(name: string): string };
}

/** The part of `@nats-io/transport-node`'s `Status` that this package uses. */
export interface NatsStatus {
  readonly type: string;
  /** Only if `type` is `error`. */
  readonly error?: Error;
}

/** The part of `@nats-io/jetstream`'s `JetStreamClient` that this package uses. */
export interface JetStreamClient {
  publish(subject: string, payload: Uint8Array): Promise<{ readonly seq: number }>;
  readonly consumers: {
    get(stream: string, consumer: string): Promise<Consumer>;
    /** Sends no request to the server. */
    getConsumerFromInfo?(info: ConsumerInfo): Consumer;
  };
  jetstreamManager(checkAPI: boolean): Promise<JetStreamManager>;
}

/** The part of `@nats-io/jetstream`'s `JetStreamManager` that this package uses. */
export interface JetStreamManager {
  readonly streams: {
    info(stream: string, options?: { readonly subjects_filter: string }): Promise<StreamInfo>;
    add(config: StreamConfig): Promise<StreamInfo>;
    update(stream: string, config: StreamConfig): Promise<StreamInfo>;
    /** The first message of a subject at or after `seq`; null if there is none. */
    getMessage(
      stream: string,
      query: { readonly seq: number; readonly next_by_subj: string },
    ): Promise<StoredMessage | null>;
    /** Removes the messages of a subject before `seq`. */
    purge(
      stream: string,
      options: { readonly filter: string; readonly seq: number },
    ): Promise<unknown>;
  };
  readonly consumers: {
    add(
      stream: string,
      config: {
        readonly filter_subject: string;
        readonly deliver_policy: 'by_start_sequence';
        readonly opt_start_seq: number;
        readonly ack_policy: 'none';
        readonly mem_storage: boolean;
        readonly num_replicas: number;
      },
    ): Promise<ConsumerInfo>;
    delete(stream: string, consumer: string): Promise<unknown>;
  };
}

/** The part of `@nats-io/jetstream`'s `StreamConfig` that this package uses. */
export interface StreamConfig {
  readonly name: string;
  readonly subjects: string[];
  readonly description?: string;
  readonly max_msgs_per_subject: number;
  /** In nanoseconds. */
  readonly max_age: number;
  readonly max_bytes?: number;
  readonly republish?: { readonly src: string; readonly dest: string };
}

/** The part of `@nats-io/jetstream`'s `StreamInfo` that this package uses. */
export interface StreamInfo {
  readonly config: StreamConfig;
  readonly created: string;
  readonly state: {
    readonly messages: number;
    readonly first_seq: number;
    readonly last_seq: number;
    /** Number of messages by subject, if `subjects_filter` asks for it. */
    readonly subjects?: Readonly<Record<string, number>>;
  };
}

/** What a consumer of JetStream has left: `num_pending` is the number of messages. */
export interface ConsumerInfo {
  readonly name: string;
  readonly num_pending: number;
}

/** A consumer of JetStream: a place in a stream from which messages are fetched. */
export interface Consumer {
  fetch(options: {
    readonly max_messages: number;
    readonly expires: number;
  }): Promise<AsyncIterable<StoredMessage>>;
}

/** A message of a stream of JetStream. */
export interface StoredMessage {
  readonly seq: number;
  readonly data: Uint8Array;
  /**
   * Only of a message from a consumer. `deliverySequence`: the number of this delivery of the consumer,
   * from 1 on. `pending`: how many later messages the consumer has.
   */
  readonly info?: { readonly deliverySequence: number; readonly pending: number };
}
